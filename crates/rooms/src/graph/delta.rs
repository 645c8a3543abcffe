//! A state as its difference from the room's state now.

use std::collections::HashMap;

use gatehouse_events::state_resolution::StateKey;
use gatehouse_store::{Direction, Position, Range, StoreError};
use ruma::{OwnedEventId, RoomId};

use super::loaded::Placed;
use crate::{
    RoomHead, Rooms,
    tables::{STATE_BEFORE, STATE_CHANGES, Standing, StateBase, StateBeforeRow, TIMELINE},
};

/// Rows read at once.
const BATCH: usize = 1_000;
/// How many rows one state is described by at most; a longer chain is written anew against the line.
pub(crate) const MAX_LENGTH: u8 = 64;

/// What a state has otherwise than the room's state now: the event at a key; `None`: it has nothing there.
pub(crate) type Delta = HashMap<StateKey, Option<OwnedEventId>>;

/// Takes out what does not differ.
pub(crate) fn normalise(head: &RoomHead, delta: &mut Delta) {
    delta.retain(|(kind, state_key), event_id| head.state_event_id(kind, state_key) != event_id.as_ref());
}

/// What a state that differs like this has at a key.
pub(crate) fn value(head: &RoomHead, delta: &Delta, key: &StateKey) -> Option<OwnedEventId> {
    match delta.get(key) {
        Some(event_id) => event_id.clone(),
        None => head.state_event_id(&key.0, &key.1).cloned(),
    }
}

/// What the row of the state before an event that follows this one alone says.
pub(crate) fn row_after(parent: &Placed, before: Option<&StateBeforeRow>) -> Option<StateBeforeRow> {
    let (base, length) = match before {
        None if parent.row.is_on_line() => (StateBase::Line(parent.position), 1),
        Some(row) if row.length < MAX_LENGTH => (StateBase::After(parent.position), row.length + 1),
        _ => return None,
    };
    Some(StateBeforeRow {
        base,
        length,
        delta: Vec::new(),
    })
}

impl Rooms {
    /// How the state just before an event differs from the head's; `None`: it is not known here. What the store shows must
    /// be at least as new as the head.
    pub(crate) async fn delta_before(
        &self,
        head: &RoomHead,
        placed: &Placed,
    ) -> Result<Option<Delta>, StoreError> {
        let Some(mut delta) = self.values_before(&head.room_id, placed).await? else {
            return Ok(None);
        };
        normalise(head, &mut delta);
        Ok(Some(delta))
    }

    /// What the state just after an event has at every key that has changed since, at least; `None`: it is not known here.
    pub(super) async fn values_after(
        &self,
        room_id: &RoomId,
        placed: &Placed,
    ) -> Result<Option<Delta>, StoreError> {
        let Some(mut values) = self.values_before(room_id, placed).await? else {
            return Ok(None);
        };
        self.add_own_state(room_id, placed, &mut values).await?;
        Ok(Some(values))
    }

    async fn values_before(&self, room_id: &RoomId, placed: &Placed) -> Result<Option<Delta>, StoreError> {
        if placed.row.is_on_line() {
            return self.line_at(room_id, placed.position.previous()).await.map(Some);
        }
        self.branch_before(room_id, placed.position).await
    }

    /// Adds the state that an event sets.
    async fn add_own_state(
        &self,
        room_id: &RoomId,
        placed: &Placed,
        delta: &mut Delta,
    ) -> Result<(), StoreError> {
        if placed.row.standing == Standing::Rejected {
            return Ok(());
        }
        let Some(version) = self.version_of(room_id).await? else {
            return Ok(());
        };
        let row = &placed.row;
        let event = gatehouse_events::Event::parse(&row.pdu, room_id, version, Some(&row.event_id));
        if let Ok(event) = event
            && let Some(state_key) = event.state_key
        {
            delta.insert((event.kind.to_string(), state_key), Some(event.event_id));
        }
        Ok(())
    }

    /// How the room's state just after a position differed from the head's.
    pub(crate) async fn delta_at(&self, head: &RoomHead, position: Position) -> Result<Delta, StoreError> {
        let mut delta = self.line_at(&head.room_id, position).await?;
        normalise(head, &mut delta);
        Ok(delta)
    }

    /// The keys that have changed since a position, as they were then.
    async fn line_at(&self, room_id: &RoomId, position: Position) -> Result<Delta, StoreError> {
        let room = room_id.to_owned();
        let mut delta = Delta::new();
        let mut range = Range::prefix(&(room.clone(),)).after(&(room, position));
        loop {
            let rows = self
                .store
                .scan(&STATE_CHANGES, &range, Direction::Backward, BATCH)
                .await?;
            let full = rows.len() == BATCH;
            if let Some((last, _)) = rows.last() {
                range = range.before(last);
            }
            // Newest first, so that the oldest change has the last word.
            delta.extend(
                rows.into_iter()
                    .map(|(_, change)| ((change.kind, change.state_key), change.replaced)),
            );
            if !full {
                return Ok(delta);
            }
        }
    }

    /// The state before the event at this position, which is off the line.
    async fn branch_before(&self, room_id: &RoomId, position: Position) -> Result<Option<Delta>, StoreError> {
        let mut at = position;
        let mut rows = Vec::new();
        let mut delta = loop {
            let key = (room_id.to_owned(), at);
            let Some(row) = self.store.get(&STATE_BEFORE, &key).await? else {
                return Ok(None);
            };
            rows.push((at, row.delta));
            if rows.len() > usize::from(MAX_LENGTH) {
                return Ok(None);
            }
            match row.base {
                StateBase::Own => break self.line_at(room_id, at.previous()).await?,
                StateBase::Line(line) => break self.line_at(room_id, line).await?,
                StateBase::After(before) => at = before,
            }
        };
        while let Some((at, changed)) = rows.pop() {
            delta.extend(
                changed
                    .into_iter()
                    .map(|(kind, state_key, event_id)| ((kind, state_key), event_id)),
            );
            if !rows.is_empty()
                && let Some(row) = self.store.get(&TIMELINE, &(room_id.to_owned(), at)).await?
            {
                let placed = Placed { position: at, row };
                self.add_own_state(room_id, &placed, &mut delta).await?;
            }
        }
        Ok(Some(delta))
    }
}
