//! What somebody outside is shown of a room: with an invite, or with their knock.

use gatehouse_events::Event;
use gatehouse_store::StoreError;
use ruma::{
    OwnedUserId, UserId,
    events::{TimelineEventType, room::member::MembershipState},
};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::{Rooms, head::membership_in, room_transaction::RoomTransaction};

/// The types that the specification recommends (client-server API, stripped state).
pub(super) const SHOWN: [&str; 8] = [
    "m.room.create",
    "m.room.name",
    "m.room.avatar",
    "m.room.topic",
    "m.room.join_rules",
    "m.room.canonical_alias",
    "m.room.encryption",
    "m.room.history_visibility",
];

/// More than this is left out, beginning with the last (E: outbound invites, X02).
const MAX_BYTES: usize = 48 << 10;

#[derive(Serialize)]
struct Stripped<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    state_key: &'a str,
    sender: &'a UserId,
    content: &'a RawValue,
}

/// The stripped state as a JSON array, with the membership of whoever acts.
pub(super) async fn stripped_state(
    transaction: &RoomTransaction,
    actor: Option<&UserId>,
) -> Result<String, StoreError> {
    let mut entries = Vec::with_capacity(SHOWN.len() + 1);
    let mut bytes = 0;
    let shown = SHOWN.iter().map(|kind| (*kind, ""));
    let actor = actor.map(|user| ("m.room.member", user.as_str()));
    let keys: Vec<_> = actor.into_iter().chain(shown).collect();
    let events = transaction.state_events(&keys).await?;
    for ((kind, state_key), event) in keys.into_iter().zip(events) {
        let Some(event) = event else {
            continue;
        };
        bytes += event.content.get().len();
        if bytes > MAX_BYTES {
            continue;
        }
        let entry = Stripped {
            kind,
            state_key,
            sender: &event.sender,
            content: &event.content,
        };
        entries.extend(serde_json::to_string(&entry));
    }
    Ok(format!("[{}]", entries.join(",")))
}

impl Rooms {
    /// What a user of this server is shown with an invite that comes from another server into a room that this server is
    /// in; `None`: it is none.
    pub(crate) async fn shown_with(
        &self,
        transaction: &RoomTransaction,
        event: &Event,
    ) -> Result<Option<String>, StoreError> {
        let target = event
            .state_key
            .as_deref()
            .and_then(|key| OwnedUserId::try_from(key).ok());
        let is_invite = event.kind == TimelineEventType::RoomMember
            && membership_in(event) == MembershipState::Invite
            && target.is_some_and(|target| self.is_local(&target));
        if is_invite {
            stripped_state(transaction, Some(&event.sender)).await.map(Some)
        } else {
            Ok(None)
        }
    }
}
