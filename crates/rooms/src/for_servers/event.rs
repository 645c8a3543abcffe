//! One event (`GET /event/{eventId}`), and what authorises it (`GET /event_auth/{roomId}/{eventId}`).

use ruma::{EventId, OwnedEventId, RoomId, ServerName};

use super::sight::ServerSight;
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
    ) -> Result<Vec<RawPdu>, PeerError> {
        self.room_of_member(origin, room_id).await?;
        self.placed_for_server(room_id, event_id).await?;
        let chain = self.auth_chain_ids(room_id, &[event_id.to_owned()]).await?;
        Ok(self.raw_pdus(room_id, &chain).await?)
    }

    /// The auth chain of events of the room, without those themselves but where one authorises another.
    pub(crate) async fn auth_chain_ids(
        &self,
        room_id: &RoomId,
        of: &[OwnedEventId],
    ) -> Result<Vec<OwnedEventId>, PeerError> {
        let chain = self.auth_chain(room_id, of).await?;
        Ok(chain.into_iter().map(|event| event.event_id.clone()).collect())
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
