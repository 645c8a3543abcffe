//! Sending guests away when a room no longer welcomes them.

use ruma::{RoomId, events::room::member::MembershipState};

use super::{MembershipRequest, fan_out::each};
use crate::{Rooms, write_error::WriteError};

impl Rooms {
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
