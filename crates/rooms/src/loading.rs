//! Bringing rooms and events from the store into memory.

mod catching_up;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use gatehouse_events::{Event, RoomVersion};
use gatehouse_store::{DecodeError, Direction, Position, Range, StoreError};
use ruma::{OwnedEventId, RoomId};
use tokio::time::Instant;

use crate::{
    Rooms,
    head::{HOT, Partial, RoomHead},
    stored::StoredEvent,
    tables::{CURRENT_STATE, EVENT_INDEX, HEADS, HeadRow, PARTIAL, PARTIAL_SERVERS, ROOMS, TIMELINE},
    turns::{RoomSlot, Shown},
};

/// Rows of the current state read at once.
const BATCH: usize = 1_000;
/// How often a head is read again when somebody writes meanwhile.
const ATTEMPTS: usize = 10;
/// How long it is read again while another node fills the room: that writes often, and a large room takes longer to read.
const PATIENCE_WITH_FILLING: Duration = Duration::from_secs(20);
/// How long a commit's own task is waited for, each time, and how often.
const SHORT_WAIT: Duration = Duration::from_millis(1);
const SHORT_WAITS: usize = 50;

impl Rooms {
    /// The room as the last commit that can be seen left it; `None`: there is no such room here.
    pub async fn head(&self, room_id: &RoomId) -> Result<Option<Arc<RoomHead>>, StoreError> {
        let slot = self.shared.turns.slot(room_id);
        if let Some(shown) = slot.committed() {
            let row = self.store.get(&HEADS, &(room_id.to_owned(),)).await?;
            if row == Some(shown.head.row()) {
                return Ok(Some(shown.head));
            }
        }
        let loaded = self.load_head(&slot, room_id).await?;
        Ok(loaded.map(|shown| shown.head))
    }

    /// Whether another node has changed the room since this tip. A store that is behind of it waits for this node's own
    /// commits.
    pub(crate) async fn is_outdated(&self, head: &RoomHead) -> Result<bool, StoreError> {
        if !self.store.is_shared() {
            return Ok(false);
        }
        let row = self.store.get(&HEADS, &(head.room_id.clone(),)).await?;
        Ok(row.is_some_and(|row| {
            row.sequence > head.sequence || (row.sequence == head.sequence && row != head.row())
        }))
    }

    /// Reads a head from the store, or what has changed since the one that is in memory, and shows it to readers.
    pub(crate) async fn load_head(
        &self,
        slot: &RoomSlot,
        room_id: &RoomId,
    ) -> Result<Option<Shown>, StoreError> {
        if let Some(shown) = self.about_to_be_shown(slot, room_id).await? {
            return Ok(Some(shown));
        }
        let caught_up = match slot.committed() {
            Some(shown) => self.catch_up(&shown).await?,
            None => None,
        };
        let loaded = if caught_up.is_some() {
            caught_up
        } else {
            slot.distrust();
            self.load_all(room_id).await?
        };
        if let Some(shown) = &loaded {
            slot.publish(shown.clone());
        }
        Ok(loaded)
    }

    /// Where nobody else writes, the store is ahead of what is shown only until the commit's own task has shown it. Waiting
    /// for that costs less than reading the room.
    async fn about_to_be_shown(
        &self,
        slot: &RoomSlot,
        room_id: &RoomId,
    ) -> Result<Option<Shown>, StoreError> {
        if self.store.is_shared() {
            return Ok(None);
        }
        for _ in 0..SHORT_WAITS {
            let Some(shown) = slot.committed() else {
                return Ok(None);
            };
            let row = self.store.get(&HEADS, &(room_id.to_owned(),)).await?;
            if row == Some(shown.head.row()) {
                return Ok(Some(shown));
            }
            tokio::time::sleep(SHORT_WAIT).await;
        }
        Ok(None)
    }

    /// Reads a whole head: one state of it, though others may write meanwhile.
    async fn load_all(&self, room_id: &RoomId) -> Result<Option<Shown>, StoreError> {
        let key = (room_id.to_owned(),);
        let Some(room) = self.store.get(&ROOMS, &key).await? else {
            return Ok(None);
        };
        let version = room.version.parse().map_err(|_| StoreError::Corrupt {
            table: ROOMS.name,
            source: DecodeError::Invalid("room version"),
        })?;
        let slot = self.shared.turns.slot(room_id);
        let deadline = Instant::now() + PATIENCE_WITH_FILLING;
        for attempt in 0.. {
            let through = self.store.position();
            let before = self.store.get(&HEADS, &key).await?;
            // Meanwhile a commit of our own may have shown it.
            if let Some(shown) = slot.committed()
                && before == Some(shown.head.row())
            {
                return Ok(Some(shown));
            }
            let is_filled = before.as_ref().is_some_and(|row| row.fills > 0);
            if attempt >= ATTEMPTS && (!is_filled || Instant::now() > deadline) {
                break;
            }
            if attempt > 0 {
                tokio::time::sleep(SHORT_WAIT).await;
            }
            let mut head = RoomHead::empty(room_id.to_owned(), version);
            self.load_state(&mut head).await?;
            if before.as_ref().is_some_and(|row| row.fills > 0) {
                head.partial = self.load_partial(room_id).await?.map(Arc::new);
            }
            let after = self.store.get(&HEADS, &key).await?;
            let (Some(row), true) = (after, before.is_some()) else {
                return Ok(None);
            };
            if before.as_ref() != Some(&row) {
                continue;
            }
            self.complete(&mut head, row).await?;
            let head = Arc::new(head);
            return Ok(Some(Shown { head, through }));
        }
        Err(StoreError::Unavailable(
            "the room changes too fast to be read; try again".to_owned(),
        ))
    }

    /// What is known of a room whose members are being fetched; `None`: it is whole.
    async fn load_partial(&self, room_id: &RoomId) -> Result<Option<Partial>, StoreError> {
        let key = (room_id.to_owned(),);
        let Some(row) = self.store.get(&PARTIAL, &key).await? else {
            return Ok(None);
        };
        let servers = self.store.get(&PARTIAL_SERVERS, &key).await?.unwrap_or_default();
        Ok(Some(Partial {
            join: row.join,
            servers: servers.0.into_iter().collect(),
        }))
    }

    /// Members and other state.
    async fn load_state(&self, head: &mut RoomHead) -> Result<(), StoreError> {
        let room = head.room_id.clone();
        let mut range = Range::prefix(&(room,));
        loop {
            let rows = self
                .store
                .scan(&CURRENT_STATE, &range, Direction::Forward, BATCH)
                .await?;
            let full = rows.len() == BATCH;
            if let Some((last, _)) = rows.last() {
                range = range.after(last);
            }
            for ((_, kind, state_key), row) in rows {
                head.set((kind, state_key), row.event_id, row.membership);
            }
            if !full {
                return Ok(());
            }
        }
    }

    /// What the row knows, and the events that are kept parsed.
    async fn complete(&self, head: &mut RoomHead, row: HeadRow) -> Result<(), StoreError> {
        head.extremities = row.extremities;
        head.depth = row.depth;
        head.sequence = row.sequence;
        head.counts = row.counts;
        head.fills = row.fills;
        let wanted: Vec<_> = HOT
            .iter()
            .filter_map(|name| Some((*name, head.state_event_id(name, "")?.clone())))
            .collect();
        let ids: Vec<_> = wanted.iter().map(|(_, id)| id.clone()).collect();
        // Not those in memory, which another node may have redacted.
        for ((name, _), stored) in wanted.iter().zip(self.stored(&ids).await?) {
            if let Some(stored) = stored {
                head.hot.insert(name, stored.event);
            }
        }
        head.refresh_power_levels();
        Ok(())
    }

    /// Events by id, from memory where they are.
    pub(crate) async fn events(&self, ids: &[OwnedEventId]) -> Result<Vec<Option<Arc<Event>>>, StoreError> {
        let mut found: Vec<_> = ids.iter().map(|id| self.shared.events.get(id)).collect();
        let missing: Vec<_> = ids
            .iter()
            .zip(&found)
            .filter(|(_, event)| event.is_none())
            .map(|(id, _)| id.clone())
            .collect();
        if missing.is_empty() {
            return Ok(found);
        }
        let mut loaded = self.stored(&missing).await?.into_iter();
        for slot in found.iter_mut().filter(|slot| slot.is_none()) {
            if let Some(Some(stored)) = loaded.next() {
                self.shared.events.insert(&stored.event);
                *slot = Some(stored.event);
            }
        }
        Ok(found)
    }
}

impl Rooms {
    /// The reference hash of a stored event, in unpadded base64. Room versions 1 and 2 put it beside event ids.
    pub(crate) async fn reference_hash(
        &self,
        event_id: &OwnedEventId,
        version: RoomVersion,
    ) -> Result<Option<String>, StoreError> {
        let Some((room_id, position)) = self.store.get(&EVENT_INDEX, &(event_id.clone(),)).await? else {
            return Ok(None);
        };
        let row = self.store.get(&TIMELINE, &(room_id, position)).await?;
        Ok(row.and_then(|row| gatehouse_events::build::reference_hash_of(&row.pdu, version)))
    }
}

impl Rooms {
    /// Events by their ids, of whatever room, in the order asked. Two round trips and one for each room.
    pub(crate) async fn stored(&self, ids: &[OwnedEventId]) -> Result<Vec<Option<StoredEvent>>, StoreError> {
        let keys: Vec<_> = ids.iter().map(|id| (id.clone(),)).collect();
        let places = self.store.get_many(&EVENT_INDEX, &keys).await?;
        let mut by_room: BTreeMap<_, Vec<Position>> = BTreeMap::new();
        for (room, position) in places.into_iter().flatten() {
            by_room.entry(room).or_default().push(position);
        }
        let mut found = HashMap::with_capacity(ids.len());
        for (room, positions) in by_room {
            let events = self.timeline_rows(&room, &positions).await?;
            found.extend(
                events
                    .into_iter()
                    .map(|event| (event.event_id().to_owned(), event)),
            );
        }
        Ok(ids.iter().map(|id| found.get(id).cloned()).collect())
    }
}
