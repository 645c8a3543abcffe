//! The one task that writes: takes the batches that wait, and tries until it knows how they ended.

use std::{sync::Arc, time::Duration};

use deadpool_postgres::ClientWrapper;
use gatehouse_store::{Batch, CommitError, Position, StoreError, group::GROUP_BATCHES};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, sleep, timeout_at},
};

use crate::{
    connect::Connector,
    failure::Fault,
    shared::Shared,
    transaction::{self, Decided},
};

/// How many batches may wait; more are refused as unavailable.
pub(crate) const WAITING_BATCHES: usize = 4_096;

/// How long a batch waits for a database that is away, counted from when it was submitted.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(9);

/// Batches that have waited too long behind others get one quick try.
const LAST_TRY: Duration = Duration::from_millis(250);

/// The first pause before another try; it doubles up to [`LAST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LAST_PAUSE: Duration = Duration::from_millis(500);

/// How a commit ended.
pub(crate) type Outcome = Result<Position, CommitError>;

/// A batch, since when it waits, and where its outcome goes.
pub(crate) struct Request {
    pub(crate) batch: Batch,
    pub(crate) submitted: Instant,
    pub(crate) reply: oneshot::Sender<Outcome>,
}

/// Commits groups until nobody can submit any more, and all are done.
pub(crate) async fn run(connector: Connector, shared: Arc<Shared>, mut queue: mpsc::Receiver<Request>) {
    let mut committer = Committer {
        connector,
        shared,
        connection: None,
        attempts: 0,
    };
    let mut requests = Vec::with_capacity(GROUP_BATCHES);
    while queue.recv_many(&mut requests, GROUP_BATCHES).await > 0 {
        committer.commit(&mut requests).await;
    }
}

struct Committer {
    connector: Connector,
    shared: Arc<Shared>,
    connection: Option<ClientWrapper>,
    /// Numbers the tries, for asking later how one ended.
    attempts: i64,
}

/// What one try came to.
enum Attempt {
    Committed(Decided),
    /// It did not happen.
    Failed(Fault),
    /// It may have happened.
    Doubtful(Decided, Fault),
}

impl Committer {
    async fn commit(&mut self, requests: &mut Vec<Request>) {
        let now = Instant::now();
        let oldest = requests
            .iter()
            .map(|request| request.submitted)
            .min()
            .unwrap_or(now);
        let deadline = (oldest + COMMIT_TIMEOUT).max(now + LAST_TRY);
        let (batches, replies): (Vec<_>, Vec<_>) = requests
            .drain(..)
            .map(|request| (request.batch, request.reply))
            .unzip();
        let outcomes = match self.settle(&batches, deadline).await {
            Ok(outcomes) => outcomes,
            // One of them may be to blame; the others are not to suffer for it.
            Err(fault) if batches.len() > 1 && !fault.is_transient() => {
                let mut outcomes = Vec::with_capacity(batches.len());
                for batch in &batches {
                    match self
                        .settle(
                            std::slice::from_ref(batch),
                            deadline.max(Instant::now() + LAST_TRY),
                        )
                        .await
                    {
                        Ok(one) => outcomes.extend(one),
                        Err(fault) => outcomes.push(Err(fault.into_store_error().into())),
                    }
                }
                outcomes
            }
            Err(fault) => {
                let error = CommitError::Store(fault.into_store_error());
                replies.iter().map(|_| Err(error.clone())).collect()
            }
        };
        for (reply, outcome) in replies.into_iter().zip(outcomes) {
            // An error means that nobody waits for the outcome.
            _ = reply.send(outcome);
        }
    }

    /// Tries until the group is committed, cannot be, or the time is up.
    async fn settle(&mut self, batches: &[Batch], deadline: Instant) -> Result<Vec<Outcome>, Fault> {
        let mut pause = FIRST_PAUSE;
        loop {
            let fault = match self.attempt(batches, deadline).await {
                Attempt::Committed(decided) => return Ok(self.publish(decided)),
                Attempt::Failed(fault) => fault,
                Attempt::Doubtful(decided, fault) => {
                    tracing::warn!(%fault, "the connection was lost during a commit; asking how it ended");
                    if self.was_committed(deadline).await? {
                        return Ok(self.publish(decided));
                    }
                    fault
                }
            };
            if !fault.is_transient() || Instant::now() + pause >= deadline {
                return Err(fault);
            }
            tracing::debug!(%fault, "committing again");
            sleep(pause).await;
            pause = (pause * 2).min(LAST_PAUSE);
        }
    }

    fn publish(&self, decided: Decided) -> Vec<Outcome> {
        self.shared.advance(decided.last);
        decided.outcomes
    }

    async fn attempt(&mut self, batches: &[Batch], deadline: Instant) -> Attempt {
        let mut decided = None;
        self.attempts += 1;
        let outcome = timeout_at(deadline, self.try_commit(batches, &mut decided)).await;
        let fault = match outcome {
            Ok(Ok(connection)) => {
                self.connection = Some(connection);
                return decided.map_or(Attempt::Failed(Fault::Timeout), Attempt::Committed);
            }
            Ok(Err(fault)) => fault,
            Err(_) => Fault::Timeout,
        };
        match decided {
            Some(decided) if fault.leaves_doubt() => Attempt::Doubtful(decided, fault),
            _ => Attempt::Failed(fault),
        }
    }

    /// After an error the connection is dropped, and with it the transaction.
    async fn try_commit(
        &mut self,
        batches: &[Batch],
        decided: &mut Option<Decided>,
    ) -> Result<ClientWrapper, Fault> {
        let connection = self.connection().await?;
        let attempt = transaction::Attempt {
            batches,
            number: self.attempts,
        };
        transaction::commit(&connection, &self.shared, &attempt, decided).await?;
        Ok(connection)
    }

    async fn connection(&mut self) -> Result<ClientWrapper, Fault> {
        match self.connection.take() {
            Some(connection) if !connection.is_closed() => Ok(connection),
            _ => self.connector.connect().await,
        }
    }

    /// Whether the last try was committed. An error: no answer could be had in time.
    async fn was_committed(&mut self, deadline: Instant) -> Result<bool, Fault> {
        // Without an answer a client would have to guess; so this may take longer than the commit itself.
        let deadline = deadline + LAST_PAUSE;
        let mut pause = FIRST_PAUSE;
        loop {
            let asked = timeout_at(deadline, async {
                let connection = self.connection().await?;
                let committed = transaction::was_committed(&connection, &self.shared, self.attempts).await?;
                self.connection = Some(connection);
                Ok(committed)
            });
            let fault = match asked.await {
                Ok(Ok(committed)) => return Ok(committed),
                Ok(Err(fault)) => fault,
                Err(_) => Fault::Timeout,
            };
            if !fault.is_transient() || Instant::now() + pause >= deadline {
                return Err(Fault::Doubt(Box::new(fault)));
            }
            sleep(pause).await;
            pause = (pause * 2).min(LAST_PAUSE);
        }
    }
}

/// Why a batch is not taken.
pub(crate) fn refusal(error: &mpsc::error::TrySendError<Request>) -> StoreError {
    StoreError::Unavailable(match error {
        mpsc::error::TrySendError::Full(_) => {
            "too many writes wait for the database; try again later".to_owned()
        }
        mpsc::error::TrySendError::Closed(_) => "the server is stopping".to_owned(),
    })
}
