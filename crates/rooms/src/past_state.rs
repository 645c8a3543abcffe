//! The room's state, now or as it was at a position.
//!
//! The state of the past is the state of now with every later change undone, newest first. Where the graph has branches,
//! this is the state that this server held to be the room's at that position: the room's *line*. The state before a
//! single event of a branch is in [`crate::graph`].

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::try_join_all;
use gatehouse_store::{Direction, Position, Range, StoreError};
use ruma::{OwnedEventId, OwnedRoomId, OwnedUserId, RoomId};

use crate::{
    Rooms,
    stored::StoredEvent,
    tables::{CURRENT_STATE, STATE_CHANGES, STATE_HISTORY},
};

/// The type of membership events.
const MEMBER: &str = "m.room.member";
/// Rows read at once.
const BATCH: usize = 1_000;

/// Where the event is that set each state key.
type StatePlaces = BTreeMap<(String, String), Place>;

/// Where an event is, or which it is when its place is still to be looked up.
#[derive(Debug)]
enum Place {
    At(Position),
    Of(OwnedEventId),
}

/// Which state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Everything,
    Members,
    AllButMembers,
}

impl Part {
    fn holds(self, kind: &str) -> bool {
        match self {
            Self::Everything => true,
            Self::Members => kind == MEMBER,
            Self::AllButMembers => kind != MEMBER,
        }
    }

    /// The stretches of the table of current state that hold it.
    fn ranges(self, room_id: &RoomId) -> Vec<Range<(OwnedRoomId, String, String)>> {
        let room = || (room_id.to_owned(),);
        let members = (room_id.to_owned(), MEMBER.to_owned());
        match self {
            Self::Everything => vec![Range::prefix(&room())],
            Self::Members => vec![Range::prefix(&members)],
            Self::AllButMembers => vec![
                Range::prefix(&room()).before(&members),
                Range::prefix(&room()).after(&members),
            ],
        }
    }
}

impl Rooms {
    /// All state events just after the one at this position.
    pub async fn state_at(
        &self,
        room_id: &RoomId,
        position: Position,
    ) -> Result<Vec<StoredEvent>, StoreError> {
        self.part_at(room_id, position, Part::Everything).await
    }

    /// The same without members: its cost does not grow with how many there are.
    pub async fn state_without_members_at(
        &self,
        room_id: &RoomId,
        position: Position,
    ) -> Result<Vec<StoredEvent>, StoreError> {
        self.part_at(room_id, position, Part::AllButMembers).await
    }

    /// All membership events as they stood just after the event at this position.
    pub async fn all_members_at(
        &self,
        room_id: &RoomId,
        position: Position,
    ) -> Result<Vec<StoredEvent>, StoreError> {
        self.part_at(room_id, position, Part::Members).await
    }

    /// The membership events of these users as they stood just after the event at this position.
    pub async fn members_at(
        &self,
        room_id: &RoomId,
        users: impl IntoIterator<Item = OwnedUserId>,
        position: Position,
    ) -> Result<Vec<StoredEvent>, StoreError> {
        let users: BTreeSet<OwnedUserId> = users.into_iter().collect();
        let keys: Vec<_> = users
            .iter()
            .map(|user| (room_id.to_owned(), MEMBER.to_owned(), user.to_string()))
            .collect();
        let current = self.store.get_many(&CURRENT_STATE, &keys).await?;
        let places = users
            .iter()
            .zip(current)
            .map(async |(user, current)| match current {
                None if position == Position::MAX => Ok(None),
                Some(row) if row.since <= position => Ok(Some(row.place)),
                _ => {
                    self.state_place_at(room_id, MEMBER, user.as_str(), position)
                        .await
                }
            });
        let places: Vec<_> = try_join_all(places).await?.into_iter().flatten().collect();
        self.timeline_rows(room_id, &places).await
    }

    /// One state event as it stood just after the event at this position.
    pub async fn state_event_at(
        &self,
        room_id: &RoomId,
        kind: &str,
        state_key: &str,
        position: Position,
    ) -> Result<Option<StoredEvent>, StoreError> {
        let Some(place) = self.state_place_at(room_id, kind, state_key, position).await? else {
            return Ok(None);
        };
        Ok(self.timeline_rows(room_id, &[place]).await?.into_iter().next())
    }

    async fn state_place_at(
        &self,
        room_id: &RoomId,
        kind: &str,
        state_key: &str,
        position: Position,
    ) -> Result<Option<Position>, StoreError> {
        let key = (room_id.to_owned(), kind.to_owned(), state_key.to_owned());
        let range = Range::prefix(&key).through(&(key.0.clone(), key.1.clone(), key.2.clone(), position));
        let rows = self
            .store
            .scan(&STATE_HISTORY, &range, Direction::Backward, 1)
            .await?;
        Ok(rows
            .into_iter()
            .next()
            .and_then(|(_, version)| version.event)
            .map(|(_, place)| place))
    }

    async fn part_at(
        &self,
        room_id: &RoomId,
        position: Position,
        part: Part,
    ) -> Result<Vec<StoredEvent>, StoreError> {
        let mut places = StatePlaces::new();
        for range in part.ranges(room_id) {
            self.read_places(range, &mut places).await?;
        }
        self.undo_after(room_id, position, part, &mut places).await?;
        self.at_places(room_id, places).await
    }

    async fn read_places(
        &self,
        mut range: Range<(OwnedRoomId, String, String)>,
        places: &mut StatePlaces,
    ) -> Result<(), StoreError> {
        loop {
            let rows = self
                .store
                .scan(&CURRENT_STATE, &range, Direction::Forward, BATCH)
                .await?;
            let full = rows.len() == BATCH;
            if let Some((last, _)) = rows.last() {
                range = range.after(last);
            }
            let found = rows
                .into_iter()
                .map(|((_, kind, state_key), row)| ((kind, state_key), Place::At(row.place)));
            places.extend(found);
            if !full {
                return Ok(());
            }
        }
    }

    /// Takes back the changes after a position. Changes that `places` does not know yet do no harm: undone, they
    /// leave what was there before them.
    async fn undo_after(
        &self,
        room_id: &RoomId,
        position: Position,
        part: Part,
        places: &mut StatePlaces,
    ) -> Result<(), StoreError> {
        let room = room_id.to_owned();
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
            for (_, change) in rows {
                if !part.holds(&change.kind) {
                    continue;
                }
                let key = (change.kind, change.state_key);
                match change.replaced {
                    Some(before) => places.insert(key, Place::Of(before)),
                    None => places.remove(&key),
                };
            }
            if !full {
                return Ok(());
            }
        }
    }

    async fn at_places(&self, room_id: &RoomId, places: StatePlaces) -> Result<Vec<StoredEvent>, StoreError> {
        let mut positions = Vec::new();
        let mut ids = Vec::new();
        for place in places.into_values() {
            match place {
                Place::At(position) => positions.push(position),
                Place::Of(event_id) => ids.push(event_id),
            }
        }
        positions.sort_unstable();
        let mut events = Vec::with_capacity(positions.len() + ids.len());
        for positions in positions.chunks(BATCH) {
            events.extend(self.timeline_rows(room_id, positions).await?);
        }
        for ids in ids.chunks(BATCH) {
            events.extend(self.events_in_room(room_id, ids).await?);
        }
        events.sort_by_key(|event| event.position);
        Ok(events)
    }
}
