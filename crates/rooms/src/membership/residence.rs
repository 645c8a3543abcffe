//! Whether this server is in a room: only then it can say what the room is.

use std::sync::Arc;

use ruma::RoomId;

use crate::{RoomHead, Rooms, write_error::WriteError};

/// Where a room is.
#[derive(Debug, Clone)]
pub(crate) enum Residence {
    /// Here: what this server knows of it is what it is.
    Here(Arc<RoomHead>),
    /// Elsewhere. The head, if there is one, is what it was when this server's last user left.
    Elsewhere(Option<Arc<RoomHead>>),
}

impl Rooms {
    /// Whether the room is as its head says: a user of this server is in it, or nobody is any more.
    pub(crate) fn is_resident(&self, head: &RoomHead) -> bool {
        head.has_server(self.server_name()) || head.all_servers().next().is_none()
    }

    /// Where the room is.
    pub(crate) async fn residence(&self, room_id: &RoomId) -> Result<Residence, WriteError> {
        Ok(match self.head(room_id).await? {
            Some(head) if self.is_resident(&head) => Residence::Here(head),
            head => Residence::Elsewhere(head),
        })
    }

    /// Whether this server can say itself what becomes of the room; else others have to be asked.
    pub async fn is_here(&self, room_id: &RoomId) -> Result<bool, WriteError> {
        Ok(matches!(self.residence(room_id).await?, Residence::Here(_)))
    }

    /// The head of a room that this server is in.
    pub(crate) async fn resident_head(&self, room_id: &RoomId) -> Result<Option<Arc<RoomHead>>, WriteError> {
        match self.residence(room_id).await? {
            Residence::Here(head) => Ok(Some(head)),
            Residence::Elsewhere(_) => Ok(None),
        }
    }
}
