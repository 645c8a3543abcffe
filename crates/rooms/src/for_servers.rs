//! What other servers may read of rooms that this server is in: events, state, history.
//!
//! Each read begins with [`Rooms::room_of_member`]: the server that asks has a user in the room, and the room's ACL lets it
//! in. An event is asked for by its room; one of another room is one that does not exist, word for word (security.md D01
//! to D03). Events that none of the server's users may see are handed out redacted (D04): the graph needs them.

mod auth_chain_walk;
mod event;
mod heroes;
mod history;
mod outgoing_state;
mod sight;
mod state;
mod timestamp;

use std::sync::Arc;

use ruma::{RoomId, ServerName};

pub(crate) use self::outgoing_state::ChainPart;
pub use self::outgoing_state::{OutgoingPart, OutgoingState};

use crate::{RoomHead, Rooms, peer_error::PeerError};

impl Rooms {
    /// The room, for a server that is in it.
    pub(crate) async fn room_of_member(
        &self,
        origin: &ServerName,
        room_id: &RoomId,
    ) -> Result<Arc<RoomHead>, PeerError> {
        match self.room_for(origin, room_id).await {
            Ok(head) if head.has_server(origin) => Ok(head),
            // Who is not in the room is told the same whether it exists or not.
            Ok(_) | Err(PeerError::NoSuchRoom | PeerError::NotInRoom) => Err(PeerError::NotInRoom),
            Err(error) => Err(error),
        }
    }

    /// As [`Self::room_of_member`], for what only one who knows all members can say.
    pub(crate) async fn whole_room_of_member(
        &self,
        origin: &ServerName,
        room_id: &RoomId,
    ) -> Result<Arc<RoomHead>, PeerError> {
        let head = self.room_of_member(origin, room_id).await?;
        if head.is_whole() {
            Ok(head)
        } else {
            Err(PeerError::MembersMissing)
        }
    }
}
