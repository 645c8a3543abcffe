//! One event (`GET /event/{eventId}`), and what authorises it (`GET /event_auth/{roomId}/{eventId}`).

use gatehouse_events::auth_events_of;
use ruma::{EventId, RoomId, ServerName};

use super::{
    outgoing_state::{ChainPart, OutgoingState},
    sight::ServerSight,
};
use crate::{
    Rooms,
    graph::loaded::Placed,
    peer_error::PeerError,
    remote_servers::RawPdu,
    tables::{EVENT_INDEX, Standing},
};

impl Rooms {
    /// An event of whatever room the server is in.
    pub async fn event_for_server(
        &self,
        origin: &ServerName,
        event_id: &EventId,
    ) -> Result<RawPdu, PeerError> {
        let place = self.store.get(&EVENT_INDEX, &(event_id.to_owned(),)).await?;
        let (room_id, _) = place.ok_or(PeerError::NoSuchEvent)?;
        let head = match self.room_of_member(origin, &room_id).await {
            // An id grants nothing, and tells nothing.
            Err(PeerError::NotInRoom) => return Err(PeerError::NoSuchEvent),
            head => head?,
        };
        let placed = self.placed_for_server(&room_id, event_id).await?;
        let sight = ServerSight::new(self, &head, origin).await?;
        sight.show(placed).await?.ok_or(PeerError::NoSuchEvent)
    }

    /// The auth chain of an event of the room.
    pub async fn event_auth_for_server(
        &self,
        origin: &ServerName,
        room_id: &RoomId,
        event_id: &EventId,
    ) -> Result<OutgoingState, PeerError> {
        let head = self.room_of_member(origin, room_id).await?;
        let placed = self.placed_for_server(room_id, event_id).await?;
        let cited = auth_events_of(&placed.row.pdu, head.version).map_err(|_| PeerError::NoSuchEvent)?;
        self.outgoing_state(&head, Vec::new(), &cited, ChainPart::Whole)
    }

    /// An event of this room that was not rejected; one of another room does not exist (security.md D02).
    pub(super) async fn placed_for_server(
        &self,
        room_id: &RoomId,
        event_id: &EventId,
    ) -> Result<Placed, PeerError> {
        let mut placed = self.placed(room_id, &[event_id.to_owned()]).await?;
        placed
            .remove(event_id)
            .filter(|placed| placed.row.standing != Standing::Rejected)
            .ok_or(PeerError::NoSuchEvent)
    }
}
