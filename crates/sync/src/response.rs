//! The response of `/sync`, in the order of the specification.

use std::collections::BTreeMap;

use gatehouse_rooms::token::Token;
use ruma::{OwnedRoomId, OwnedUserId, RoomId, UserId};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

/// An event, ready to be sent.
pub type RawEvent = Box<RawValue>;

/// What changed for a user.
#[derive(Debug, Serialize)]
pub struct Response {
    /// Where to continue.
    #[serde(serialize_with = "token_text")]
    pub next_batch: Token,
    /// What changed in rooms.
    pub rooms: Rooms,
    /// Who is there. Nothing yet: presence comes with a later issue.
    pub presence: Events,
    /// The user's own data.
    pub account_data: Events,
    /// Messages to this device. Nothing yet.
    pub to_device: Events,
    /// Whose devices changed. Nothing yet.
    pub device_lists: DeviceLists,
    /// How many one-time keys are left. None yet.
    pub device_one_time_keys_count: BTreeMap<String, u64>,
    /// For which algorithms a fallback key is unused. None yet.
    pub device_unused_fallback_key_types: Vec<String>,
}

/// A list of events.
#[derive(Debug, Default, Serialize)]
pub struct Events {
    /// The events.
    pub events: Vec<RawEvent>,
}

/// Whose devices changed.
#[derive(Debug, Default, Serialize)]
pub struct DeviceLists {
    /// Users whose devices changed.
    pub changed: Vec<OwnedUserId>,
    /// Users with whom no encrypted room is shared any more.
    pub left: Vec<OwnedUserId>,
}

/// The rooms, by how the user stands to them.
#[derive(Debug, Default, Serialize)]
pub struct Rooms {
    /// Rooms that the user is in.
    pub join: BTreeMap<OwnedRoomId, JoinedRoom>,
    /// Rooms that the user is invited to.
    pub invite: BTreeMap<OwnedRoomId, InvitedRoom>,
    /// Rooms that the user has knocked on.
    pub knock: BTreeMap<OwnedRoomId, KnockedRoom>,
    /// Rooms that the user has left or been banned from.
    pub leave: BTreeMap<OwnedRoomId, LeftRoom>,
}

impl Rooms {
    /// Whether nothing changed in any room.
    pub fn is_empty(&self) -> bool {
        self.join.is_empty() && self.invite.is_empty() && self.knock.is_empty() && self.leave.is_empty()
    }
}

/// State: up to the start of the timeline, or up to its end, as the request asked.
#[derive(Debug)]
pub enum State {
    /// The state to which the timeline is to be applied.
    Before(Vec<RawEvent>),
    /// The state with the timeline applied.
    After(Vec<RawEvent>),
}

impl State {
    /// The events.
    pub fn events(&self) -> &[RawEvent] {
        match self {
            Self::Before(events) | Self::After(events) => events,
        }
    }
}

impl Serialize for State {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct List<'a> {
            events: &'a [RawEvent],
        }
        let (name, events) = match self {
            Self::Before(events) => ("state", events),
            Self::After(events) => ("state_after", events),
        };
        serializer.collect_map([(name, List { events })])
    }
}

/// A room that the user is in.
#[derive(Debug, Serialize)]
pub struct JoinedRoom {
    /// What a client needs to name the room.
    #[serde(skip_serializing_if = "Summary::is_empty")]
    pub summary: Summary,
    /// `state` or `state_after`.
    #[serde(flatten)]
    pub state: State,
    /// What happened.
    pub timeline: Timeline,
    /// Typing and receipts. Nothing yet.
    pub ephemeral: Events,
    /// The user's own data of this room.
    pub account_data: Events,
    /// What was not read yet. Nothing is counted yet.
    pub unread_notifications: UnreadNotifications,
}

/// Counts and names of members.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Members to name the room after.
    #[serde(rename = "m.heroes", skip_serializing_if = "Option::is_none")]
    pub heroes: Option<Vec<OwnedUserId>>,
    /// How many are joined.
    #[serde(rename = "m.joined_member_count", skip_serializing_if = "Option::is_none")]
    pub joined_member_count: Option<u64>,
    /// How many are invited.
    #[serde(rename = "m.invited_member_count", skip_serializing_if = "Option::is_none")]
    pub invited_member_count: Option<u64>,
}

impl Summary {
    /// Whether nothing of it changed.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A piece of a room's history.
#[derive(Debug, Serialize)]
pub struct Timeline {
    /// The events, oldest first.
    pub events: Vec<RawEvent>,
    /// Whether there are more between the request's `since` and the first of them.
    pub limited: bool,
    /// From where to page back for them.
    #[serde(serialize_with = "token_text")]
    pub prev_batch: Token,
}

/// What was not read yet.
#[derive(Debug, Default, Serialize)]
pub struct UnreadNotifications {
    /// How many highlights.
    pub highlight_count: u64,
    /// How many notifications.
    pub notification_count: u64,
}

/// A room that the user is invited to.
#[derive(Debug, Serialize)]
pub struct InvitedRoom {
    /// What the invited may know of it.
    pub invite_state: Events,
}

/// A room that the user has knocked on.
#[derive(Debug, Serialize)]
pub struct KnockedRoom {
    /// What the knocking may know of it.
    pub knock_state: Events,
}

/// A room that the user has left or been banned from.
#[derive(Debug, Serialize)]
pub struct LeftRoom {
    /// `state` or `state_after`.
    #[serde(flatten)]
    pub state: State,
    /// What happened up to the leave.
    pub timeline: Timeline,
    /// The user's own data of this room.
    pub account_data: Events,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
pub(crate) fn token_text<S: Serializer>(token: &Token, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(token)
}

/// A user's own data as an event. Its content is sent as it came: `json!` would fail on a number that no float holds.
#[derive(Debug, Serialize)]
pub(crate) struct AccountDataEvent<'a> {
    #[serde(rename = "type")]
    pub(crate) kind: &'a str,
    /// Only where nothing around the event names the room.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) room_id: Option<&'a RoomId>,
    pub(crate) content: &'a RawValue,
}

/// A state event without everything that only its room needs.
#[derive(Debug, Serialize)]
pub(crate) struct StrippedEvent<'a> {
    #[serde(rename = "type")]
    pub(crate) kind: &'a str,
    pub(crate) state_key: &'a str,
    pub(crate) sender: &'a UserId,
    pub(crate) content: &'a RawValue,
}
