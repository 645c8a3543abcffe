//! Joining a room.

use ruma::{
    CanonicalJsonObject, CanonicalJsonValue, OwnedEventId, OwnedRoomId, OwnedServerName, OwnedUserId, RoomId,
    UserId, events::room::member::MembershipState,
};
use serde::Deserialize;

use super::{
    MembershipRequest, append_member, member_event, residence::Residence, signed_block::SignedBlock,
};
use crate::{
    RoomHead, Rooms,
    room_transaction::Beside,
    tables::MEMBERSHIPS,
    write_error::{Attempt, Refusal, WriteError, attempt},
};

/// Rooms named by a join rule that are looked at.
const MAX_ALLOWED_ROOMS: usize = 100;

/// What is asked.
#[derive(Debug, Clone, Default)]
pub struct Join {
    /// Reason and further content.
    pub request: MembershipRequest,
    /// Whether the user is a guest, whom the room must welcome.
    pub is_guest: bool,
    /// Servers that may know the room.
    pub via: Vec<OwnedServerName>,
    /// What an identity server signed for the user, who was invited by address.
    pub third_party_signed: Option<SignedBlock>,
}

/// How a user may come in.
#[derive(Debug)]
pub(super) enum Admission {
    /// As the rule says, or because they are invited.
    Open,
    /// Because of another room; somebody who may invite vouches for it.
    Restricted { authorised_via: OwnedUserId },
}

impl Rooms {
    /// Joins the user to the room; nothing happens when they are in it and say nothing new.
    pub async fn join(&self, user: &UserId, room_id: &RoomId, join: &Join) -> Result<(), WriteError> {
        let Residence::Here(head) = self.residence(room_id).await? else {
            return self.join_over_servers(user, room_id, join).await;
        };
        if !head.is_joined(user) {
            self.wait_until_whole(room_id).await?;
        }
        match attempt(|| self.try_join(user, room_id, join)).await {
            // Somebody on another server may be able to let the user in.
            Err(WriteError::UnableToGrantJoin) if head.servers.len() > 1 => {
                self.join_over_servers(user, room_id, join).await
            }
            outcome => outcome.map(|_| ()),
        }
    }

    pub(super) async fn try_join(
        &self,
        user: &UserId,
        room_id: &RoomId,
        join: &Join,
    ) -> Result<OwnedEventId, Attempt> {
        let mut content = join.request.content(&MembershipState::Join);
        self.add_profile(user, &mut content).await?;
        let invitation = match &join.third_party_signed {
            Some(signed) if !self.is_in_or_invited(user, room_id).await? => {
                Some((signed, self.check_signed(room_id, user, signed).await?))
            }
            _ => None,
        };
        let mut transaction = self.begin_existing(room_id).await?;
        if let Some((signed, checked)) = &invitation {
            self.append_third_party_member(&mut transaction, None, user, signed, checked)
                .await?;
        } else if let Some(signed) = &join.third_party_signed {
            self.spend_unneeded(&mut transaction, user, signed).await?;
        }
        let head = transaction.head();
        match head.membership(user) {
            MembershipState::Ban => return Err(Refusal::Banned.into()),
            MembershipState::Join => {
                if join.request.content.is_empty()
                    && let Some(event_id) = member_event(head, user)
                {
                    transaction.confirm().await?;
                    return Ok(event_id);
                }
            }
            membership => {
                if join.is_guest && !head.guests_can_join() {
                    return Err(WriteError::GuestsForbidden.into());
                }
                if let Admission::Restricted { authorised_via } =
                    self.admission(head, user, &membership).await?
                {
                    let via = CanonicalJsonValue::String(authorised_via.into());
                    content.insert("join_authorised_via_users_server".to_owned(), via);
                }
            }
        }
        if let Some(same) = same_content(&transaction, user, &content).await? {
            transaction.confirm().await?;
            return Ok(same);
        }
        self.expect_active(&mut transaction, user).await?;
        let event = append_member(&mut transaction, user, user, content, Beside::default()).await?;
        transaction.commit().await?;
        Ok(event.event_id.clone())
    }

    async fn is_in_or_invited(&self, user: &UserId, room_id: &RoomId) -> Result<bool, WriteError> {
        let head = self.head(room_id).await?;
        Ok(head.is_some_and(|head| {
            matches!(
                head.membership(user),
                MembershipState::Join | MembershipState::Invite
            )
        }))
    }

    /// Whether and how one who is not in the room may join it.
    pub(super) async fn admission(
        &self,
        head: &RoomHead,
        user: &UserId,
        membership: &MembershipState,
    ) -> Result<Admission, WriteError> {
        let rules = &head.version.rules().authorization;
        let rule = head.join_rule();
        let restricted = (rule == "restricted" && rules.restricted_join_rule)
            || (rule == "knock_restricted" && rules.knock_restricted_join_rule);
        if rule == "public" || *membership == MembershipState::Invite {
            return Ok(Admission::Open);
        }
        if !restricted {
            return Err(Refusal::NotInvited.into());
        }
        if !self.is_in_one_of(user, &allowed_rooms(head).rooms).await? {
            return Err(Refusal::NotInAllowedRoom.into());
        }
        let authorised_via = self.who_may_invite(head).ok_or(WriteError::UnableToGrantJoin)?;
        Ok(Admission::Restricted { authorised_via })
    }

    async fn is_in_one_of(&self, user: &UserId, rooms: &[OwnedRoomId]) -> Result<bool, WriteError> {
        if !self.is_local(user) {
            return self.is_peer_in_one_of(user, rooms).await;
        }
        let keys: Vec<_> = rooms.iter().map(|room| (user.to_owned(), room.clone())).collect();
        let rows = self.store.get_many(&MEMBERSHIPS, &keys).await?;
        Ok(rows
            .iter()
            .flatten()
            .any(|row| row.membership == MembershipState::Join))
    }

    /// The same of another server's user, as far as this server is in those rooms.
    async fn is_peer_in_one_of(&self, user: &UserId, rooms: &[OwnedRoomId]) -> Result<bool, WriteError> {
        for room in rooms {
            let head = self.resident_head(room).await?;
            if head.is_some_and(|head| head.is_joined(user)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether this user of ours may vouch for a join.
    pub(super) fn may_let_in(&self, head: &RoomHead, user: &UserId) -> bool {
        let levels = head.power_levels();
        self.is_local(user) && head.is_joined(user) && levels.of_user(user) >= levels.invite
    }

    /// A user of this server who is in the room and may invite. Those with a level of their own come first, so that
    /// members are looked through only where everybody may invite, and then the first will do.
    fn who_may_invite(&self, head: &RoomHead) -> Option<OwnedUserId> {
        let levels = head.power_levels();
        levels
            .named_users()
            .find(|user| self.may_let_in(head, user))
            .or_else(|| head.members.keys().find(|user| self.may_let_in(head, user)))
            .cloned()
    }
}

/// Whom a restricted rule lets in.
#[derive(Debug, Default)]
pub(super) struct Allowed {
    /// The members of these rooms.
    pub(super) rooms: Vec<OwnedRoomId>,
    /// There are conditions that this server does not know. They let nobody in here.
    pub(super) has_unknown_conditions: bool,
}

/// Whom a restricted rule lets in.
pub(super) fn allowed_rooms(head: &RoomHead) -> Allowed {
    #[derive(Deserialize)]
    struct Content {
        allow: Vec<serde_json::Value>,
    }
    let content = head
        .hot_event("m.room.join_rules")
        .and_then(|event| event.content_as::<Content>());
    let mut allowed = Allowed::default();
    for condition in content.into_iter().flat_map(|content| content.allow) {
        let kind = condition.get("type").and_then(serde_json::Value::as_str);
        let room = condition.get("room_id").and_then(serde_json::Value::as_str);
        match (kind, room.and_then(|room| OwnedRoomId::try_from(room).ok())) {
            (Some("m.room_membership"), Some(room)) if allowed.rooms.len() < MAX_ALLOWED_ROOMS => {
                allowed.rooms.push(room);
            }
            _ => allowed.has_unknown_conditions = true,
        }
    }
    allowed
}

/// The user's membership event, when it says just this.
async fn same_content(
    transaction: &crate::room_transaction::RoomTransaction,
    user: &UserId,
    content: &CanonicalJsonObject,
) -> Result<Option<OwnedEventId>, WriteError> {
    let Some(event) = transaction.state_event("m.room.member", user.as_str()).await? else {
        return Ok(None);
    };
    let before: Option<CanonicalJsonObject> = event.content_as();
    Ok((before.as_ref() == Some(content)).then(|| event.event_id.clone()))
}
