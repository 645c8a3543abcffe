//! Leases: advisory locks, all held by one connection of this node.

use std::{collections::HashSet, time::Duration};

use deadpool_postgres::ClientWrapper;
use gatehouse_store::{StoreError, backend::Lease};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{MissedTickBehavior, interval, timeout},
};

use crate::{connect::Connector, failure::Fault};

/// How often the connection is tried, so that a lost lease is noticed.
const HEARTBEAT: Duration = Duration::from_secs(2);

/// How long an answer may take before the connection, and the leases with it, are given up.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(4);

/// How many requests may wait.
const WAITING: usize = 1_024;

const TAKE: &str = "SELECT pg_try_advisory_lock(hashtextextended($1, 0))";
const GIVE: &str = "SELECT pg_advisory_unlock(hashtextextended($1, 0))";

type Reply = oneshot::Sender<Result<Option<Lease>, StoreError>>;

struct Take {
    name: String,
    reply: Reply,
}

/// A lease that was dropped. The session tells it from a later one of the same name.
struct Given {
    name: String,
    session: u64,
}

/// Asks for leases. The connection, and with it every lease, ends when this is dropped.
pub(crate) struct LeaseKeeper {
    requests: mpsc::Sender<Take>,
}

impl LeaseKeeper {
    pub(crate) fn start(connector: Connector, prefix: String) -> Self {
        let (requests, waiting) = mpsc::channel(WAITING);
        let (given, dropped) = mpsc::unbounded_channel();
        tokio::spawn(run(
            Holder {
                connector,
                prefix,
                session: None,
                number: 0,
                given,
            },
            waiting,
            dropped,
        ));
        Self { requests }
    }

    pub(crate) async fn take(&self, name: &str) -> Result<Option<Lease>, StoreError> {
        let (reply, answer) = oneshot::channel();
        let stopped = || StoreError::Unavailable("the server is stopping".to_owned());
        self.requests
            .send(Take {
                name: name.to_owned(),
                reply,
            })
            .await
            .map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())?
    }
}

async fn run(
    mut holder: Holder,
    mut waiting: mpsc::Receiver<Take>,
    mut dropped: mpsc::UnboundedReceiver<Given>,
) {
    let mut heartbeat = interval(HEARTBEAT);
    heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            // Leases given back come first, so that they can be taken anew at once.
            biased;
            Some(given) = dropped.recv() => holder.give(given).await,
            request = waiting.recv() => match request {
                Some(Take { name, reply }) => {
                    let taken = holder.take(&name).await.map_err(Fault::into_store_error);
                    // A lease that nobody waits for any more is dropped, and so given back.
                    _ = reply.send(taken);
                }
                None => return,
            },
            _ = heartbeat.tick() => holder.heartbeat().await,
        }
    }
}

struct Holder {
    connector: Connector,
    /// Tells the leases of deployments in one database apart.
    prefix: String,
    session: Option<Session>,
    number: u64,
    given: mpsc::UnboundedSender<Given>,
}

struct Session {
    client: ClientWrapper,
    /// The database would give the same session a lock twice.
    held: HashSet<String>,
    lost: watch::Sender<bool>,
    number: u64,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.lost.send_replace(true);
    }
}

impl Holder {
    async fn take(&mut self, name: &str) -> Result<Option<Lease>, Fault> {
        let mut session = self.session().await?;
        if session.held.contains(name) {
            self.session = Some(session);
            return Ok(None);
        }
        // On an error the session is dropped: its leases are lost.
        let taken = session.ask(TAKE, &self.key(name)).await?;
        let lease = taken.then(|| {
            session.held.insert(name.to_owned());
            let held = Held {
                name: name.to_owned(),
                session: session.number,
                given: self.given.clone(),
            };
            Lease::revocable(held, session.lost.subscribe())
        });
        self.session = Some(session);
        Ok(lease)
    }

    async fn session(&mut self) -> Result<Session, Fault> {
        if let Some(session) = self.session.take_if(|session| !session.client.is_closed()) {
            return Ok(session);
        }
        self.session = None;
        let client = self.connector.connect().await?;
        self.number += 1;
        Ok(Session {
            client,
            held: HashSet::new(),
            lost: watch::Sender::new(false),
            number: self.number,
        })
    }

    async fn give(&mut self, given: Given) {
        let Some(mut session) = self.session.take_if(|session| session.number == given.session) else {
            return;
        };
        session.held.remove(&given.name);
        if session.ask(GIVE, &self.key(&given.name)).await.is_ok() {
            self.session = Some(session);
        }
    }

    async fn heartbeat(&mut self) {
        let Some(session) = self.session.take() else {
            return;
        };
        if session.held.is_empty() || session.ask("SELECT $1 = ''", "").await.is_ok() {
            self.session = Some(session);
        } else {
            tracing::warn!("the connection that holds this node's leases is lost");
        }
    }

    fn key(&self, name: &str) -> String {
        format!("{} {name}", self.prefix)
    }
}

impl Session {
    async fn ask(&self, question: &str, name: &str) -> Result<bool, Fault> {
        let answered = async {
            let statement = self.client.prepare_cached(question).await?;
            self.client.query_one(&statement, &[&name]).await?.try_get(0)
        };
        Ok(timeout(ANSWER_TIMEOUT, answered)
            .await
            .map_err(|_| Fault::Timeout)??)
    }
}

/// Gives the lease back when dropped.
struct Held {
    name: String,
    session: u64,
    given: mpsc::UnboundedSender<Given>,
}

impl Drop for Held {
    fn drop(&mut self) {
        // An error means that the connection has been closed.
        _ = self.given.send(Given {
            name: std::mem::take(&mut self.name),
            session: self.session,
        });
    }
}
