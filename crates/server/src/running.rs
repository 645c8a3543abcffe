//! A server that runs.

use std::time::Duration;

use gatehouse_http::Address;
use gatehouse_store::Store;
use gatehouse_sync::Sync;
use tokio::task::JoinSet;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use crate::open::{Engines, StoreFailure};

/// How long a server takes to stop at most: within the ten seconds that supervisors are promised.
const STOP_TIME: Duration = Duration::from_millis(9_500);

/// A server that listens. Dropping it without [`Running::stop`] cuts everything off.
pub struct Running {
    pub(crate) engines: Engines,
    pub(crate) sync: Sync,
    /// Ends when the store closes.
    pub(crate) follower: AbortOnDropHandle<()>,
    pub(crate) serving: Serving,
}

/// What listens, and what works beside it.
pub(crate) struct Serving {
    pub(crate) store: Store,
    pub(crate) store_failure: StoreFailure,
    pub(crate) addresses: Vec<(Address, bool)>,
    pub(crate) stop: CancellationToken,
    /// Listeners and housekeeping: end when `stop` is cancelled.
    pub(crate) tasks: JoinSet<()>,
}

impl Running {
    /// Where it listens, as URLs; a unix socket as its address.
    pub fn urls(&self) -> Vec<String> {
        self.serving.urls()
    }

    /// The engines, for what is done beside the APIs.
    pub fn engines(&self) -> &Engines {
        &self.engines
    }

    /// Waits until the server cannot go on, and tells why: its store has failed, or a task that must not end has
    /// ended. Nobody can tell what is on disk then, so the process had best end at once and be started again.
    pub async fn failed(&mut self) -> String {
        tokio::select! {
            biased;
            reason = self.serving.failed() => reason,
            _ = &mut self.follower => "what wakes waiting clients has crashed".to_owned(),
        }
    }

    /// Stops: takes no more connections, answers those who wait, finishes what is in flight, and closes the store.
    pub async fn stop(self) {
        let Self {
            engines,
            sync,
            follower,
            serving,
        } = self;
        // When devices were seen is a courtesy; an error here loses nothing else.
        let before_closing = async { _ = engines.accounts.flush_last_seen().await };
        // How the follower ended is of no concern any more.
        let after_closing = async { drop(follower.await) };
        serving.stop(|| sync.stop(), before_closing, after_closing).await;
    }
}

impl Serving {
    pub(crate) fn urls(&self) -> Vec<String> {
        let url = |(address, tls): &(Address, bool)| match address {
            Address::Tcp(address) => format!("{}://{address}", if *tls { "https" } else { "http" }),
            Address::Unix(_) => address.to_string(),
        };
        self.addresses.iter().map(url).collect()
    }

    pub(crate) async fn failed(&mut self) -> String {
        tokio::select! {
            biased;
            reason = &mut self.store_failure => format!("the store has failed: {reason}"),
            Some(_) = self.tasks.join_next() => "a listener or a housekeeping task has crashed".to_owned(),
        }
    }

    /// Stops within [`STOP_TIME`]: `at_once` when nothing more is taken, the others around the closing of the store.
    pub(crate) async fn stop(
        mut self,
        at_once: impl FnOnce(),
        before_closing: impl Future<Output = ()>,
        after_closing: impl Future<Output = ()>,
    ) {
        self.stop.cancel();
        at_once();
        let finishing = async {
            while self.tasks.join_next().await.is_some() {}
            before_closing.await;
            match self.store.close().await {
                Ok(()) => after_closing.await,
                Err(error) => tracing::error!(%error, "the store did not close well"),
            }
        };
        if tokio::time::timeout(STOP_TIME, finishing).await.is_err() {
            tracing::warn!("the server did not finish in time, and stops now");
        }
        self.tasks.shutdown().await;
    }
}
