//! Taking in what other nodes have changed in a room that is in memory.

use std::{collections::HashSet, sync::Arc};

use gatehouse_store::{Position, StoreError};

use super::ATTEMPTS;
use crate::{
    Rooms,
    head::RoomHead,
    tables::{CURRENT_STATE, HEADS},
    turns::Shown,
};

/// After more changes than this the room is read as a whole, which takes as long.
const MAX_CHANGES: usize = 1_000;

impl Rooms {
    /// The room as it is now, from what it was and the changes since. `None`: it is better read as a whole.
    pub(super) async fn catch_up(&self, known: &Shown) -> Result<Option<Shown>, StoreError> {
        let key = (known.head.room_id.clone(),);
        for _ in 0..ATTEMPTS {
            let through = self.store.position().max(known.through);
            let before = self.store.get(&HEADS, &key).await?;
            let mut head = RoomHead::clone(&known.head);
            if !self.take_in_changes(&mut head, known.through).await? {
                return Ok(None);
            }
            let Some(row) = self.store.get(&HEADS, &key).await? else {
                return Ok(None);
            };
            // The changes do not tell what was filled in, nor which events were rejected after all.
            if row.fills != known.head.fills {
                if self.store.is_shared() {
                    self.shared.events.clear();
                }
                return Ok(None);
            }
            // A store that knows less than this node has lost something.
            if row.sequence < known.head.sequence {
                return Ok(None);
            }
            if before.as_ref() == Some(&row) {
                self.complete(&mut head, row).await?;
                let head = Arc::new(head);
                return Ok(Some(Shown { head, through }));
            }
        }
        Ok(None)
    }

    /// `false`: there are too many.
    async fn take_in_changes(&self, head: &mut RoomHead, after: Position) -> Result<bool, StoreError> {
        let room_id = head.room_id.clone();
        let changes = self
            .state_changes(&room_id, after, Position::MAX, MAX_CHANGES)
            .await?;
        if changes.len() == MAX_CHANGES {
            return Ok(false);
        }
        let keys: HashSet<_> = changes
            .into_iter()
            .map(|change| (room_id.clone(), change.kind, change.state_key))
            .collect();
        let keys: Vec<_> = keys.into_iter().collect();
        let rows = self.store.get_many(&CURRENT_STATE, &keys).await?;
        for ((_, kind, state_key), row) in keys.into_iter().zip(rows) {
            match row {
                Some(row) => head.set((kind, state_key), row.event_id, row.membership),
                None => head.unset(&(kind, state_key)),
            }
        }
        Ok(true)
    }
}
