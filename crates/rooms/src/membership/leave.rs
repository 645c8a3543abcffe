//! Leaving a room, rejecting an invite, taking back a knock.

use ruma::{OwnedEventId, RoomId, UserId, events::room::member::MembershipState};

use super::{MembershipRequest, append_member, fan_out::each, member_event, residence::Residence};
use crate::{
    RoomHead, Rooms,
    room_transaction::Beside,
    write_error::{Attempt, Refusal, WriteError, attempt},
};

impl Rooms {
    /// Takes the user out of the room; nothing happens when they have left already (B13).
    pub async fn leave(
        &self,
        user: &UserId,
        room_id: &RoomId,
        request: &MembershipRequest,
    ) -> Result<OwnedEventId, WriteError> {
        if let Residence::Elsewhere(_) = self.residence(room_id).await?
            && let Some(outside) = self.outside(user, room_id).await?
        {
            return self.leave_from_outside(user, room_id, &outside, request).await;
        }
        let head = self.head(room_id).await?;
        if head.is_some_and(|head| !head.is_joined(user)) {
            self.wait_until_whole(room_id).await?;
        }
        attempt(|| self.try_leave(user, room_id, request)).await
    }

    async fn try_leave(
        &self,
        user: &UserId,
        room_id: &RoomId,
        request: &MembershipRequest,
    ) -> Result<OwnedEventId, Attempt> {
        let mut transaction = self.begin_existing(room_id).await?;
        let head = transaction.head();
        match head.membership(user) {
            MembershipState::Ban => return Err(Refusal::Banned.into()),
            MembershipState::Join | MembershipState::Invite | MembershipState::Knock => {}
            _ => {
                let left = member_event(head, user).ok_or(Refusal::NeverInRoom)?;
                transaction.confirm().await?;
                return Ok(left);
            }
        }
        let content = request.content(&MembershipState::Leave);
        let event = append_member(&mut transaction, user, user, content, Beside::default()).await?;
        transaction.commit().await?;
        Ok(event.event_id.clone())
    }

    /// Takes the user out of every room that they are in, invited to or knocking at; as at deactivation. Goes on
    /// when one room fails, and tells the last failure.
    pub async fn leave_all(&self, user: &UserId) -> Result<(), WriteError> {
        let inside = self
            .current_memberships(user)
            .await?
            .into_iter()
            .filter(|current| {
                matches!(
                    current.membership,
                    MembershipState::Join | MembershipState::Invite | MembershipState::Knock
                )
            })
            .map(|current| current.room_id);
        let (rooms, user) = (self.clone(), user.to_owned());
        each(inside.collect(), move |room_id| {
            let (rooms, user) = (rooms.clone(), user.clone());
            async move {
                let left = rooms.leave(&user, &room_id, &MembershipRequest::default()).await;
                left.map(|_| ())
            }
        })
        .await
    }
}

/// Why a user may not leave.
pub(super) fn may_leave(head: &RoomHead, user: &UserId) -> Result<(), Refusal> {
    match head.membership(user) {
        MembershipState::Join | MembershipState::Invite | MembershipState::Knock => Ok(()),
        MembershipState::Ban => Err(Refusal::Banned),
        _ => Err(Refusal::NeverInRoom),
    }
}
