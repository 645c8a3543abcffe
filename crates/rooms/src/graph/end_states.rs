//! What the states are at the ends of a graph, kept from one event to the next.
//!
//! Every event that does not follow all that is here asks for the states at all ends. Where branches began long ago, each of
//! them would be read from the changes since then, each time (security.md E28). So what was read is kept, and what has
//! changed meanwhile is added.

use std::{collections::HashSet, sync::Arc};

use gatehouse_store::{Direction, Position, Range, StoreError};
use ruma::{OwnedEventId, RoomId};

use super::{
    delta::{Delta, normalise},
    loaded::Placed,
};
use crate::{RoomHead, Rooms, end_state_cache::EndState, tables::STATE_CHANGES};

/// Changes read at once.
const BATCH: usize = 1_000;
/// After more changes than this, an end is read anew.
const MAX_CHANGES: usize = 10_000;

impl Rooms {
    /// How the states just after these events differ from the head's, in their order; `None`: it is not known here. Says also
    /// through which change all of that is so. What the store shows must be at least as new as the head.
    pub(crate) async fn deltas_after(
        &self,
        head: &RoomHead,
        events: &[&Placed],
    ) -> Result<(Vec<Option<Delta>>, Position), StoreError> {
        let room_id = &head.room_id;
        let newest = self.newest_change(room_id).await?;
        let known: Vec<_> = events
            .iter()
            .map(|placed| {
                let event_id = &placed.row.event_id;
                self.shared.end_states.get(room_id, event_id, head.fills)
            })
            .collect();
        let oldest = known.iter().flatten().map(|state| state.through).min();
        let changes = match oldest {
            Some(oldest) if oldest < newest => self.first_changes(room_id, oldest).await?,
            _ => Some(Vec::new()),
        };
        let mut deltas = Vec::with_capacity(events.len());
        for (placed, known) in events.iter().zip(known) {
            let state = if let (Some(known), Some(changes)) = (known, &changes) {
                Some(caught_up(known, changes, newest))
            } else {
                let read = self.values_after(room_id, placed).await?;
                read.map(|values| {
                    Arc::new(EndState {
                        through: newest,
                        values,
                    })
                })
            };
            if let Some(state) = &state {
                let event_id = &placed.row.event_id;
                let end_states = &self.shared.end_states;
                end_states.keep(room_id, event_id, head.fills, Arc::clone(state));
            }
            deltas.push(state.map(|state| {
                let mut delta = state.values.clone();
                normalise(head, &mut delta);
                delta
            }));
        }
        Ok((deltas, newest))
    }

    /// Where the room's state last changed.
    async fn newest_change(&self, room_id: &RoomId) -> Result<Position, StoreError> {
        let range = Range::prefix(&(room_id.to_owned(),));
        let rows = self
            .store
            .scan(&STATE_CHANGES, &range, Direction::Backward, 1)
            .await?;
        Ok(rows.first().map_or(Position::ZERO, |(key, _)| key.1))
    }

    /// What each change after a position replaced, oldest first; `None`: there are too many.
    async fn first_changes(
        &self,
        room_id: &RoomId,
        after: Position,
    ) -> Result<Option<Vec<Change>>, StoreError> {
        let room = room_id.to_owned();
        let mut range = Range::prefix(&(room.clone(),)).after(&(room, after));
        let mut changes = Vec::new();
        let mut seen = HashSet::new();
        loop {
            let rows = self
                .store
                .scan(&STATE_CHANGES, &range, Direction::Forward, BATCH)
                .await?;
            let full = rows.len() == BATCH;
            if let Some((last, _)) = rows.last() {
                range = range.after(last);
            }
            for ((_, position), change) in rows {
                let key = (change.kind, change.state_key);
                seen.insert(key.clone());
                changes.push((position, key, change.replaced));
            }
            if seen.len() > MAX_CHANGES || changes.len() > 2 * MAX_CHANGES {
                return Ok(None);
            }
            if !full {
                return Ok(Some(changes));
            }
        }
    }
}

/// Where a key changed, and what it had before.
type Change = (Position, (String, String), Option<OwnedEventId>);

/// A state with what has changed since it was read: those keys had until then what the first change of each replaced.
fn caught_up(state: Arc<EndState>, changes: &[Change], through: Position) -> Arc<EndState> {
    let mut since = changes
        .iter()
        .filter(|(position, ..)| *position > state.through)
        .peekable();
    if since.peek().is_none() {
        return state;
    }
    let mut values = state.values.clone();
    for (_, key, replaced) in since {
        if !values.contains_key(key) {
            values.insert(key.clone(), replaced.clone());
        }
    }
    Arc::new(EndState { through, values })
}
