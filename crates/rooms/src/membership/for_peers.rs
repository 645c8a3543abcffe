//! What users of other servers do in rooms that this server is in: each first asks for a proposal (`make_join` and the
//! like), signs an event at that place, and sends it.
//!
//! The server that asks acts for its own users only, and is let in by the room's server ACL (security.md E05, E11).

mod invite;
mod join;
mod knock;
mod leave;
mod make;

use std::sync::Arc;

use gatehouse_events::Pdu;
use ruma::{
    EventId, RoomId, ServerName, UserId,
    events::{TimelineEventType, room::member::MembershipState},
};
use serde_json::value::RawValue;

pub use self::{invite::PeerInvite, join::JoinAnswer};
use crate::{
    RoomHead, Rooms,
    head::membership_in,
    peer_error::PeerError,
    receive::{Accepting, Received},
    write_error::Refusal,
};

/// An event that a server sends for one of its users, and what its address says of it.
#[derive(Debug, Clone, Copy)]
pub struct Sent<'a> {
    /// The server.
    pub origin: &'a ServerName,
    /// The room that the path names.
    pub room_id: &'a RoomId,
    /// The event that the path names.
    pub event_id: &'a EventId,
    /// The event.
    pub pdu: &'a RawValue,
}

impl Rooms {
    /// The room, for a server that the room's ACL lets in. One that all have left is nobody's to let others into.
    pub(crate) async fn room_for(
        &self,
        origin: &ServerName,
        room_id: &RoomId,
    ) -> Result<Arc<RoomHead>, PeerError> {
        let head = self.resident_head(room_id).await?;
        let head = head
            .filter(|head| head.has_server(self.server_name()))
            .ok_or(PeerError::NoSuchRoom)?;
        if self.server_is_allowed(&head, origin).await? {
            Ok(head)
        } else {
            Err(PeerError::NotInRoom)
        }
    }

    /// As [`Self::room_for`], for what only one who knows all members can say.
    pub(crate) async fn whole_room_for(
        &self,
        origin: &ServerName,
        room_id: &RoomId,
    ) -> Result<Arc<RoomHead>, PeerError> {
        let head = self.room_for(origin, room_id).await?;
        if head.is_whole() {
            Ok(head)
        } else {
            Err(PeerError::MembersMissing)
        }
    }

    /// Reads what a server sends as one of its users' own membership of this kind. Nothing is stored or signed.
    fn own_membership(
        sent: Sent<'_>,
        head: &RoomHead,
        membership: &MembershipState,
    ) -> Result<Pdu, PeerError> {
        let pdu = Pdu::parse(sent.pdu.get(), sent.room_id, head.version);
        let pdu = pdu?;
        let event = &pdu.event;
        if event.event_id != sent.event_id {
            return Err(PeerError::invalid("The event has another id than the path."));
        }
        if event.kind != TimelineEventType::RoomMember || membership_in(event) != *membership {
            return Err(PeerError::invalid(format!(
                "The event must be an `m.room.member` with the membership `{membership}`."
            )));
        }
        if event.state_key.as_deref() != Some(event.sender.as_str()) {
            return Err(PeerError::invalid("The `state_key` must be the sender."));
        }
        require_own_user(sent.origin, &event.sender)?;
        Ok(pdu)
    }

    /// Puts what a server sent into the room, if the room's rules allow it now.
    async fn take_membership(&self, sent: Sent<'_>, head: &RoomHead, pdu: &Pdu) -> Result<Pdu, PeerError> {
        let raw = RawValue::from_string(pdu.json.clone());
        let raw = raw.map_err(|error| PeerError::invalid(error.to_string()))?;
        let checked = self.check_pdus(head.version, sent.room_id, &[raw]).await;
        let checked = match checked.into_iter().next() {
            Some(Ok(pdu)) => pdu,
            Some(Err(refused)) => return Err(refused.into()),
            None => return Err(PeerError::invalid("The event cannot be read.")),
        };
        let accepting = Accepting {
            hand_on: true,
            ..Accepting::from(sent.origin)
        };
        let accepted = self.accept(sent.room_id, checked.clone(), accepting).await?;
        match accepted {
            Received::Accepted | Received::AlreadyHere => Ok(checked),
            Received::SoftFailed => Err(Refusal::Rules("the room has changed".to_owned()).into()),
            Received::Rejected(rule) => Err(Refusal::Rules(rule).into()),
            Received::Dropped(reason) => Err(PeerError::Invalid(reason)),
        }
    }
}

fn require_own_user(origin: &ServerName, user: &UserId) -> Result<(), PeerError> {
    if user.server_name() == origin {
        Ok(())
    } else {
        Err(PeerError::UserNotYours)
    }
}
