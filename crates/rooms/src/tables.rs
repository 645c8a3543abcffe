//! What the rooms engine stores. Nobody else names these tables.

mod event_row;
mod graph_rows;
mod invitations;
mod partial_rows;
mod state_rows;

use gatehouse_store::{
    DecodeError, Position, Table, Value, json_value,
    key::{Decoder, Encoder, KeyPart},
    value::versioned,
};
use ruma::{OwnedDeviceId, OwnedEventId, OwnedRoomId, OwnedUserId, events::room::member::MembershipState};
use serde::{Deserialize, Serialize};

pub(crate) use self::{
    event_row::{EventRow, Standing},
    graph_rows::{BackwardRow, StateBase, StateBeforeRow},
    invitations::{INVITATIONS, InvitationRow},
    partial_rows::{DOUBTS, Doubt, FILLED, PARTIAL, PARTIAL_SERVERS, PartialRow, ServersRow},
    state_rows::{CurrentStateRow, StateChangeRow, StateVersionRow},
};

/// Every room that this server is or was in. Written when the room is made.
pub(crate) const ROOMS: Table<(OwnedRoomId,), RoomRow> = Table::new("rooms.rooms");
/// Where a room's graph ends, and what is counted in it. Every append expects the row that it builds on.
pub(crate) const HEADS: Table<(OwnedRoomId,), HeadRow> = Table::new("rooms.heads");
/// The room's events in the order in which they came, history that was fetched later before the rest. Also those that
/// are shown to nobody, see [`Standing`].
pub(crate) const TIMELINE: Table<(OwnedRoomId, Position), EventRow> = Table::new("rooms.timeline");
/// Where an event is. Of two rows, see [`STATE_COPIES`], the one that is part of the timeline.
pub(crate) const EVENT_INDEX: Table<(OwnedEventId,), (OwnedRoomId, Position)> =
    Table::new("rooms.event_index");
/// Where there is another row of an event that [`EVENT_INDEX`] does not lead to: it was kept for its state, and came
/// into the timeline later. What is taken out of one is taken out of both.
pub(crate) const STATE_COPIES: Table<(OwnedEventId,), (OwnedRoomId, Position)> =
    Table::new("rooms.state_copies");
/// The state of now: which event set each key.
pub(crate) const CURRENT_STATE: Table<(OwnedRoomId, String, String), CurrentStateRow> =
    Table::new("rooms.current_state");
/// Each change of the state, in order, with what it replaced. One that the event at this position made, or that state
/// resolution made; then there is no event here.
pub(crate) const STATE_CHANGES: Table<(OwnedRoomId, Position), StateChangeRow> =
    Table::new("rooms.state_changes");
/// Each state key's versions by the position from which they hold: the state of the past is the last at or before a
/// position.
pub(crate) const STATE_HISTORY: Table<(OwnedRoomId, String, String, Position), StateVersionRow> =
    Table::new("rooms.state_history");
/// The state before an event that does not stand on the room's line.
pub(crate) const STATE_BEFORE: Table<(OwnedRoomId, Position), StateBeforeRow> =
    Table::new("rooms.state_before");
/// The event at this position follows events that are not here.
pub(crate) const BACKWARD: Table<(OwnedRoomId, Position), BackwardRow> = Table::new("rooms.backward");
/// The same by the events that are not here.
pub(crate) const MISSING: Table<(OwnedRoomId, OwnedEventId, Position), ()> = Table::new("rooms.missing");
/// Redactions that came before what they redact: room, target, redaction, and 1 when its sender might redact anybody's.
pub(crate) const PENDING_REDACTIONS: Table<(OwnedRoomId, OwnedEventId, OwnedEventId), (u8,)> =
    Table::new("rooms.pending_redactions");
/// The membership of a user of this server in each room that they have anything to do with.
pub(crate) const MEMBERSHIPS: Table<(OwnedUserId, OwnedRoomId), MembershipRow> =
    Table::new("rooms.memberships");
/// Each change of the memberships of a user of this server, in order.
pub(crate) const MEMBERSHIP_CHANGES: Table<(OwnedUserId, Position), MembershipChangeRow> =
    Table::new("rooms.membership_changes");
/// What a client's transaction id led to, for 24 hours: (user, device, scope and id).
pub(crate) const TRANSACTIONS: Table<(OwnedUserId, OwnedDeviceId, String), (OwnedEventId, u64)> =
    Table::new("rooms.transactions");
/// The transactions in the order of time, so that old ones can be forgotten.
pub(crate) const TRANSACTION_TIMES: Table<(u64, OwnedUserId, OwnedDeviceId, String), ()> =
    Table::new("rooms.transaction_times");
/// The room's events by the time that their senders' servers gave them.
pub(crate) const TIMESTAMPS: Table<(OwnedRoomId, u64, Position), (OwnedEventId,)> =
    Table::new("rooms.timestamps");
/// Which events have relations at all.
pub(crate) const RELATED: Table<(OwnedRoomId, OwnedEventId), ()> = Table::new("rooms.related");
/// The events that relate to a parent, in order.
pub(crate) const RELATIONS: Table<(OwnedRoomId, OwnedEventId, Position), RelationRow> =
    Table::new("rooms.relations");
/// The events of threads in order, with the thread's root.
pub(crate) const THREAD_ACTIVITY: Table<(OwnedRoomId, Position), (OwnedEventId,)> =
    Table::new("rooms.thread_activity");
/// The invitations by address that have been used, and by whom: one invitation, one user, once.
pub(crate) const USED_INVITE_TOKENS: Table<(OwnedRoomId, String), (OwnedUserId,)> =
    Table::new("rooms.used_invite_tokens");
/// The events that go to other servers and wait for it: room, a server concerned besides those in the room (or empty),
/// and the sender's. Taken away by the sending queue.
pub(crate) const TO_SEND: Table<(Position,), (OwnedRoomId, String, String)> = Table::new("rooms.to_send");
/// What users reported, for the administrators.
pub(crate) const REPORTS: Table<(Position,), ReportRow> = Table::new("rooms.reports");

/// A room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RoomRow {
    /// The name of its version.
    pub(crate) version: String,
}
json_value!(RoomRow);

/// Where a room's graph ends. Holds no positions, so that the next append knows the bytes before this commit ends.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct HeadRow {
    /// One more with each event.
    pub(crate) sequence: u64,
    /// The depth of the deepest extremity.
    pub(crate) depth: u64,
    /// The forward extremities.
    pub(crate) extremities: Vec<OwnedEventId>,
    /// How many users have which membership.
    pub(crate) counts: MemberCounts,
    /// Goes up with every change of the state that [`STATE_CHANGES`] does not tell: while members are filled in that were
    /// there before. Who knows the room with another number reads all of it anew.
    pub(crate) fills: u64,
}

/// How many users of a room have which membership. Kept as they change, never recounted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MemberCounts {
    /// Joined.
    pub joined: u64,
    /// Invited.
    pub invited: u64,
    /// Knocking.
    pub knocking: u64,
    /// Banned.
    pub banned: u64,
}

impl Value for HeadRow {
    fn encode_value(&self, out: &mut Encoder) {
        // The first form has no number of fills.
        if self.fills == 0 {
            out.byte(1);
        } else {
            out.byte(2);
            self.fills.encode_part(out);
        }
        let counts = self.counts;
        for number in [
            self.sequence,
            self.depth,
            counts.joined,
            counts.invited,
            counts.knocking,
            counts.banned,
        ] {
            number.encode_part(out);
        }
        for extremity in &self.extremities {
            extremity.encode_part(out);
        }
    }

    fn decode_value(bytes: &[u8]) -> Result<Self, DecodeError> {
        let (mut input, fills) = match bytes.split_first() {
            Some((2, rest)) => {
                let mut input = Decoder::new(rest);
                let fills = u64::decode_part(&mut input)?;
                (input, fills)
            }
            _ => (versioned(bytes)?, 0),
        };
        let mut row = Self {
            fills,
            sequence: u64::decode_part(&mut input)?,
            depth: u64::decode_part(&mut input)?,
            counts: MemberCounts {
                joined: u64::decode_part(&mut input)?,
                invited: u64::decode_part(&mut input)?,
                knocking: u64::decode_part(&mut input)?,
                banned: u64::decode_part(&mut input)?,
            },
            extremities: Vec::new(),
        };
        let mut rest = Decoder::new(input.remaining());
        while !rest.is_empty() {
            row.extremities.push(OwnedEventId::decode_part(&mut rest)?);
        }
        Ok(row)
    }
}

/// A user's membership in a room, as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MembershipRow {
    /// Which.
    pub(crate) membership: MembershipState,
    /// The event that set it.
    pub(crate) event_id: OwnedEventId,
    /// Since when it holds.
    pub(crate) position: Position,
    /// Where the event is.
    pub(crate) place: Position,
    /// Whether the user has left and wants to hear no more of it.
    pub(crate) forgotten: bool,
    /// For invites and knocks: the stripped state that was sent along, as a JSON array; else empty.
    pub(crate) stripped_state: String,
}

impl Value for MembershipRow {
    fn encode_value(&self, out: &mut Encoder) {
        out.byte(1);
        out.byte(u8::from(self.forgotten));
        self.membership.to_string().encode_part(out);
        self.event_id.encode_part(out);
        self.position.encode_part(out);
        self.place.encode_part(out);
        out.raw(self.stripped_state.as_bytes());
    }

    fn decode_value(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut input = versioned(bytes)?;
        let forgotten = u8::decode_part(&mut input)? != 0;
        Ok(Self {
            forgotten,
            membership: MembershipState::from(String::decode_part(&mut input)?),
            event_id: OwnedEventId::decode_part(&mut input)?,
            position: Position::decode_part(&mut input)?,
            place: Position::decode_part(&mut input)?,
            stripped_state: std::str::from_utf8(input.remaining())
                .map_err(|_| DecodeError::Invalid("stripped state"))?
                .to_owned(),
        })
    }
}

/// One change of a user's memberships.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MembershipChangeRow {
    /// In which room.
    pub(crate) room_id: OwnedRoomId,
    /// To what.
    pub(crate) membership: MembershipState,
    /// The event.
    pub(crate) event_id: OwnedEventId,
    /// The user forgot the room; there is no event of its own.
    pub(crate) forgotten: bool,
}

impl Value for MembershipChangeRow {
    fn encode_value(&self, out: &mut Encoder) {
        out.byte(1);
        out.byte(u8::from(self.forgotten));
        self.room_id.encode_part(out);
        self.membership.to_string().encode_part(out);
        self.event_id.encode_part(out);
    }

    fn decode_value(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut input = versioned(bytes)?;
        let forgotten = u8::decode_part(&mut input)? != 0;
        let row = Self {
            forgotten,
            room_id: OwnedRoomId::decode_part(&mut input)?,
            membership: MembershipState::from(String::decode_part(&mut input)?),
            event_id: OwnedEventId::decode_part(&mut input)?,
        };
        input.finish()?;
        Ok(row)
    }
}

/// An event that relates to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RelationRow {
    /// How.
    pub(crate) rel_type: String,
    /// The type of the relating event.
    pub(crate) kind: String,
    /// The relating event.
    pub(crate) event_id: OwnedEventId,
    /// Who sent it.
    pub(crate) sender: OwnedUserId,
}

impl Value for RelationRow {
    fn encode_value(&self, out: &mut Encoder) {
        out.byte(1);
        self.rel_type.encode_part(out);
        self.kind.encode_part(out);
        self.event_id.encode_part(out);
        self.sender.encode_part(out);
    }

    fn decode_value(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut input = versioned(bytes)?;
        let row = Self {
            rel_type: String::decode_part(&mut input)?,
            kind: String::decode_part(&mut input)?,
            event_id: OwnedEventId::decode_part(&mut input)?,
            sender: OwnedUserId::decode_part(&mut input)?,
        };
        input.finish()?;
        Ok(row)
    }
}

/// What a user reported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ReportRow {
    /// Who.
    pub(crate) reporter: OwnedUserId,
    /// The room, when the report is about one or an event in it.
    pub(crate) room_id: Option<OwnedRoomId>,
    /// The event, when the report is about one.
    pub(crate) event_id: Option<OwnedEventId>,
    /// The user, when the report is about one.
    pub(crate) user_id: Option<OwnedUserId>,
    /// Why.
    pub(crate) reason: String,
    /// How bad, from -100 to 0, when the client said so.
    pub(crate) score: Option<i64>,
    /// When, in milliseconds since 1970.
    pub(crate) reported_at_ms: u64,
}
json_value!(ReportRow);
