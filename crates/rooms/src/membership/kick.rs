//! Taking somebody else out of a room, or their invite or knock back.

use ruma::{OwnedEventId, RoomId, UserId, events::room::member::MembershipState};

use super::{MembershipRequest, append_member, require_joined, require_level, require_more_power};
use crate::{
    RoomHead, Rooms,
    room_transaction::Beside,
    write_error::{Attempt, Refusal, WriteError, attempt},
};

impl Rooms {
    /// Kicks the target. A banned one stays banned (B16).
    pub async fn kick(
        &self,
        sender: &UserId,
        target: &UserId,
        room_id: &RoomId,
        request: &MembershipRequest,
    ) -> Result<OwnedEventId, WriteError> {
        self.wait_until_whole(room_id).await?;
        attempt(|| self.try_kick(sender, target, room_id, request)).await
    }

    async fn try_kick(
        &self,
        sender: &UserId,
        target: &UserId,
        room_id: &RoomId,
        request: &MembershipRequest,
    ) -> Result<OwnedEventId, Attempt> {
        let mut transaction = self.begin_existing(room_id).await?;
        may_kick(transaction.head(), sender, target)?;
        let content = request.content(&MembershipState::Leave);
        let event = append_member(&mut transaction, sender, target, content, Beside::default()).await?;
        transaction.commit().await?;
        Ok(event.event_id.clone())
    }
}

/// Why the target may not be kicked (authorisation rules, `m.room.member`, membership `leave`).
fn may_kick(head: &RoomHead, sender: &UserId, target: &UserId) -> Result<(), Refusal> {
    require_joined(head, sender)?;
    // One may always take oneself out.
    if sender == target {
        return Ok(());
    }
    require_level(head, sender, head.power_levels().kick, "kick")?;
    match head.membership(target) {
        MembershipState::Join | MembershipState::Invite | MembershipState::Knock => {}
        MembershipState::Ban => return Err(Refusal::TargetBanned(target.to_owned())),
        _ => return Err(Refusal::TargetNotInRoom(target.to_owned())),
    }
    require_more_power(head, sender, target)
}
