//! A user of another server knocks (`send_knock`).

use ruma::events::room::member::MembershipState;

use super::Sent;
use crate::{Rooms, membership::knock::may_knock, peer_error::PeerError, remote_servers::RawPdu};

impl Rooms {
    /// Takes the knock in, and shows what the user may see of the room.
    pub async fn send_knock(&self, sent: Sent<'_>) -> Result<Vec<RawPdu>, PeerError> {
        let head = self.whole_room_for(sent.origin, sent.room_id).await?;
        let pdu = Self::own_membership(sent, &head, &MembershipState::Knock)?;
        if head.membership(&pdu.event.sender) != MembershipState::Knock {
            may_knock(&head, &pdu.event.sender)?;
        }
        self.take_membership(sent, &head, &pdu).await?;
        Ok(self.shown_to_server(&head, None).await?)
    }
}
