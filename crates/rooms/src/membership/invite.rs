//! Inviting somebody by their user id. An invite by address becomes this as soon as the address is somebody's.

use std::sync::Arc;

use gatehouse_events::Event;
use ruma::{
    CanonicalJsonObject, CanonicalJsonValue, OwnedEventId, RoomId, UserId,
    events::room::member::MembershipState,
};

use super::{
    MembershipRequest, append_member, member_event, over_servers::InviteDraft, require_joined, require_level,
    stripped_state::stripped_state,
};
use crate::{
    RoomHead, Rooms,
    room_transaction::{Beside, RoomTransaction},
    write_error::{Attempt, Refusal, WriteError, attempt},
};

/// Whether an invite opens a conversation of two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Directness {
    /// It does (`is_direct`).
    Direct,
    /// It does not.
    Ordinary,
}

impl Rooms {
    /// Invites the target; nothing happens when they are invited already (B11).
    pub async fn invite(
        &self,
        sender: &UserId,
        target: &UserId,
        room_id: &RoomId,
        request: &MembershipRequest,
    ) -> Result<OwnedEventId, WriteError> {
        self.invite_to(sender, target, room_id, request, Directness::Ordinary)
            .await
    }

    /// As [`Self::invite`], perhaps to a conversation of two. A user of another server is invited there first.
    pub(crate) async fn invite_to(
        &self,
        sender: &UserId,
        target: &UserId,
        room_id: &RoomId,
        request: &MembershipRequest,
        directness: Directness,
    ) -> Result<OwnedEventId, WriteError> {
        self.wait_until_whole(room_id).await?;
        if self.is_local(target) {
            return attempt(|| self.try_invite(sender, target, room_id, request, directness)).await;
        }
        let drafted = attempt(|| self.try_draft(sender, target, room_id, request, directness)).await?;
        match drafted {
            Drafted::New(draft) => self.send_invite(*draft).await,
            Drafted::Before(event_id) => Ok(event_id),
        }
    }

    async fn try_draft(
        &self,
        sender: &UserId,
        target: &UserId,
        room_id: &RoomId,
        request: &MembershipRequest,
        directness: Directness,
    ) -> Result<Drafted, Attempt> {
        let mut transaction = self.begin_existing(room_id).await?;
        may_invite(transaction.head(), sender, target)?;
        require_federated(transaction.head())?;
        if transaction.head().membership(target) == MembershipState::Invite
            && let Some(event_id) = member_event(transaction.head(), target)
        {
            transaction.confirm().await?;
            return Ok(Drafted::Before(event_id));
        }
        let content = content(request, directness, None);
        let draft = transaction.draft_invite(sender, target, content).await?;
        Ok(Drafted::New(Box::new(draft)))
    }

    async fn try_invite(
        &self,
        sender: &UserId,
        target: &UserId,
        room_id: &RoomId,
        request: &MembershipRequest,
        directness: Directness,
    ) -> Result<OwnedEventId, Attempt> {
        let mut transaction = self.begin_existing(room_id).await?;
        may_invite(transaction.head(), sender, target)?;
        if transaction.head().membership(target) == MembershipState::Invite
            && let Some(event_id) = member_event(transaction.head(), target)
        {
            transaction.confirm().await?;
            return Ok(event_id);
        }
        let event_id = self
            .append_invite(&mut transaction, sender, target, request, directness)
            .await?;
        transaction.commit().await?;
        Ok(event_id)
    }

    /// Appends an invite that nobody has refused yet.
    pub(crate) async fn append_invite(
        &self,
        transaction: &mut RoomTransaction,
        sender: &UserId,
        target: &UserId,
        request: &MembershipRequest,
        directness: Directness,
    ) -> Result<OwnedEventId, WriteError> {
        let event = self
            .append_invite_with(transaction, sender, target, request, directness, None)
            .await?;
        Ok(event.event_id.clone())
    }

    /// As [`Self::append_invite`], with the invitation by address that it comes from, if it comes from one.
    pub(super) async fn append_invite_with(
        &self,
        transaction: &mut RoomTransaction,
        sender: &UserId,
        target: &UserId,
        request: &MembershipRequest,
        directness: Directness,
        third_party_invite: Option<CanonicalJsonValue>,
    ) -> Result<Arc<Event>, WriteError> {
        if self.is_local(target) && self.blocks_invites(target).await? {
            return Err(WriteError::InviteBlocked(target.to_owned()));
        }
        let mut content = content(request, directness, third_party_invite);
        if self.is_local(target) {
            self.add_profile(target, &mut content).await?;
        }
        let stripped_state = Some(stripped_state(transaction, Some(sender)).await?);
        let beside = Beside {
            stripped_state,
            ..Beside::default()
        };
        append_member(transaction, sender, target, content, beside).await
    }
}

impl Rooms {
    /// Whether the user wants no invites at all (client-server API, "Invite permission"). What they stored in another
    /// form says nothing.
    pub(super) async fn blocks_invites(&self, user: &UserId) -> Result<bool, WriteError> {
        #[derive(serde::Deserialize)]
        struct Permission {
            default_action: String,
        }
        let accounts = &self.shared.accounts;
        let stored = accounts
            .account_data(user, None, "m.invite_permission_config")
            .await?;
        let permission = stored.and_then(|data| serde_json::from_str::<Permission>(data.content.get()).ok());
        Ok(permission.is_some_and(|permission| permission.default_action == "block"))
    }
}

/// An invite of another server's user.
enum Drafted {
    /// That server is to be asked.
    New(Box<InviteDraft>),
    /// They are invited.
    Before(OwnedEventId),
}

/// The content of an invite.
pub(super) fn content(
    request: &MembershipRequest,
    directness: Directness,
    third_party_invite: Option<CanonicalJsonValue>,
) -> CanonicalJsonObject {
    let mut content = request.content(&MembershipState::Invite);
    if directness == Directness::Direct {
        content.insert("is_direct".to_owned(), CanonicalJsonValue::Bool(true));
    }
    if let Some(block) = third_party_invite {
        content.insert("third_party_invite".to_owned(), block);
    }
    content
}

/// Why the target may not be invited (authorisation rules, `m.room.member`, membership `invite`).
fn may_invite(head: &RoomHead, sender: &UserId, target: &UserId) -> Result<(), Refusal> {
    match head.membership(sender) {
        MembershipState::Join => {}
        MembershipState::Ban => return Err(Refusal::Banned),
        _ => return Err(Refusal::InviterNotInRoom),
    }
    require_joined(head, sender)?;
    match head.membership(target) {
        MembershipState::Join => return Err(Refusal::AlreadyJoined(target.to_owned())),
        MembershipState::Ban => return Err(Refusal::TargetBanned(target.to_owned())),
        _ => {}
    }
    require_level(head, sender, head.power_levels().invite, "invite")
}

/// Users of other servers could do nothing in a room that was made for its own (`m.federate`).
fn require_federated(head: &RoomHead) -> Result<(), Refusal> {
    #[derive(serde::Deserialize)]
    struct Content {
        #[serde(rename = "m.federate")]
        federate: bool,
    }
    let create = head.hot_event("m.room.create");
    match create.and_then(|create| create.content_as::<Content>()) {
        Some(Content { federate: false }) => Err(Refusal::NotFederated),
        _ => Ok(()),
    }
}
