//! A user of another server joins (`send_join`).

use gatehouse_events::Pdu;
use ruma::{OwnedServerName, OwnedUserId, events::room::member::MembershipState};

use super::Sent;
use crate::{
    RoomHead, Rooms,
    for_servers::{ChainPart, OutgoingState},
    peer_error::PeerError,
    remote_servers::WantedState,
    write_error::Refusal,
};

/// The room, for the server whose user has joined.
#[derive(Debug)]
pub struct JoinAnswer {
    /// The join, with our signature where it needs it.
    pub event: String,
    /// The state before the join, and the auth chain of both.
    pub state: OutgoingState,
    /// Whether members are missing from the state.
    pub members_omitted: bool,
    /// The servers in the room before the join.
    pub servers_in_room: Vec<OwnedServerName>,
}

impl Rooms {
    /// Takes the join in, and hands over as much of the room as is wanted.
    pub async fn send_join(&self, sent: Sent<'_>, wanted: WantedState) -> Result<JoinAnswer, PeerError> {
        let head = self.whole_room_for(sent.origin, sent.room_id).await?;
        let mut pdu = Self::own_membership(sent, &head, &MembershipState::Join)?;
        if head.membership(&pdu.event.sender) == MembershipState::Ban {
            return Err(Refusal::Banned.into());
        }
        self.vouch(&head, &mut pdu).await?;
        let pdu = self.take_membership(sent, &head, &pdu).await?;
        self.hand_over(&head, pdu, wanted).await
    }

    /// Signs for a user of ours who lets the joining user in, when that is so (security.md B05). What comes of it is checked
    /// with the sender's signature before anything is kept or sent.
    async fn vouch(&self, head: &RoomHead, pdu: &mut Pdu) -> Result<(), PeerError> {
        #[derive(serde::Deserialize)]
        struct Content {
            join_authorised_via_users_server: Option<OwnedUserId>,
        }
        let content: Option<Content> = pdu.event.content_as();
        let content = content.ok_or_else(|| PeerError::invalid("The event's content is wrong."))?;
        let Some(via) = content.join_authorised_via_users_server else {
            return Ok(());
        };
        if !self.is_local(&via) {
            return Ok(());
        }
        if !self.may_let_in(head, &via) {
            return Err(PeerError::UnableToGrantJoin);
        }
        self.admission_of_peer(head, &pdu.event.sender).await?;
        let signed = pdu.add_signature_of(self.server_name(), &self.shared.key);
        signed.map_err(|error| PeerError::invalid(error.to_string()))
    }

    async fn hand_over(
        &self,
        before: &RoomHead,
        join: Pdu,
        wanted: WantedState,
    ) -> Result<JoinAnswer, PeerError> {
        let event = &join.event;
        let state = self.state_before_event(&event.room_id, &event.event_id).await?;
        let state = state.ok_or(PeerError::NoSuchEvent)?;
        let (ids, chain) = match wanted {
            // The chain then has what is in the state as well: only answers without members may leave that out.
            WantedState::Whole => (state.event_ids().cloned().collect(), ChainPart::Whole),
            WantedState::WithoutMembers => {
                let heroes = self.hero_events(&event.room_id, &state, &event.sender).await?;
                let ids = state.state.values().cloned().chain(heroes).collect();
                (ids, ChainPart::BesidesState)
            }
        };
        Ok(JoinAnswer {
            state: self.outgoing_state(before, ids, &event.auth_events, chain)?,
            event: join.json,
            members_omitted: wanted == WantedState::WithoutMembers,
            servers_in_room: before.servers.keys().cloned().collect(),
        })
    }
}
