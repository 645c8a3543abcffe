//! Banning and unbanning.

use ruma::{OwnedEventId, RoomId, UserId, events::room::member::MembershipState};

use super::{
    MembershipRequest, append_member, member_event, require_joined, require_level, require_more_power,
};
use crate::{
    RoomHead, Rooms,
    room_transaction::Beside,
    write_error::{Attempt, Refusal, WriteError, attempt},
};

impl Rooms {
    /// Bans the target, whether they are in the room or not; nothing happens when they are banned already.
    pub async fn ban(
        &self,
        sender: &UserId,
        target: &UserId,
        room_id: &RoomId,
        request: &MembershipRequest,
    ) -> Result<OwnedEventId, WriteError> {
        self.wait_until_whole(room_id).await?;
        attempt(|| self.try_ban(sender, target, room_id, request)).await
    }

    /// Lifts the target's ban. They are out of the room afterwards, and may be let in again.
    pub async fn unban(
        &self,
        sender: &UserId,
        target: &UserId,
        room_id: &RoomId,
        request: &MembershipRequest,
    ) -> Result<OwnedEventId, WriteError> {
        self.wait_until_whole(room_id).await?;
        attempt(|| self.try_unban(sender, target, room_id, request)).await
    }

    async fn try_ban(
        &self,
        sender: &UserId,
        target: &UserId,
        room_id: &RoomId,
        request: &MembershipRequest,
    ) -> Result<OwnedEventId, Attempt> {
        let mut transaction = self.begin_existing(room_id).await?;
        let head = transaction.head();
        require_joined(head, sender)?;
        require_level(head, sender, head.power_levels().ban, "ban")?;
        require_more_power(head, sender, target)?;
        if head.membership(target) == MembershipState::Ban
            && let Some(event_id) = member_event(head, target)
        {
            transaction.confirm().await?;
            return Ok(event_id);
        }
        let content = request.content(&MembershipState::Ban);
        let event = append_member(&mut transaction, sender, target, content, Beside::default()).await?;
        transaction.commit().await?;
        Ok(event.event_id.clone())
    }

    async fn try_unban(
        &self,
        sender: &UserId,
        target: &UserId,
        room_id: &RoomId,
        request: &MembershipRequest,
    ) -> Result<OwnedEventId, Attempt> {
        let mut transaction = self.begin_existing(room_id).await?;
        may_unban(transaction.head(), sender, target)?;
        let content = request.content(&MembershipState::Leave);
        let event = append_member(&mut transaction, sender, target, content, Beside::default()).await?;
        transaction.commit().await?;
        Ok(event.event_id.clone())
    }
}

/// Why the ban may not be lifted. The rules want the level to ban and the one to kick (`m.room.member`, `leave`).
fn may_unban(head: &RoomHead, sender: &UserId, target: &UserId) -> Result<(), Refusal> {
    require_joined(head, sender)?;
    if head.membership(target) != MembershipState::Ban {
        return Err(Refusal::TargetNotBanned(target.to_owned()));
    }
    require_level(head, sender, head.power_levels().ban, "unban")?;
    require_level(head, sender, head.power_levels().kick, "unban")?;
    require_more_power(head, sender, target)
}
