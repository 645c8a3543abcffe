//! What goes to other servers. The room's transactions write down which events do; whoever sends them reads it here, and
//! takes the rows away when they have what they need.

use gatehouse_store::{Batch, Direction, Position, Range, StoreError};
use ruma::{OwnedEventId, OwnedRoomId, OwnedServerName};

use crate::{
    Rooms,
    tables::{TIMELINE, TO_SEND},
};

/// An event that goes to other servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventToSend {
    /// Where it is.
    pub position: Position,
    /// In which room.
    pub room_id: OwnedRoomId,
    /// A server that it goes to whether or not that takes part in the room: the one of the user whom it is about.
    pub also_to: Option<OwnedServerName>,
    /// The server of its sender, which has it.
    pub not_to: OwnedServerName,
}

/// An event as it goes out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutgoingPdu {
    /// Its id.
    pub event_id: OwnedEventId,
    /// The PDU, in canonical JSON.
    pub json: String,
}

impl Rooms {
    /// The events after a place that wait for being sent, in order.
    pub async fn to_send(&self, after: Position, limit: usize) -> Result<Vec<EventToSend>, StoreError> {
        let range = Range::all().after(&(after,));
        let rows = self
            .store
            .scan(&TO_SEND, &range, Direction::Forward, limit)
            .await?;
        Ok(rows
            .into_iter()
            .filter_map(|((position,), (room_id, also_to, not_to))| {
                Some(EventToSend {
                    position,
                    room_id,
                    also_to: OwnedServerName::try_from(also_to).ok(),
                    not_to: OwnedServerName::try_from(not_to).ok()?,
                })
            })
            .collect())
    }

    /// Adds to a batch that somebody else has written down where this event goes.
    pub fn forget_to_send(&self, batch: &mut Batch, position: Position) {
        batch.delete(&TO_SEND, &(position,));
    }

    /// The other servers in the room, to which its events go. Those that its ACL denies are among them for as long as
    /// they are in the room (client-server API, "Server ACLs"), else they would never learn what became of it.
    pub async fn receiving_servers(
        &self,
        room_id: &ruma::RoomId,
    ) -> Result<Vec<OwnedServerName>, StoreError> {
        let Some(head) = self.head(room_id).await? else {
            return Ok(Vec::new());
        };
        let others = head.all_servers().filter(|server| *server != self.server_name());
        Ok(others.cloned().collect())
    }

    /// The PDUs at these places, in the order asked; nothing where there is none any more.
    pub async fn pdus_for_sending(
        &self,
        places: &[(OwnedRoomId, Position)],
    ) -> Result<Vec<Option<OutgoingPdu>>, StoreError> {
        let rows = self.store.get_many(&TIMELINE, places).await?;
        let outgoing = |row: crate::tables::EventRow| OutgoingPdu {
            event_id: row.event_id,
            json: row.pdu,
        };
        Ok(rows.into_iter().map(|row| row.map(outgoing)).collect())
    }
}
