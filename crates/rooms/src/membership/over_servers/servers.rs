//! Whom to ask about a room that this server is not in.

use ruma::{OwnedServerName, RoomId, UserId};

use crate::{Rooms, membership::residence::Residence, write_error::WriteError};

/// Servers that are asked for one request.
const MAX_SERVERS: usize = 8;

impl Rooms {
    /// The servers to ask, in this order: those that the client or the alias names, those that are known from an invite,
    /// those that are in the room as far as this server knows, and the one that gave the room its id.
    pub(super) async fn servers_to_ask(
        &self,
        user: &UserId,
        room_id: &RoomId,
        via: &[OwnedServerName],
    ) -> Result<Vec<OwnedServerName>, WriteError> {
        let outside = self.outside(user, room_id).await?;
        let known = match self.residence(room_id).await? {
            Residence::Here(head) | Residence::Elsewhere(Some(head)) => head.servers_by_members(),
            Residence::Elsewhere(None) => Vec::new(),
        };
        let of_id = room_id.server_name().map(ToOwned::to_owned);
        let all = via
            .iter()
            .cloned()
            .chain(outside.into_iter().flat_map(|outside| outside.servers()))
            .chain(known)
            .chain(of_id);
        let mut servers = Vec::new();
        for server in all {
            if server != self.server_name() && !servers.contains(&server) {
                servers.push(server);
            }
        }
        servers.truncate(MAX_SERVERS);
        Ok(servers)
    }
}
