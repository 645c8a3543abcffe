//! How many requests of one server are worked on at once.

use std::{collections::HashMap, sync::Arc};

use gatehouse_http::ApiError;
use parking_lot::Mutex;
use ruma::{OwnedServerName, ServerName};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// So many of a server's requests are worked on side by side (limits, `federation`).
const AT_ONCE: usize = 8;
/// So many more may wait; the next is told to come back.
const WAITING: usize = 50;
/// How soon it may come back, in milliseconds.
const COME_BACK_MS: u64 = 1_000;
/// So many servers are kept before idle ones are looked for.
const MANY_SERVERS: usize = 1_024;

/// The requests that are worked on, by server. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct AtOnce {
    servers: Arc<Mutex<HashMap<OwnedServerName, Arc<Semaphore>>>>,
}

impl AtOnce {
    /// Waits until one more request of the server may be worked on, which it is until the permit is dropped.
    pub(crate) async fn enter(&self, server: &ServerName) -> Result<OwnedSemaphorePermit, ApiError> {
        let turns = {
            let mut servers = self.servers.lock();
            if servers.len() > MANY_SERVERS {
                servers.retain(|_, turns| Arc::strong_count(turns) > 1);
            }
            let new = || Arc::new(Semaphore::new(AT_ONCE));
            Arc::clone(servers.entry(server.to_owned()).or_insert_with(new))
        };
        // One is in the map; every request that waits or is worked on has one.
        if Arc::strong_count(&turns) > 1 + AT_ONCE + WAITING {
            return Err(ApiError::limit_exceeded(COME_BACK_MS));
        }
        let permit = turns.acquire_owned().await;
        permit.map_err(|_| ApiError::unavailable("This server is stopping."))
    }
}

#[cfg(test)]
mod tests {
    use ruma::server_name;

    use super::*;

    #[tokio::test]
    async fn the_rest_of_a_servers_requests_wait_and_too_many_are_refused() {
        let at_once = AtOnce::default();
        let (flood, other) = (server_name!("a.example"), server_name!("b.example"));
        let mut entered = Vec::new();
        for _ in 0..AT_ONCE {
            entered.push(at_once.enter(flood).await.unwrap());
        }
        let waiting: Vec<_> = (0..WAITING)
            .map(|_| {
                let at_once = at_once.clone();
                tokio::spawn(async move { at_once.enter(flood).await.is_ok() })
            })
            .collect();
        while Arc::strong_count(&at_once.servers.lock()[flood]) < 1 + AT_ONCE + WAITING {
            tokio::task::yield_now().await;
        }
        assert_eq!(
            at_once.enter(flood).await.unwrap_err().errcode(),
            "M_LIMIT_EXCEEDED"
        );
        drop(at_once.enter(other).await.unwrap());
        drop(entered);
        for waiting in waiting {
            assert!(waiting.await.unwrap(), "each has its turn");
        }
        drop(at_once.enter(flood).await.unwrap());
    }
}
