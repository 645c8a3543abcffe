//! Events as the timeline holds them, read in batches.

use std::sync::Arc;

use gatehouse_events::{Event, RoomVersion};
use gatehouse_store::{Direction, Position, Range, StoreError};
use ruma::{EventId, OwnedDeviceId, OwnedEventId, RoomId, UserId, events::room::member::MembershipState};
use serde_json::{Value, value::RawValue};

use crate::{
    Rooms,
    filter::Candidate,
    history_visibility::{PositionRange, Sight},
    tables::{EVENT_INDEX, EventRow, ROOMS, Standing, TIMELINE},
};

/// An event with its place in the room and what the server knows of it besides.
#[derive(Debug, Clone)]
pub struct StoredEvent {
    /// Its place.
    pub position: Position,
    /// The event; what is left of it when it is redacted.
    pub event: Arc<Event>,
    /// The redaction that applied to it.
    pub redacted_by: Option<OwnedEventId>,
    /// The device that sent it and its transaction id.
    pub transaction: Option<(OwnedDeviceId, String)>,
    /// What it is to the room.
    pub(crate) standing: Standing,
    off_line: bool,
    after_gap: bool,
    kind: String,
}

impl StoredEvent {
    /// From a row; `None` when its PDU does not parse, which only damage can bring about.
    pub(crate) fn read(
        room_id: &RoomId,
        version: RoomVersion,
        position: Position,
        row: EventRow,
    ) -> Option<Self> {
        let mut event = Event::parse(&row.pdu, room_id, version, Some(&row.event_id)).ok()?;
        event.rejected = row.standing == Standing::Rejected;
        Some(Self {
            standing: row.standing,
            off_line: row.off_line,
            after_gap: row.after_gap,
            position,
            kind: event.kind.to_string(),
            event: Arc::new(event),
            redacted_by: row.redacted_by,
            transaction: row.transaction,
        })
    }

    /// Its id.
    pub fn event_id(&self) -> &EventId {
        &self.event.event_id
    }

    /// Whether it came in beside the room's line: the room's state may have changed with it otherwise than it says.
    pub fn is_off_line(&self) -> bool {
        self.off_line || self.after_gap || self.standing != Standing::Accepted
    }

    /// Whether it follows events that are not here, though other servers have them.
    pub fn is_after_gap(&self) -> bool {
        self.after_gap
    }

    /// Its type.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// Its state key, when it is a state event.
    pub fn state_key(&self) -> Option<&str> {
        self.event.state_key.as_deref()
    }

    /// Who sent it.
    pub fn sender(&self) -> &UserId {
        &self.event.sender
    }

    /// Its content.
    pub fn content(&self) -> &RawValue {
        &self.event.content
    }

    /// When it was sent, in milliseconds since 1970.
    pub fn origin_server_ts(&self) -> u64 {
        self.event.origin_server_ts
    }

    /// The `rel_type` of its relation to another event.
    pub fn rel_type(&self) -> Option<String> {
        match self.content_field("m.relates_to")? {
            Value::Object(relation) => Some(relation.get("rel_type")?.as_str()?.to_owned()),
            _ => None,
        }
    }

    /// Whether a field of the content is an object.
    pub fn content_is_object(&self, field: &str) -> bool {
        matches!(self.content_field(field), Some(Value::Object(_)))
    }

    /// A field of the content when it is a string; anything else counts as absent (D08).
    pub fn content_text(&self, field: &str) -> Option<String> {
        match self.content_field(field)? {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// Whether a field of the content is `true`.
    pub fn content_is_true(&self, field: &str) -> bool {
        self.content_field(field) == Some(Value::Bool(true))
    }

    /// The membership in the content of an `m.room.member`, when it is one of the specification's.
    pub fn membership(&self) -> Option<MembershipState> {
        let membership = MembershipState::from(self.content_text("membership")?);
        match membership {
            MembershipState::Ban
            | MembershipState::Invite
            | MembershipState::Join
            | MembershipState::Knock
            | MembershipState::Leave => Some(membership),
            _ => None,
        }
    }

    /// What decides whether a user may see it.
    pub fn sight(&self) -> Sight<'_> {
        Sight {
            position: self.position,
            kind: self.kind(),
            state_key: self.state_key(),
        }
    }

    /// What a filter looks at.
    pub fn candidate(&self) -> Candidate<'_> {
        Candidate {
            kind: self.kind(),
            sender: self.sender().as_str(),
            content: self.content(),
        }
    }

    fn content_field(&self, field: &str) -> Option<Value> {
        let mut content: serde_json::Map<String, Value> = self.event.content_as()?;
        content.remove(field)
    }
}

/// A stretch of a room's timeline.
#[derive(Debug, Default)]
pub struct TimelineRows {
    /// The events in the order of the scan; those that are not part of what clients see are left out.
    pub events: Vec<StoredEvent>,
    /// How many rows there were, those left out among them: less than the limit means that there are no more.
    pub scanned: usize,
    /// The place of the last row.
    pub last: Option<Position>,
}

impl Rooms {
    /// Up to `limit` rows of a stretch of the room, both ends included.
    pub async fn timeline(
        &self,
        room_id: &RoomId,
        (first, last): PositionRange,
        direction: Direction,
        limit: usize,
    ) -> Result<TimelineRows, StoreError> {
        let Some(version) = self.version_of(room_id).await? else {
            return Ok(TimelineRows::default());
        };
        let key = |position| (room_id.to_owned(), position);
        let range = Range::all().from(&key(first)).through(&key(last));
        let rows = self.store.scan(&TIMELINE, &range, direction, limit).await?;
        Ok(TimelineRows {
            scanned: rows.len(),
            last: rows.last().map(|((_, position), _)| *position),
            events: rows
                .into_iter()
                .filter(|(_, row)| row.standing.is_shown())
                .filter_map(|((_, position), row)| StoredEvent::read(room_id, version, position, row))
                .collect(),
        })
    }

    /// The events at these places of the room, whether or not they are part of what clients see, in the order asked;
    /// those that are not there or were rejected are left out.
    pub(crate) async fn timeline_rows(
        &self,
        room_id: &RoomId,
        positions: &[Position],
    ) -> Result<Vec<StoredEvent>, StoreError> {
        if positions.is_empty() {
            return Ok(Vec::new());
        }
        let Some(version) = self.version_of(room_id).await? else {
            return Ok(Vec::new());
        };
        let keys: Vec<_> = positions
            .iter()
            .map(|position| (room_id.to_owned(), *position))
            .collect();
        let rows = self.store.get_many(&TIMELINE, &keys).await?;
        Ok(positions
            .iter()
            .zip(rows)
            .filter_map(|(position, row)| {
                let row = row.filter(|row| row.standing != Standing::Rejected)?;
                Some((position, row))
            })
            .filter_map(|(position, row)| StoredEvent::read(room_id, version, *position, row))
            .collect())
    }

    /// Events of a room by their ids, whether or not they are part of what clients see, in the order asked; those that
    /// are not there or were rejected are left out. Two round trips.
    pub async fn events_in_room(
        &self,
        room_id: &RoomId,
        ids: &[OwnedEventId],
    ) -> Result<Vec<StoredEvent>, StoreError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let keys: Vec<_> = ids.iter().map(|id| (id.clone(),)).collect();
        let places = self.store.get_many(&EVENT_INDEX, &keys).await?;
        let positions: Vec<_> = places
            .into_iter()
            .flatten()
            .filter(|(room, _)| room == room_id)
            .map(|(_, position)| position)
            .collect();
        self.timeline_rows(room_id, &positions).await
    }

    /// An event of the room's history by its id; one of another room does not exist.
    pub(crate) async fn event_in_room(
        &self,
        room_id: &RoomId,
        event_id: &EventId,
    ) -> Result<Option<StoredEvent>, StoreError> {
        let events = self.events_in_room(room_id, &[event_id.to_owned()]).await?;
        Ok(events
            .into_iter()
            .next()
            .filter(|event| event.standing.is_shown()))
    }

    pub(crate) async fn version_of(&self, room_id: &RoomId) -> Result<Option<RoomVersion>, StoreError> {
        if let Some(shown) = self.shared.turns.slot(room_id).committed() {
            return Ok(Some(shown.head.version));
        }
        let row = self.store.get(&ROOMS, &(room_id.to_owned(),)).await?;
        Ok(row.and_then(|row| row.version.parse().ok()))
    }
}
