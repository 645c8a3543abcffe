//! Putting what was decided on the disk, and then before the readers.

use std::sync::Arc;

use gatehouse_events::Event;
use gatehouse_store::{Batch, Commit, CommitError, StoreError, Topic};
use tokio::sync::OwnedMutexGuard;

use super::{RoomTransaction, TransactionKey};
use crate::{
    Rooms,
    head::RoomHead,
    tables::HEADS,
    turns::{RoomSlot, Shown, Tip, Unsettled},
};

/// What is left of a transaction while the disk works.
struct Settling {
    rooms: Rooms,
    slot: Arc<RoomSlot>,
    head: Arc<RoomHead>,
    epoch: u64,
    appended: Vec<Arc<Event>>,
    redacted: Vec<Arc<Event>>,
    transaction: Option<TransactionKey>,
}

impl RoomTransaction {
    /// Commits everything, and lets the next writer go on before the disk has it.
    pub(crate) async fn commit(self) -> Result<(), CommitError> {
        Self::commit_together([self]).await
    }

    /// As [`Self::commit`], several rooms at once: all of them change, or none.
    pub(crate) async fn commit_together<const N: usize>(transactions: [Self; N]) -> Result<(), CommitError> {
        let mut batch = Batch::new();
        let store = transactions.first().map(|first| first.rooms.store.clone());
        let (turns, settling): (Vec<_>, Vec<_>) = transactions
            .into_iter()
            .map(|transaction| transaction.move_tip(&mut batch))
            .unzip();
        let Some(store) = store else { return Ok(()) };
        let durable = store.commit(batch);
        drop(turns);
        // A task of its own: whoever waits may go away, and what was committed must be shown all the same.
        let settled = tokio::spawn(async move {
            let outcome = durable.await;
            for settling in settling {
                settling.settle(&outcome).await;
            }
            outcome.map(|_| ())
        });
        settled.await.unwrap_or_else(|_| {
            Err(StoreError::Unavailable("the server is stopping; try again".to_owned()).into())
        })
    }

    /// Adds what is to be committed to the batch, and lets whoever has the turn next build on it.
    fn move_tip(mut self, batch: &mut Batch) -> (OwnedMutexGuard<Tip>, Settling) {
        let key = (self.head.room_id.clone(),);
        self.batch.expect(&HEADS, &key, self.before.as_ref());
        self.batch.put(&HEADS, &key, &self.head.row());
        self.batch.touch(Topic::Room(self.head.room_id.clone()));
        batch.append(self.batch);
        let head = Arc::new(self.head);
        self.turn.head = Some(Arc::clone(&head));
        let mut hashes = self.hashes;
        self.slot
            .settle_later(self.appended.iter().map(|event| Unsettled {
                event: Arc::clone(event),
                reference_hash: hashes.remove(&event.event_id).unwrap_or_default(),
            }));
        if let Some(key) = self.transaction.clone() {
            self.slot.begin_transaction(key);
        }
        let settling = Settling {
            rooms: self.rooms,
            slot: self.slot,
            head,
            epoch: self.turn.epoch,
            appended: self.appended,
            redacted: self.redacted,
            transaction: self.transaction,
        };
        (self.turn, settling)
    }
}

impl Settling {
    /// Shows readers what was committed, or forgets it.
    async fn settle(self, outcome: &Result<Commit, CommitError>) {
        match outcome {
            Ok(commit) => {
                let state = self.appended.iter().filter(|event| event.is_state());
                for event in state.chain(&self.redacted) {
                    self.rooms.shared.events.insert(event);
                }
                // It was committed on top of what was known, so no other node's change is before it.
                self.slot.publish(Shown {
                    head: self.head,
                    through: commit.first,
                });
            }
            Err(error) => {
                if matches!(error, CommitError::Store(_)) {
                    self.slot.distrust();
                }
                self.slot.invalidate(self.epoch).await;
            }
        }
        self.slot.settled(&self.appended, self.transaction.as_ref());
    }
}
