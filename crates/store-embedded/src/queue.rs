//! The batches that wait for the committer.

use std::collections::VecDeque;

use gatehouse_store::{Batch, CommitError, Position, StoreError, group::GROUP_BATCHES};
use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

/// How many batches may wait; more are refused as unavailable. At 100 KiB for the largest event with its rows
/// this bounds the memory; at 1,000 syncs a second it is a wait of 16 milliseconds.
const WAITING_BATCHES: usize = 4_096;

/// How a commit ended.
pub(crate) type Outcome = Result<Position, CommitError>;

/// A batch, and where its outcome goes.
pub(crate) struct Request {
    pub(crate) batch: Batch,
    pub(crate) reply: oneshot::Sender<Outcome>,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Request>,
    /// Why nothing more is taken.
    refusal: Option<StoreError>,
}

/// First in, first out; bounded; closed once and for ever.
#[derive(Default)]
pub(crate) struct Queue {
    state: Mutex<State>,
    wake: Condvar,
}

impl Queue {
    /// Appends the batch. Its outcome comes through the receiver; at once when it is refused.
    pub(crate) fn push(&self, batch: Batch) -> oneshot::Receiver<Outcome> {
        let (reply, outcome) = oneshot::channel();
        let mut state = self.state.lock();
        let refusal = match &state.refusal {
            Some(refusal) => Some(refusal.clone()),
            None if state.waiting.len() >= WAITING_BATCHES => Some(StoreError::Unavailable(
                "too many writes wait for the disk; try again later".to_owned(),
            )),
            None => None,
        };
        if let Some(refusal) = refusal {
            _ = reply.send(Err(refusal.into()));
        } else {
            state.waiting.push_back(Request { batch, reply });
            self.wake.notify_one();
        }
        outcome
    }

    /// Waits for batches, and takes as many as make a group. `None`: closed, and all are taken.
    pub(crate) fn take_group(&self) -> Option<Vec<Request>> {
        let mut state = self.state.lock();
        while state.waiting.is_empty() {
            if state.refusal.is_some() {
                return None;
            }
            self.wake.wait(&mut state);
        }
        let count = state.waiting.len().min(GROUP_BATCHES);
        Some(state.waiting.drain(..count).collect())
    }

    /// Takes nothing more. What waits is still to be taken.
    pub(crate) fn close(&self, refusal: StoreError) {
        self.state.lock().refusal.get_or_insert(refusal);
        self.wake.notify_all();
    }

    /// Takes nothing more, and answers what waits with the refusal.
    pub(crate) fn fail(&self, refusal: &StoreError) {
        let waiting = {
            let mut state = self.state.lock();
            state.refusal = Some(refusal.clone());
            std::mem::take(&mut state.waiting)
        };
        self.wake.notify_all();
        for request in waiting {
            // An error means that nobody waits for the outcome.
            _ = request.reply.send(Err(refusal.clone().into()));
        }
    }
}
