//! Decides a group of batches together: the part of group commit that every backend shares.
//!
//! A backend collects the batches that wait, adds them to a [`Group`] in order, writes the group's rows in one go,
//! and then publishes the group's position and notices. Batches of a group see the writes of those before them.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::{Batch, Changes, CommitError, Position, StoreError};

/// How many batches are decided and written together at most: bounds the memory and the latency of one group.
pub const GROUP_BATCHES: usize = 256;

/// A write of one row: the new value, or `None` when it is deleted.
pub type RowWrite = Option<Bytes>;

/// Rows to write by table and key; the last write of a row has won.
pub type GroupWrites = BTreeMap<&'static str, BTreeMap<Vec<u8>, RowWrite>>;

/// Batches decided so far, and what they write together.
#[derive(Debug)]
pub struct Group {
    start: Position,
    last: Position,
    writes: GroupWrites,
    notices: Vec<Changes>,
}

impl Group {
    /// An empty group after everything up to `position`.
    pub fn after(position: Position) -> Self {
        Self {
            start: position,
            last: position,
            writes: BTreeMap::new(),
            notices: Vec::new(),
        }
    }

    /// Accepts the batch, or refuses it whole: when an expectation does not hold, or `read` fails.
    ///
    /// `read` tells what a row held before the group. Returns the first of the batch's positions, or the last one
    /// given so far when it takes none.
    pub fn add(
        &mut self,
        batch: Batch,
        mut read: impl FnMut(&'static str, &[u8]) -> Result<Option<Bytes>, StoreError>,
    ) -> Result<Position, CommitError> {
        for expectation in batch.expectations() {
            let staged = self
                .writes
                .get(expectation.table)
                .and_then(|rows| rows.get(&expectation.key));
            let holds = match staged {
                Some(value) => value.as_deref() == expectation.value.as_deref(),
                None => read(expectation.table, &expectation.key)?.as_deref() == expectation.value.as_deref(),
            };
            if !holds {
                return Err(CommitError::Conflict {
                    table: expectation.table,
                });
            }
        }
        Ok(self.accept(batch))
    }

    fn accept(&mut self, batch: Batch) -> Position {
        let count = batch.position_count();
        let first = if count == 0 { self.last } else { self.last.next() };
        self.last = self.last.plus(count);
        if !batch.topics().is_empty() {
            self.notices.push(Changes {
                position: self.last,
                topics: batch.topics().into(),
            });
        }
        for write in batch.into_resolved(first) {
            self.writes
                .entry(write.table)
                .or_default()
                .insert(write.key, write.value.map(Bytes::from));
        }
        first
    }

    /// The last position given, to be published once the group is durable.
    pub fn last(&self) -> Position {
        self.last
    }

    /// Whether there is nothing to write and no position to record.
    pub fn is_empty(&self) -> bool {
        self.writes.is_empty() && self.last == self.start
    }

    /// The rows to write.
    pub fn writes(&self) -> &GroupWrites {
        &self.writes
    }

    /// What watchers are to be told once the group is visible, in order.
    pub fn notices(&self) -> &[Changes] {
        &self.notices
    }

    /// The rows to write and what watchers are to be told.
    pub fn into_parts(self) -> (GroupWrites, Vec<Changes>) {
        (self.writes, self.notices)
    }
}
