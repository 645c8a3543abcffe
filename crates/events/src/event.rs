//! A parsed event.

use std::sync::Arc;

use ruma::{
    EventId, MilliSecondsSinceUnixEpoch, OwnedEventId, OwnedRoomId, OwnedUserId, RoomId, UInt, UserId,
    events::TimelineEventType,
    room_version_rules::{EventIdFormatVersion, EventsReferenceFormatVersion},
};
use serde::Deserialize;
use serde_json::value::RawValue;
use thiserror::Error;

use crate::RoomVersion;

/// An event as the server works with it: the fields of its PDU, parsed. Kept behind an [`Arc`].
///
/// Hashes and signatures stay in the stored PDU; nothing here needs them.
#[derive(Debug, Clone)]
pub struct Event {
    /// Its id.
    pub event_id: OwnedEventId,
    /// Its room. For the `m.room.create` of a version-12 room, which names none: the room that it makes.
    pub room_id: OwnedRoomId,
    /// Who sent it.
    pub sender: OwnedUserId,
    /// Its type.
    pub kind: TimelineEventType,
    /// Present on state events.
    pub state_key: Option<String>,
    /// Its content, as JSON text.
    pub content: Box<RawValue>,
    /// When the sender's server says it was made, in milliseconds since 1970.
    pub origin_server_ts: u64,
    /// One more than the deepest of its `prev_events`.
    pub depth: u64,
    /// The events that it follows.
    pub prev_events: Vec<OwnedEventId>,
    /// The events that authorise it.
    pub auth_events: Vec<OwnedEventId>,
    /// The event that it redacts, wherever its room version puts that.
    pub redacts: Option<OwnedEventId>,
    /// Whether it failed the checks on receipt.
    pub rejected: bool,
}

/// Why JSON is not an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum EventParseError {
    /// A field is missing or has the wrong type.
    #[error("the event does not have the fields of a PDU")]
    Format,
    /// The room version keeps the id in the event, and there is none.
    #[error("the event has no event_id")]
    NoEventId,
}

#[derive(Deserialize)]
struct Pdu<'a> {
    // Whatever these two hold where the room version does not want them is nobody's business.
    #[serde(borrow)]
    event_id: Option<&'a RawValue>,
    sender: OwnedUserId,
    #[serde(rename = "type")]
    kind: TimelineEventType,
    state_key: Option<String>,
    #[serde(borrow)]
    content: &'a RawValue,
    origin_server_ts: u64,
    depth: u64,
    #[serde(borrow)]
    prev_events: &'a RawValue,
    #[serde(borrow)]
    auth_events: &'a RawValue,
    #[serde(borrow)]
    redacts: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct RedactionContent {
    redacts: Option<OwnedEventId>,
}

impl Event {
    /// Reads a PDU of a room of this version.
    ///
    /// `event_id` is its reference hash as an id; versions 1 and 2 keep the id inside and need none.
    pub fn parse(
        pdu: &str,
        room_id: &RoomId,
        version: RoomVersion,
        event_id: Option<&EventId>,
    ) -> Result<Self, EventParseError> {
        let fields: Pdu<'_> = serde_json::from_str(pdu).map_err(|_| EventParseError::Format)?;
        let inside = match version.rules().event_id_format {
            EventIdFormatVersion::V1 => fields.event_id.and_then(id_in),
            _ => None,
        };
        let event_id = event_id
            .map(EventId::to_owned)
            .or(inside)
            .ok_or(EventParseError::NoEventId)?;
        let redacts = if fields.kind == TimelineEventType::RoomRedaction
            && version.rules().redaction.content_field_redacts
        {
            serde_json::from_str::<RedactionContent>(fields.content.get())
                .ok()
                .and_then(|content| content.redacts)
        } else {
            fields.redacts.and_then(id_in)
        };
        Ok(Self {
            event_id,
            room_id: room_id.to_owned(),
            sender: fields.sender,
            kind: fields.kind,
            state_key: fields.state_key,
            content: fields.content.to_owned(),
            origin_server_ts: fields.origin_server_ts,
            depth: fields.depth,
            prev_events: references(fields.prev_events, version)?,
            auth_events: references(fields.auth_events, version)?,
            redacts,
            rejected: false,
        })
    }

    /// Whether it is state: it has a state key.
    pub fn is_state(&self) -> bool {
        self.state_key.is_some()
    }

    /// Reads the content as `T`; `None` when it does not have that shape.
    pub fn content_as<'a, T: Deserialize<'a>>(&'a self) -> Option<T> {
        serde_json::from_str(self.content.get()).ok()
    }
}

/// The ids in a PDU's `auth_events`, without reading the rest of it.
pub fn auth_events_of(pdu: &str, version: RoomVersion) -> Result<Vec<OwnedEventId>, EventParseError> {
    #[derive(Deserialize)]
    struct Cites<'a> {
        #[serde(borrow)]
        auth_events: &'a RawValue,
    }
    let cites: Cites<'_> = serde_json::from_str(pdu).map_err(|_| EventParseError::Format)?;
    references(cites.auth_events, version)
}

fn id_in(raw: &RawValue) -> Option<OwnedEventId> {
    serde_json::from_str(raw.get()).ok()
}

/// The ids in `prev_events` or `auth_events`: plain, or with hashes beside them in versions 1 and 2.
fn references(raw: &RawValue, version: RoomVersion) -> Result<Vec<OwnedEventId>, EventParseError> {
    match version.rules().events_reference_format {
        EventsReferenceFormatVersion::V1 => {
            let pairs: Vec<(OwnedEventId, serde::de::IgnoredAny)> =
                serde_json::from_str(raw.get()).map_err(|_| EventParseError::Format)?;
            Ok(pairs.into_iter().map(|(id, _)| id).collect())
        }
        _ => serde_json::from_str(raw.get()).map_err(|_| EventParseError::Format),
    }
}

impl ruma::state_res::Event for Event {
    type Id = OwnedEventId;

    fn event_id(&self) -> &OwnedEventId {
        &self.event_id
    }
    fn room_id(&self) -> Option<&RoomId> {
        // From version 12 on the create event has no `room_id`: its hash *is* the room's id, which has no domain.
        let made_here = self.kind == TimelineEventType::RoomCreate && self.room_id.server_name().is_none();
        (!made_here).then_some(&*self.room_id)
    }
    fn sender(&self) -> &UserId {
        &self.sender
    }
    fn origin_server_ts(&self) -> MilliSecondsSinceUnixEpoch {
        MilliSecondsSinceUnixEpoch(UInt::new_saturating(self.origin_server_ts))
    }
    fn event_type(&self) -> &TimelineEventType {
        &self.kind
    }
    fn content(&self) -> &RawValue {
        &self.content
    }
    fn state_key(&self) -> Option<&str> {
        self.state_key.as_deref()
    }
    fn prev_events(&self) -> Box<dyn DoubleEndedIterator<Item = &OwnedEventId> + '_> {
        Box::new(self.prev_events.iter())
    }
    fn auth_events(&self) -> Box<dyn DoubleEndedIterator<Item = &OwnedEventId> + '_> {
        Box::new(self.auth_events.iter())
    }
    fn redacts(&self) -> Option<&OwnedEventId> {
        self.redacts.as_ref()
    }
    fn rejected(&self) -> bool {
        self.rejected
    }
}

/// A shared event.
pub type SharedEvent = Arc<Event>;
