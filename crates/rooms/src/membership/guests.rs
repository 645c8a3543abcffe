//! Whether a room welcomes guests, and sending them away when it does not.
//!
//! No server knows which users of others are guests: each keeps its own out (client-server API, guest access).

use ruma::{RoomId, ServerName, events::room::member::MembershipState};

use super::{
    MembershipRequest,
    fan_out::each,
    over_servers::{PATIENCE, within},
};
use crate::{Rooms, remote_servers::RemoteError, write_error::WriteError};

impl Rooms {
    /// Asks before a guest of ours joins a room that only others know. Who does not say that guests may come in has not let
    /// them in.
    pub(super) async fn require_guests_welcome(
        &self,
        server: &ServerName,
        room_id: &RoomId,
    ) -> Result<(), WriteError> {
        match within(PATIENCE, self.shared.remote.lets_guests_in(server, room_id)).await {
            Ok(true) => Ok(()),
            Err(RemoteError::Unreachable) => Err(RemoteError::Unreachable.into()),
            Ok(false) | Err(_) => Err(WriteError::GuestsForbidden),
        }
    }

    /// For a guest who has just come in: the other server may have said what is not so, or the room may have changed since.
    pub(super) async fn stay_if_welcome(&self, room_id: &RoomId) -> Result<(), WriteError> {
        match self.head(room_id).await? {
            Some(head) if !head.guests_can_join() => {
                self.send_guests_away(room_id).await?;
                Err(WriteError::GuestsForbidden)
            }
            _ => Ok(()),
        }
    }

    /// Takes this server's guests out of a room that does not let guests in (client-server API, guest access). Looks
    /// at every member, which happens only when the room's guest access changes.
    pub(crate) async fn send_guests_away(&self, room_id: &RoomId) -> Result<(), WriteError> {
        let Some(head) = self.head(room_id).await?.filter(|head| !head.guests_can_join()) else {
            return Ok(());
        };
        let joined = head
            .members
            .iter()
            .filter(|(user, member)| member.membership == MembershipState::Join && self.is_local(user))
            .map(|(user, _)| user.clone());
        let (rooms, room_id) = (self.clone(), room_id.to_owned());
        each(joined.collect(), move |user| {
            let (rooms, room_id) = (rooms.clone(), room_id.clone());
            async move {
                let account = rooms.shared.accounts.user(&user).await?;
                if account.is_some_and(|account| account.is_guest) {
                    rooms
                        .leave(&user, &room_id, &MembershipRequest::default())
                        .await?;
                }
                Ok(())
            }
        })
        .await
    }
}
