//! Knocking: asking to be let in.

use ruma::{OwnedEventId, OwnedServerName, RoomId, UserId, events::room::member::MembershipState};

use super::{MembershipRequest, append_member, residence::Residence, stripped_state::stripped_state};
use crate::{
    RoomHead, Rooms,
    room_transaction::Beside,
    write_error::{Attempt, Refusal, WriteError, attempt},
};

impl Rooms {
    /// Knocks on the room.
    pub async fn knock(
        &self,
        user: &UserId,
        room_id: &RoomId,
        request: &MembershipRequest,
        via: &[OwnedServerName],
    ) -> Result<(), WriteError> {
        let knocked = match self.residence(room_id).await? {
            Residence::Here(_) => {
                self.wait_until_whole(room_id).await?;
                attempt(|| self.try_knock(user, room_id, request)).await
            }
            Residence::Elsewhere(_) => self.knock_over_servers(user, room_id, request, via).await,
        };
        knocked.map(|_| ())
    }

    pub(super) async fn try_knock(
        &self,
        user: &UserId,
        room_id: &RoomId,
        request: &MembershipRequest,
    ) -> Result<OwnedEventId, Attempt> {
        let mut content = request.content(&MembershipState::Knock);
        self.add_profile(user, &mut content).await?;
        let mut transaction = self.begin_existing(room_id).await?;
        may_knock(transaction.head(), user)?;
        self.expect_active(&mut transaction, user).await?;
        let stripped_state = Some(stripped_state(&transaction, None).await?);
        let beside = Beside {
            stripped_state,
            ..Beside::default()
        };
        let event = append_member(&mut transaction, user, user, content, beside).await?;
        transaction.commit().await?;
        Ok(event.event_id.clone())
    }
}

/// Why the user may not knock (authorisation rules, `m.room.member`, membership `knock`).
pub(super) fn may_knock(head: &RoomHead, user: &UserId) -> Result<(), WriteError> {
    let rules = &head.version.rules().authorization;
    match head.membership(user) {
        MembershipState::Ban => return Err(Refusal::Banned.into()),
        MembershipState::Join => return Err(Refusal::AlreadyJoined(user.to_owned()).into()),
        MembershipState::Invite => return Err(Refusal::AlreadyInvited.into()),
        _ => {}
    }
    if !rules.knocking {
        return Err(WriteError::UnsupportedByVersion(head.version.name()));
    }
    let rule = head.join_rule();
    if rule == "knock" || (rule == "knock_restricted" && rules.knock_restricted_join_rule) {
        return Ok(());
    }
    Err(Refusal::KnockNotAllowed.into())
}
