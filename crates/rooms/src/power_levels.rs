//! Power levels in force, as numbers.

use std::collections::{BTreeMap, BTreeSet};

use gatehouse_events::{Event, RoomVersion};
use ruma::{OwnedUserId, UserId};
use serde_json::Value;

/// The level of those who need none: creators from room version 12 on.
const UNBOUNDED: i64 = i64::MAX;

/// The power levels of a room. For sentences and early answers; the authorisation rules decide for themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PowerLevels {
    creators: BTreeSet<OwnedUserId>,
    users: BTreeMap<OwnedUserId, i64>,
    users_default: i64,
    events: BTreeMap<String, i64>,
    events_default: i64,
    state_default: i64,
    /// To invite.
    pub invite: i64,
    /// To kick.
    pub kick: i64,
    /// To ban and unban.
    pub ban: i64,
    /// To redact what others sent.
    pub redact: i64,
}

impl PowerLevels {
    /// Of a room that has no events.
    pub(crate) fn before_creation() -> Self {
        Self::without_event(BTreeSet::new(), BTreeMap::new())
    }

    /// From the create event and the power levels event, if there is one. Numbers in strings count, as up to room
    /// version 9 they may.
    pub(crate) fn of(version: RoomVersion, create: Option<&Event>, levels: Option<&Event>) -> Self {
        let rules = &version.rules().authorization;
        let creators = create.map(|create| creators(version, create)).unwrap_or_default();
        let privileged = if rules.explicitly_privilege_room_creators {
            creators.clone()
        } else {
            BTreeSet::new()
        };
        let Some(content) = levels.and_then(Event::content_as::<serde_json::Map<String, Value>>) else {
            // Without the event the creator has 100 (client-server API, m.room.power_levels).
            let users = creators.into_iter().map(|creator| (creator, 100)).collect();
            return Self::without_event(privileged, users);
        };
        let number = |key: &str, default: i64| content.get(key).and_then(level).unwrap_or(default);
        let entries = |key: &str| content.get(key).and_then(Value::as_object).into_iter().flatten();
        Self {
            creators: privileged,
            users: entries("users")
                .filter_map(|(user, at)| Some((OwnedUserId::try_from(user.as_str()).ok()?, level(at)?)))
                .collect(),
            users_default: number("users_default", 0),
            events: entries("events")
                .filter_map(|(kind, at)| Some((kind.clone(), level(at)?)))
                .collect(),
            events_default: number("events_default", 0),
            state_default: number("state_default", 50),
            invite: number("invite", 0),
            kick: number("kick", 50),
            ban: number("ban", 50),
            redact: number("redact", 50),
        }
    }

    fn without_event(creators: BTreeSet<OwnedUserId>, users: BTreeMap<OwnedUserId, i64>) -> Self {
        Self {
            creators,
            users,
            users_default: 0,
            events: BTreeMap::new(),
            events_default: 0,
            state_default: 50,
            invite: 0,
            kick: 50,
            ban: 50,
            redact: 50,
        }
    }

    /// The user's level; above every number for a privileged creator.
    pub fn of_user(&self, user: &UserId) -> i64 {
        if self.creators.contains(user) {
            return UNBOUNDED;
        }
        self.users.get(user).copied().unwrap_or(self.users_default)
    }

    /// Whether the user is a creator whose power nothing bounds (room version 12 on).
    pub fn is_privileged_creator(&self, user: &UserId) -> bool {
        self.creators.contains(user)
    }

    /// The level needed to send this as a message.
    pub fn to_send(&self, kind: &str) -> i64 {
        self.events.get(kind).copied().unwrap_or(self.events_default)
    }

    /// The level needed to send this as state. Invitations by address need what invites need, whatever is said of their
    /// type (authorisation rules, `m.room.third_party_invite`): so whoever sent one can take it back.
    pub fn to_set_state(&self, kind: &str) -> i64 {
        if kind == "m.room.third_party_invite" {
            return self.invite;
        }
        self.events.get(kind).copied().unwrap_or(self.state_default)
    }

    /// Users with a level of their own, and privileged creators.
    pub fn named_users(&self) -> impl Iterator<Item = &OwnedUserId> {
        self.creators.iter().chain(self.users.keys())
    }
}

/// Who made the room: the creator that the content names or the sender, and `additional_creators` where they count.
fn creators(version: RoomVersion, create: &Event) -> BTreeSet<OwnedUserId> {
    let rules = &version.rules().authorization;
    let content: serde_json::Map<String, Value> = create.content_as().unwrap_or_default();
    let user = |value: &Value| OwnedUserId::try_from(value.as_str()?).ok();
    let first = if rules.use_room_create_sender {
        Some(create.sender.clone())
    } else {
        content.get("creator").and_then(user)
    };
    let additional = content
        .get("additional_creators")
        .filter(|_| rules.additional_room_creators)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(user);
    first.into_iter().chain(additional).collect()
}

fn level(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}
