//! Connections, and how their sessions are set up.

use std::time::Duration;

use deadpool_postgres::ClientWrapper;
use futures_util::stream::{self, BoxStream, StreamExt};
use tokio_postgres::{AsyncMessage, Client, Config, NoTls, config::TargetSessionAttrs};

use crate::failure::{Fault, OpenError};

/// A connection that is not there by then will not help a request that may wait ten seconds.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(4);

/// A dead peer is noticed after about ten seconds.
const KEEPALIVE: Duration = Duration::from_secs(4);

/// * All access is by key, so the planner is not to try anything else while it has no statistics.
/// * A node that is paused while it holds the lock of the sequence must not hold up the others for long.
/// * An acknowledged commit is on disk, whatever the server's default is.
const SESSION: &str = "
    SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off;
    SET plan_cache_mode = force_generic_plan; SET jit = off;
    SET default_transaction_isolation = 'read committed';
    SET statement_timeout = '9s'; SET lock_timeout = '8s'; SET idle_in_transaction_session_timeout = '4s';
    SET tcp_keepalives_idle = 4; SET tcp_keepalives_interval = 2; SET tcp_keepalives_count = 2;
    SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'";

/// Knows how to connect.
#[derive(Clone)]
pub(crate) struct Connector {
    config: Config,
}

impl Connector {
    pub(crate) fn parse(url: &str) -> Result<Self, OpenError> {
        let mut config: Config = url.parse().map_err(OpenError::Url)?;
        // A standby shows commits in another order, and takes none.
        config
            .target_session_attrs(TargetSessionAttrs::ReadWrite)
            .application_name("gatehouse")
            .connect_timeout(CONNECT_TIMEOUT)
            .keepalives_idle(KEEPALIVE)
            .keepalives_interval(KEEPALIVE / 2)
            .keepalives_retries(3)
            .tcp_user_timeout(KEEPALIVE * 2);
        Ok(Self { config })
    }

    pub(crate) fn config(&self) -> Config {
        self.config.clone()
    }

    /// A connection of one's own, which ends when dropped.
    pub(crate) async fn connect(&self) -> Result<ClientWrapper, Fault> {
        within(async {
            let (client, connection) = self.config.connect(NoTls).await?;
            let task = tokio::spawn(async move {
                if let Err(error) = connection.await {
                    tracing::debug!(%error, "a connection to the database has ended");
                }
            });
            let client = ClientWrapper::new(client, task);
            set_up(&client).await?;
            Ok(client)
        })
        .await
    }

    /// A connection whose notices are to be read; it does nothing unless they are.
    pub(crate) async fn connect_listening(
        &self,
    ) -> Result<
        (
            Client,
            BoxStream<'static, Result<AsyncMessage, tokio_postgres::Error>>,
        ),
        Fault,
    > {
        within(async {
            let (client, mut connection) = self.config.connect(NoTls).await?;
            Ok((
                client,
                stream::poll_fn(move |context| connection.poll_message(context)).boxed(),
            ))
        })
        .await
    }
}

async fn within<T>(connecting: impl Future<Output = Result<T, tokio_postgres::Error>>) -> Result<T, Fault> {
    Ok(tokio::time::timeout(CONNECT_TIMEOUT, connecting)
        .await
        .map_err(|_| Fault::Timeout)??)
}

/// Prepares a new session.
pub(crate) async fn set_up(client: &Client) -> Result<(), tokio_postgres::Error> {
    client.batch_execute(SESSION).await
}
