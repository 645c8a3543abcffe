//! Writing down that an event goes to other servers.

use gatehouse_events::Event;
use gatehouse_store::Position;
use ruma::{OwnedServerName, UserId, events::room::member::MembershipState};

use super::RoomTransaction;
use crate::{head::membership_in, tables::TO_SEND};

impl RoomTransaction {
    /// Remembers that the event goes to the other servers in the room. Nothing is written where there is none.
    pub(crate) fn put_to_send(&mut self, position: Position, event: &Event) {
        let (own, of_sender) = (self.rooms.server_name(), event.sender.server_name());
        let also_to = server_concerned(event).filter(|server| server != own && server != of_sender);
        let has_others = self
            .head
            .all_servers()
            .any(|server| server != own && server != of_sender);
        if !has_others && also_to.is_none() {
            return;
        }
        let also_to = also_to.map(|server| server.to_string()).unwrap_or_default();
        let row = (self.head.room_id.clone(), also_to, of_sender.to_string());
        self.batch.put(&TO_SEND, &(position,), &row);
    }
}

/// The server of the user whose membership it is. Invites are handed over in a way of their own.
fn server_concerned(event: &Event) -> Option<OwnedServerName> {
    if event.kind.to_string() != "m.room.member" || membership_in(event) == MembershipState::Invite {
        return None;
    }
    let user = <&UserId>::try_from(event.state_key.as_deref()?).ok()?;
    Some(user.server_name().to_owned())
}
