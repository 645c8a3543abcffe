//! `m.room.member` set through the state API: the same actions under another name.

use ruma::{
    CanonicalJsonObject, CanonicalJsonValue, OwnedEventId, OwnedUserId, RoomId, UserId,
    events::room::member::MembershipState,
};

use super::{MembershipRequest, join::Join};
use crate::{
    Rooms,
    write_error::{Refusal, WriteError, attempt},
};

impl Rooms {
    /// Does what the content's membership says, by the rules of that action.
    pub(crate) async fn set_member_state(
        &self,
        sender: &UserId,
        room_id: &RoomId,
        state_key: &str,
        mut content: CanonicalJsonObject,
        is_guest: bool,
    ) -> Result<OwnedEventId, WriteError> {
        let target = OwnedUserId::try_from(state_key).map_err(|_| {
            WriteError::BadContent("The state key of a membership must be a user id.".to_owned())
        })?;
        let membership = membership(&mut content)?;
        let request = MembershipRequest {
            reason: None,
            content,
        };
        let own = sender == target;
        if membership != MembershipState::Leave || !own {
            let head = self.head(room_id).await?;
            let is_joined = head.is_some_and(|head| head.is_joined(sender));
            if !own || !is_joined {
                self.wait_until_whole(room_id).await?;
            }
        }
        match membership {
            MembershipState::Join if own => {
                let join = Join {
                    request,
                    is_guest,
                    via: Vec::new(),
                    third_party_signed: None,
                };
                attempt(|| self.try_join(sender, room_id, &join)).await
            }
            MembershipState::Knock if own => attempt(|| self.try_knock(sender, room_id, &request)).await,
            MembershipState::Join | MembershipState::Knock => Err(Refusal::NotForOthers(target).into()),
            MembershipState::Invite => self.invite(sender, &target, room_id, &request).await,
            MembershipState::Ban => self.ban(sender, &target, room_id, &request).await,
            MembershipState::Leave if own => self.leave(sender, room_id, &request).await,
            MembershipState::Leave => self.let_go(sender, &target, room_id, &request).await,
            _ => Err(unknown()),
        }
    }

    /// `leave` for somebody else: the ban is lifted, or they are kicked.
    async fn let_go(
        &self,
        sender: &UserId,
        target: &UserId,
        room_id: &RoomId,
        request: &MembershipRequest,
    ) -> Result<OwnedEventId, WriteError> {
        let head = self.head(room_id).await?.ok_or(WriteError::NoSuchRoom)?;
        if head.membership(target) == MembershipState::Ban {
            self.unban(sender, target, room_id, request).await
        } else {
            self.kick(sender, target, room_id, request).await
        }
    }
}

/// Takes the membership out of the content (B20).
fn membership(content: &mut CanonicalJsonObject) -> Result<MembershipState, WriteError> {
    match content.remove("membership") {
        Some(CanonicalJsonValue::String(membership)) => match MembershipState::from(membership) {
            known @ (MembershipState::Ban
            | MembershipState::Invite
            | MembershipState::Join
            | MembershipState::Knock
            | MembershipState::Leave) => Ok(known),
            _ => Err(unknown()),
        },
        _ => Err(unknown()),
    }
}

fn unknown() -> WriteError {
    WriteError::BadContent("The `membership` must be `join`, `invite`, `knock`, `leave` or `ban`.".to_owned())
}
