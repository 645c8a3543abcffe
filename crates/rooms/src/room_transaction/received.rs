//! Taking an event of another server into a room: the graph decides, and here the rows are written.

use std::sync::Arc;

use gatehouse_events::{Event, RoomVersion};
use gatehouse_store::{Batch, CommitError, Position, StoreError};
use ruma::{OwnedEventId, RoomId};

use super::{MAX_DEPTH, RoomTransaction};
use crate::{
    Rooms,
    head::RoomHead,
    tables::{EventRow, HEADS, ROOMS, RoomRow, STATE_COPIES},
};

impl Rooms {
    /// Takes the turn of a room, which may be new here.
    pub(crate) async fn begin_adoption(
        &self,
        room_id: &RoomId,
        version: RoomVersion,
    ) -> Result<RoomTransaction, StoreError> {
        self.shared.end_states.forget();
        if let Some(transaction) = self.begin(room_id).await? {
            return Ok(transaction);
        }
        let slot = self.shared.turns.slot(room_id);
        let turn = Arc::clone(&slot.tip).lock_owned().await;
        let head = RoomHead::empty(room_id.to_owned(), version);
        let mut transaction = RoomTransaction::new(self, slot, turn, None, head);
        let row = RoomRow {
            version: version.name().to_owned(),
        };
        transaction.batch.expect(&ROOMS, &(room_id.to_owned(),), None);
        transaction.batch.put(&ROOMS, &(room_id.to_owned(),), &row);
        Ok(transaction)
    }
}

impl RoomTransaction {
    /// Waits until the store shows all that this builds on, so that places and changes can be read from it.
    pub(crate) async fn settle(self) -> Result<Self, CommitError> {
        let key = (self.head.room_id.clone(),);
        if self.rooms.store.get(&HEADS, &key).await? == self.before {
            return Ok(self);
        }
        let mut batch = Batch::new();
        batch.expect(&HEADS, &key, self.before.as_ref());
        if let Err(error) = self.rooms.store.commit(batch).await {
            let (slot, epoch) = (Arc::clone(&self.slot), self.turn.epoch);
            drop(self);
            slot.invalidate(epoch).await;
            return Err(error);
        }
        Ok(self)
    }

    /// Keeps an event and counts it. What it does to the graph's ends and to the state is said apart.
    pub(crate) fn put_received(
        &mut self,
        position: Position,
        row: &EventRow,
        event: &Arc<Event>,
        reference_hash: String,
    ) {
        self.put_event(position, row, event);
        self.head.sequence += 1;
        if row.standing.is_shown() {
            self.hashes.insert(event.event_id.clone(), reference_hash);
            self.appended.push(Arc::clone(event));
        }
    }

    /// Remembers where an event was kept before it became part of the timeline.
    pub(crate) fn put_copy(&mut self, event_id: &OwnedEventId, position: Position) {
        let place = (self.head.room_id.clone(), position);
        self.batch.put(&STATE_COPIES, &(event_id.clone(),), &place);
    }

    /// Says which ends the graph has now, of which one is this deep.
    pub(crate) fn set_ends(&mut self, ends: Vec<OwnedEventId>, depth: u64) {
        self.head.extremities = ends;
        self.head.depth = self.head.depth.max(depth).min(MAX_DEPTH);
    }
}
