//! What a room is, in a few words: for `room_summary`, for spaces and for the published directory.

use gatehouse_store::{Position, StoreError};
use ruma::{OwnedRoomId, RoomId, UserId, events::room::member::MembershipState};
use serde::Serialize;
use serde_json::{Value, value::RawValue};

use crate::{
    Rooms,
    history_visibility::HistoryVisibility,
    read_error::ReadError,
    stored::StoredEvent,
    tables::{CURRENT_STATE, HEADS, MEMBERSHIPS},
};

/// Rooms that a join rule may allow in; more are not looked at.
const MAX_ALLOWED_ROOMS: usize = 100;

/// The state that a summary is made of.
const SUMMARISED: [&str; 9] = [
    "m.room.create",
    "m.room.name",
    "m.room.topic",
    "m.room.avatar",
    "m.room.canonical_alias",
    "m.room.join_rules",
    "m.room.history_visibility",
    "m.room.guest_access",
    "m.room.encryption",
];

/// A room's summary (client-server API, `RoomSummary`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RoomSummary {
    /// Which room.
    pub room_id: OwnedRoomId,
    /// Its name, when it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its topic, when it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// Its canonical alias, when it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub canonical_alias: Option<String>,
    /// Further aliases that its canonical alias event lists.
    #[serde(skip)]
    pub alt_aliases: Vec<String>,
    /// Its picture, when it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub avatar_url: Option<String>,
    /// How many users are joined.
    pub num_joined_members: u64,
    /// Whether it can be read without joining.
    pub world_readable: bool,
    /// Whether guests may join.
    pub guest_can_join: bool,
    /// Its join rule.
    pub join_rule: String,
    /// The `type` of its create event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub room_type: Option<String>,
    /// The rooms whose members may join, when the join rule is restricted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allowed_room_ids: Vec<OwnedRoomId>,
    /// The algorithm, when the room is encrypted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encryption: Option<String>,
    /// Its version.
    pub room_version: String,
}

/// A summary for one who asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RequestedSummary {
    /// The summary.
    #[serde(flatten)]
    pub room: RoomSummary,
    /// The membership of the one who asks; absent when nobody is logged in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub membership: Option<MembershipState>,
}

impl Rooms {
    /// A room's summary for whoever may know of it: members, the invited, those who may join or knock, and everybody
    /// when it is world readable. `None` for `user`: nobody is logged in.
    pub async fn room_summary(
        &self,
        user: Option<&UserId>,
        room_id: &RoomId,
    ) -> Result<RequestedSummary, ReadError> {
        let room = self.describe(room_id).await?.ok_or(ReadError::RoomNotFound)?;
        let membership = match user {
            Some(user) => self.membership_of(user, room_id).await?,
            None => None,
        };
        if !self.may_know_of(&room, user, membership.as_ref()).await? {
            return Err(ReadError::RoomNotFound);
        }
        Ok(RequestedSummary {
            room,
            membership: user.map(|_| membership.unwrap_or(MembershipState::Leave)),
        })
    }

    /// A room's summary without asking for whom; `None`: there is no such room. Read from the store, so it is what
    /// the last commit that can be seen left.
    pub async fn describe(&self, room_id: &RoomId) -> Result<Option<RoomSummary>, StoreError> {
        let keys = SUMMARISED.map(|kind| (room_id.to_owned(), kind.to_owned(), String::new()));
        let rows = self.store.get_many(&CURRENT_STATE, &keys).await?;
        let places: Vec<Position> = rows.into_iter().flatten().map(|row| row.place).collect();
        let events = self.timeline_rows(room_id, &places).await?;
        let head = self.store.get(&HEADS, &(room_id.to_owned(),)).await?;
        Ok(head.and_then(|head| summarise(room_id, &events, head.counts.joined)))
    }

    /// The user's membership in the room; `None`: never had one.
    pub async fn membership_of(
        &self,
        user: &UserId,
        room_id: &RoomId,
    ) -> Result<Option<MembershipState>, StoreError> {
        let key = (user.to_owned(), room_id.to_owned());
        Ok(self
            .store
            .get(&MEMBERSHIPS, &key)
            .await?
            .map(|row| row.membership))
    }

    /// Whether the user may learn that the room exists and what it is called.
    pub(crate) async fn may_know_of(
        &self,
        room: &RoomSummary,
        user: Option<&UserId>,
        membership: Option<&MembershipState>,
    ) -> Result<bool, StoreError> {
        if room.world_readable
            || matches!(room.join_rule.as_str(), "public" | "knock" | "knock_restricted")
            || matches!(membership, Some(MembershipState::Join | MembershipState::Invite))
        {
            return Ok(true);
        }
        let Some(user) = user.filter(|_| room.join_rule == "restricted") else {
            return Ok(false);
        };
        let keys: Vec<_> = room
            .allowed_room_ids
            .iter()
            .map(|allowed| (user.to_owned(), allowed.clone()))
            .collect();
        let rows = self.store.get_many(&MEMBERSHIPS, &keys).await?;
        Ok(rows
            .iter()
            .flatten()
            .any(|row| row.membership == MembershipState::Join))
    }
}

/// Content that is not of the type that the specification says is treated as absent (D08).
fn summarise(room_id: &RoomId, events: &[StoredEvent], joined: u64) -> Option<RoomSummary> {
    let find = |kind: &str| events.iter().find(|event| event.kind() == kind);
    let text = |kind: &str, field: &str| {
        find(kind)
            .and_then(|event| event.content_text(field))
            .filter(|text| !text.is_empty())
    };
    find("m.room.create")?;
    let join_rule = text("m.room.join_rules", "join_rule").unwrap_or_else(|| "invite".to_owned());
    let restricted = matches!(join_rule.as_str(), "restricted" | "knock_restricted");
    Some(RoomSummary {
        room_id: room_id.to_owned(),
        name: text("m.room.name", "name"),
        topic: text("m.room.topic", "topic"),
        canonical_alias: text("m.room.canonical_alias", "alias"),
        alt_aliases: find("m.room.canonical_alias")
            .map_or_else(Vec::new, |event| alt_aliases(event.content())),
        avatar_url: text("m.room.avatar", "url"),
        num_joined_members: joined,
        world_readable: text("m.room.history_visibility", "history_visibility").as_deref()
            == Some(HistoryVisibility::WorldReadable.as_str()),
        guest_can_join: text("m.room.guest_access", "guest_access").as_deref() == Some("can_join"),
        allowed_room_ids: find("m.room.join_rules")
            .filter(|_| restricted)
            .map_or_else(Vec::new, |event| allowed_rooms(event.content())),
        join_rule,
        room_type: text("m.room.create", "type"),
        encryption: text("m.room.encryption", "algorithm"),
        room_version: text("m.room.create", "room_version").unwrap_or_else(|| "1".to_owned()),
    })
}

fn alt_aliases(content: &RawValue) -> Vec<String> {
    let content: Value = serde_json::from_str(content.get()).unwrap_or_default();
    let aliases = content.get("alt_aliases").and_then(Value::as_array);
    aliases
        .into_iter()
        .flatten()
        .filter_map(|alias| Some(alias.as_str()?.to_owned()))
        .collect()
}

/// The rooms that the `allow` conditions of a join rule name.
fn allowed_rooms(content: &RawValue) -> Vec<OwnedRoomId> {
    let content: Value = serde_json::from_str(content.get()).unwrap_or_default();
    let conditions = content.get("allow").and_then(Value::as_array);
    conditions
        .into_iter()
        .flatten()
        .filter(|condition| condition.get("type").and_then(Value::as_str) == Some("m.room_membership"))
        .filter_map(|condition| condition.get("room_id")?.as_str()?.try_into().ok())
        .take(MAX_ALLOWED_ROOMS)
        .collect()
}
