//! The state before an event (`GET /state`, `GET /state_ids`).

use std::collections::HashSet;

use ruma::{EventId, OwnedEventId, RoomId, ServerName};

use crate::{
    Rooms,
    peer_error::PeerError,
    remote_servers::{FetchedState, FetchedStateIds},
};

impl Rooms {
    /// The state before an event of the room.
    pub async fn state_for_server(
        &self,
        origin: &ServerName,
        room_id: &RoomId,
        at: &EventId,
    ) -> Result<FetchedState, PeerError> {
        let ids = self.state_ids_for_server(origin, room_id, at).await?;
        Ok(FetchedState {
            pdus: self.raw_pdus(room_id, &ids.state).await?,
            auth_chain: self.raw_pdus(room_id, &ids.auth_chain).await?,
        })
    }

    /// The ids of the state before an event of the room.
    pub async fn state_ids_for_server(
        &self,
        origin: &ServerName,
        room_id: &RoomId,
        at: &EventId,
    ) -> Result<FetchedStateIds, PeerError> {
        self.room_of_member(origin, room_id).await?;
        self.placed_for_server(room_id, at).await?;
        let state = self.state_before_event(room_id, at).await?;
        let state = state.ok_or(PeerError::NoSuchEvent)?;
        let pdu_ids: Vec<OwnedEventId> = state.event_ids().cloned().collect();
        let in_state: HashSet<&OwnedEventId> = pdu_ids.iter().collect();
        let mut auth_chain_ids = self.auth_chain_ids(room_id, &pdu_ids).await?;
        auth_chain_ids.retain(|id| !in_state.contains(id));
        Ok(FetchedStateIds {
            state: pdu_ids,
            auth_chain: auth_chain_ids,
        })
    }
}
