//! The state before an event (`GET /state`, `GET /state_ids`).

use std::sync::Arc;

use ruma::{EventId, OwnedEventId, RoomId, ServerName};

use super::outgoing_state::{ChainPart, OutgoingState};
use crate::{RoomHead, Rooms, peer_error::PeerError, remote_servers::FetchedStateIds};

impl Rooms {
    /// The state before an event of the room.
    pub async fn state_for_server(
        &self,
        origin: &ServerName,
        room_id: &RoomId,
        at: &EventId,
    ) -> Result<OutgoingState, PeerError> {
        let (head, ids) = self.state_before_for_server(origin, room_id, at).await?;
        self.outgoing_state(&head, ids, &[], ChainPart::BesidesState)
    }

    /// The ids of the state before an event of the room.
    pub async fn state_ids_for_server(
        &self,
        origin: &ServerName,
        room_id: &RoomId,
        at: &EventId,
    ) -> Result<FetchedStateIds, PeerError> {
        let (head, state) = self.state_before_for_server(origin, room_id, at).await?;
        let auth_chain = self.auth_chain_ids(&head, state.clone()).await?;
        Ok(FetchedStateIds { state, auth_chain })
    }

    async fn state_before_for_server(
        &self,
        origin: &ServerName,
        room_id: &RoomId,
        at: &EventId,
    ) -> Result<(Arc<RoomHead>, Vec<OwnedEventId>), PeerError> {
        let head = self.whole_room_of_member(origin, room_id).await?;
        self.placed_for_server(room_id, at).await?;
        let state = self.state_before_event(room_id, at).await?;
        let state = state.ok_or(PeerError::NoSuchEvent)?;
        Ok((head, state.event_ids().cloned().collect()))
    }
}
