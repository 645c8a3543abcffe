//! A server that runs.

use gatehouse_http::Address;
use gatehouse_sync::Sync;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::start::{Engines, STOP_TIME};

/// A server that listens. Dropping it without [`Running::stop`] cuts everything off.
pub struct Running {
    engines: Engines,
    sync: Sync,
    addresses: Vec<(Address, bool)>,
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

impl Running {
    pub(crate) fn new(
        engines: Engines,
        sync: Sync,
        addresses: Vec<(Address, bool)>,
        stop: CancellationToken,
        tasks: JoinSet<()>,
    ) -> Self {
        Self {
            engines,
            sync,
            addresses,
            stop,
            tasks,
        }
    }

    /// Where it listens, as URLs; a unix socket as its address.
    pub fn urls(&self) -> Vec<String> {
        let url = |(address, tls): &(Address, bool)| match address {
            Address::Tcp(address) => format!("{}://{address}", if *tls { "https" } else { "http" }),
            Address::Unix(_) => address.to_string(),
        };
        self.addresses.iter().map(url).collect()
    }

    /// The engines, for what is done beside the APIs.
    pub fn engines(&self) -> &Engines {
        &self.engines
    }

    /// Stops: takes no more connections, answers those who wait, finishes what is in flight, and closes the store.
    pub async fn stop(mut self) {
        self.stop.cancel();
        self.sync.stop();
        let finished = async {
            // What devices were seen is a courtesy; an error here loses nothing else.
            _ = self.engines.accounts.flush_last_seen().await;
            if let Err(error) = self.engines.store.close().await {
                tracing::error!(%error, "the store did not close well");
            }
        };
        let all = async {
            // Followers end with the store, listeners by themselves.
            while self.tasks.len() > FOLLOWERS && self.tasks.join_next().await.is_some() {}
            finished.await;
        };
        if tokio::time::timeout(STOP_TIME, all).await.is_err() {
            tracing::warn!("the server did not finish in time, and stops now");
        }
        self.tasks.shutdown().await;
    }
}

/// Tasks that end when the store closes and not before.
const FOLLOWERS: usize = 1;
