//! What goes over the network of a room with an invite or a knock: state events as they are, of which the user is shown
//! the stripped form.

use ruma::{OwnedEventId, OwnedUserId, UserId};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::stripped_state::SHOWN;
use crate::{RoomHead, Rooms, remote_servers::RawPdu, write_error::WriteError};

/// Entries and bytes of what is shown of a room; more is not looked at, and not sent (security.md X01, X02).
pub(crate) const MAX_ENTRIES: usize = 100;
pub(crate) const MAX_BYTES: usize = 512 << 10;

/// One entry; what is not as it should be is left out.
#[derive(Deserialize, Serialize)]
struct Entry<'a> {
    #[serde(rename = "type")]
    kind: String,
    state_key: String,
    sender: OwnedUserId,
    #[serde(borrow)]
    content: &'a RawValue,
}

/// What the user is shown of what another server sent, as a JSON array. `None`: there is too much of it.
pub(crate) fn shown_to_user(events: &[Box<RawValue>]) -> Option<String> {
    let bytes: usize = events.iter().map(|event| event.get().len()).sum();
    if events.len() > MAX_ENTRIES || bytes > MAX_BYTES {
        return None;
    }
    let entries: Vec<_> = events
        .iter()
        .filter_map(|event| serde_json::from_str::<Entry<'_>>(event.get()).ok())
        .filter(|entry| entry.content.get().starts_with('{'))
        .filter_map(|entry| serde_json::to_string(&entry).ok())
        .collect();
    Some(format!("[{}]", entries.join(",")))
}

impl Rooms {
    /// What another server is shown of the room, with the membership of whoever acts. The event that made the room comes
    /// first, and always (security.md T31).
    pub(crate) async fn shown_to_server(
        &self,
        head: &RoomHead,
        actor: Option<&UserId>,
    ) -> Result<Vec<RawPdu>, WriteError> {
        let ids: Vec<OwnedEventId> = SHOWN
            .iter()
            .map(|kind| (*kind, ""))
            .chain(actor.map(|actor| ("m.room.member", actor.as_str())))
            .filter_map(|(kind, state_key)| head.state_event_id(kind, state_key).cloned())
            .collect();
        let mut bytes = 0;
        let mut shown = self.raw_pdus(&head.room_id, &ids).await?;
        shown.retain(|event| {
            bytes += event.get().len();
            bytes <= MAX_BYTES
        });
        Ok(shown)
    }
}
