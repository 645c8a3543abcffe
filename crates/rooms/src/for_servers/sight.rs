//! Which events a server may see: those that one of its users may (client-server API, "Room history visibility"), and what
//! their senders have not had erased.

use gatehouse_events::{Event, redact};
use gatehouse_store::StoreError;
use ruma::{
    OwnedEventId, OwnedUserId, RoomId, ServerName,
    events::{TimelineEventType, room::member::MembershipState},
};
use serde_json::value::RawValue;

use crate::{
    RoomHead, RoomState, Rooms, graph::loaded::Placed, history_visibility::HistoryVisibility,
    remote_servers::RawPdu,
};

/// Users of one server that are looked at. A server with more than that in a room that hides its history sees less.
const MAX_USERS: usize = 10_000;

/// What a server sees of a room.
pub(super) struct ServerSight<'a> {
    rooms: &'a Rooms,
    head: &'a RoomHead,
    origin: &'a ServerName,
    /// Nobody who is in the room now is kept from its history, and nobody ever was.
    sees_all: bool,
    /// The server's users, where it matters.
    users: Vec<OwnedUserId>,
}

impl<'a> ServerSight<'a> {
    /// Of a server that is in the room.
    pub(super) async fn new(
        rooms: &'a Rooms,
        head: &'a RoomHead,
        origin: &'a ServerName,
    ) -> Result<Self, StoreError> {
        let sees_all = rooms.never_hid_history(&head.room_id).await?;
        let users = if sees_all {
            Vec::new()
        } else {
            let users = head.members.keys().filter(|user| user.server_name() == origin);
            users.take(MAX_USERS).cloned().collect()
        };
        Ok(Self {
            rooms,
            head,
            origin,
            sees_all,
            users,
        })
    }

    /// The event as the server may have it: whole, or redacted.
    pub(super) async fn show(&self, placed: Placed) -> Result<Option<RawPdu>, StoreError> {
        let version = self.head.version;
        let row = placed.row;
        let event = Event::parse(&row.pdu, &self.head.room_id, version, Some(&row.event_id));
        let Ok(event) = event else {
            return Ok(None);
        };
        let pdu = if self.sees(&event).await? && !self.rooms.is_erased(&event).await? {
            Some(row.pdu)
        } else {
            redact(&row.pdu, version).ok()
        };
        Ok(pdu.and_then(|pdu| RawValue::from_string(pdu).ok()))
    }

    /// Whether one of the server's users may see the event.
    pub(super) async fn sees(&self, event: &Event) -> Result<bool, StoreError> {
        if self.sees_all || event.sender.server_name() == self.origin || self.is_of_own_user(event) {
            return Ok(true);
        }
        let before = self
            .rooms
            .state_before_event(&self.head.room_id, &event.event_id)
            .await?;
        // Where the state is not known, nobody is known to have been there.
        let Some(before) = before else {
            return Ok(false);
        };
        let mut visibility = self.visibility_in(&before).await?;
        if event.kind == TimelineEventType::RoomHistoryVisibility && event.state_key.as_deref() == Some("") {
            // A change is seen when the visibility before or after it shows it.
            visibility = visibility.max(visibility_of(event));
        }
        Ok(self.allows(visibility, &before))
    }

    fn is_of_own_user(&self, event: &Event) -> bool {
        let key = event.state_key.as_deref();
        event.kind == TimelineEventType::RoomMember
            && key
                .and_then(|key| OwnedUserId::try_from(key).ok())
                .is_some_and(|user| user.server_name() == self.origin)
    }

    fn allows(&self, visibility: HistoryVisibility, state: &RoomState) -> bool {
        let any = |wanted: &[MembershipState]| {
            self.users.iter().any(|user| {
                let member = state.members.get(user);
                member.is_some_and(|member| wanted.contains(&member.membership))
            })
        };
        match visibility {
            // The server is in the room now.
            HistoryVisibility::WorldReadable | HistoryVisibility::Shared => true,
            HistoryVisibility::Invited => any(&[MembershipState::Join, MembershipState::Invite]),
            HistoryVisibility::Joined => any(&[MembershipState::Join]),
        }
    }

    async fn visibility_in(&self, state: &RoomState) -> Result<HistoryVisibility, StoreError> {
        let id = state.event_id("m.room.history_visibility", "").cloned();
        let ids: Vec<OwnedEventId> = id.into_iter().collect();
        let event = self.rooms.events(&ids).await?.into_iter().flatten().next();
        Ok(event.map_or(HistoryVisibility::Shared, |event| visibility_of(&event)))
    }
}

fn visibility_of(event: &Event) -> HistoryVisibility {
    #[derive(serde::Deserialize)]
    struct Content {
        history_visibility: String,
    }
    let content: Option<Content> = event.content_as();
    HistoryVisibility::from_value(content.as_ref().map(|content| &*content.history_visibility))
}

impl Rooms {
    /// Whether the room's history was always for everybody who is in it.
    async fn never_hid_history(&self, room_id: &RoomId) -> Result<bool, StoreError> {
        let all = self.visibilities(room_id).await?;
        Ok(all
            .iter()
            .all(|visibility| *visibility >= HistoryVisibility::Shared))
    }
}
