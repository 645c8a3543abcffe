//! A user of another server joins (`send_join`).

use std::collections::HashSet;

use gatehouse_events::Pdu;
use ruma::{OwnedEventId, OwnedServerName, OwnedUserId, events::room::member::MembershipState};

use super::Sent;
use crate::{RoomHead, Rooms, peer_error::PeerError, remote_servers::RawPdu, write_error::Refusal};

/// The room, for the server whose user has joined.
#[derive(Debug)]
pub struct JoinAnswer {
    /// The join, with our signature where it needs it.
    pub event: RawPdu,
    /// The state before the join.
    pub state: Vec<RawPdu>,
    /// The auth chain of the join and of the state.
    pub auth_chain: Vec<RawPdu>,
    /// The servers in the room before the join.
    pub servers_in_room: Vec<OwnedServerName>,
}

impl Rooms {
    /// Takes the join in, and hands the room over.
    pub async fn send_join(&self, sent: Sent<'_>) -> Result<JoinAnswer, PeerError> {
        let head = self.room_for(sent.origin, sent.room_id).await?;
        let mut pdu = Self::own_membership(sent, &head, &MembershipState::Join)?;
        if head.membership(&pdu.event.sender) == MembershipState::Ban {
            return Err(Refusal::Banned.into());
        }
        self.vouch(&head, &mut pdu).await?;
        let pdu = self.take_membership(sent, &head, &pdu).await?;
        self.hand_over(&head, &pdu).await
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

    async fn hand_over(&self, before: &RoomHead, join: &Pdu) -> Result<JoinAnswer, PeerError> {
        let event = &join.event;
        let state = self.state_before_event(&event.room_id, &event.event_id).await?;
        let state = state.ok_or(PeerError::NoSuchEvent)?;
        let ids: Vec<OwnedEventId> = state.event_ids().cloned().collect();
        let mut of = ids.clone();
        of.extend(event.auth_events.iter().cloned());
        let chain = self.auth_chain(&event.room_id, &of).await?;
        // The whole of it, with what is in the state as well: only answers without members may leave that out.
        let mut auth_chain: HashSet<OwnedEventId> =
            chain.into_iter().map(|event| event.event_id.clone()).collect();
        auth_chain.extend(event.auth_events.iter().cloned());
        let auth_chain: Vec<_> = auth_chain.into_iter().collect();
        let raw = serde_json::value::RawValue::from_string(join.json.clone());
        Ok(JoinAnswer {
            event: raw.map_err(|error| PeerError::invalid(error.to_string()))?,
            state: self.raw_pdus(&event.room_id, &ids).await?,
            auth_chain: self.raw_pdus(&event.room_id, &auth_chain).await?,
            servers_in_room: before.servers.keys().cloned().collect(),
        })
    }
}
