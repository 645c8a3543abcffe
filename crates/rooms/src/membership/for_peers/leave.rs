//! A user of another server rejects an invite, or takes a knock back (`send_leave`).

use ruma::events::room::member::MembershipState;

use super::Sent;
use crate::{Rooms, peer_error::PeerError};

impl Rooms {
    /// Takes the leave in.
    pub async fn send_leave(&self, sent: Sent<'_>) -> Result<(), PeerError> {
        let head = self.whole_room_for(sent.origin, sent.room_id).await?;
        let pdu = Self::own_membership(sent, &head, &MembershipState::Leave)?;
        self.take_membership(sent, &head, &pdu).await.map(|_| ())
    }
}
