//! An invitation by address becomes an invite: whoever shows a block that an identity server signed, for a token that
//! this room knows, is invited by the user who invited the address. One token, one user, once.

use std::sync::Arc;

use gatehouse_events::Event;
use ruma::{
    CanonicalJsonObject, CanonicalJsonValue, OwnedRoomId, OwnedServerName, OwnedUserId, RoomId, UserId,
    events::room::member::MembershipState,
};

use super::{
    MembershipRequest,
    invite::Directness,
    invite_by_address::clear_third_party_invite,
    signed_block::{SignedBlock, SigningInviteKey, display_name},
};
use crate::{
    Rooms,
    remote_servers::RemoteError,
    room_transaction::RoomTransaction,
    tables::USED_INVITE_TOKENS,
    write_error::{Attempt, Refusal, ThirdPartyRefusal, WriteError, attempt},
};

/// Invitations that come with one bound address; more are not looked at (security.md T18).
pub const MAX_BOUND_INVITES: usize = 100;

/// An invitation for an address that somebody has proven to be theirs.
#[derive(Debug, Clone)]
pub struct BoundInvite {
    /// Into what.
    pub room_id: OwnedRoomId,
    /// Who invited the address.
    pub sender: OwnedUserId,
    /// What the identity server signed.
    pub signed: SignedBlock,
}

/// What an identity server tells when an address was bound (`/3pid/onbind`).
#[derive(Debug, Clone)]
pub struct BoundAddress {
    /// To whom.
    pub mxid: OwnedUserId,
    /// The invitations that waited for the address.
    pub invites: Vec<BoundInvite>,
}

impl BoundAddress {
    /// From JSON; `None` when it is not what the specification says, or has more than [`MAX_BOUND_INVITES`].
    pub fn read(object: &CanonicalJsonObject) -> Option<Self> {
        let mxid = OwnedUserId::try_from(object.get("mxid")?.as_str()?).ok()?;
        let invites = match object.get("invites") {
            None | Some(CanonicalJsonValue::Null) => Vec::new(),
            Some(CanonicalJsonValue::Array(invites)) if invites.len() <= MAX_BOUND_INVITES => {
                invites.iter().map(BoundInvite::read).collect::<Option<_>>()?
            }
            Some(_) => return None,
        };
        Some(Self { mxid, invites })
    }
}

impl BoundInvite {
    fn read(invite: &CanonicalJsonValue) -> Option<Self> {
        let invite = invite.as_object()?;
        let text = |field: &str| invite.get(field).and_then(CanonicalJsonValue::as_str);
        Some(Self {
            room_id: text("room_id")?.try_into().ok()?,
            sender: text("sender")?.try_into().ok()?,
            signed: SignedBlock::read(invite.get("signed")?.as_object()?.clone())?,
        })
    }
}

/// What is known before the room's turn is taken: the network has been asked.
pub(crate) struct Checked {
    key: SigningInviteKey,
}

/// Whether a token may be used.
enum TokenUse {
    /// Nobody has.
    Fresh,
    /// This user has, and is in the room or invited to it: nothing is left to do.
    Done,
    /// It has led to a membership before.
    Spent,
}

impl Rooms {
    /// An address was bound to a user of this server (`/3pid/onbind`): the invitations that waited for it become invites.
    /// Those that are not true are passed over; an error means that one could not be looked at, and to try again.
    pub async fn accept_bound(&self, bound: &BoundAddress) -> Result<(), WriteError> {
        for invite in bound.invites.iter().take(MAX_BOUND_INVITES) {
            match self.accept_one(&bound.mxid, invite).await {
                Ok(()) => {}
                Err(error) if error.may_pass() => return Err(error),
                Err(error) => {
                    tracing::info!(room = %invite.room_id, %error, "an invitation by address was not accepted");
                }
            }
        }
        Ok(())
    }

    async fn accept_one(&self, mxid: &UserId, invite: &BoundInvite) -> Result<(), WriteError> {
        let known = self.accounts_user_is_active(mxid).await?;
        if !known {
            return Err(ThirdPartyRefusal::OtherUser.into());
        }
        if !self.is_local(&invite.sender) {
            return Err(RemoteError::Unreachable.into());
        }
        self.accept_third_party(&invite.room_id, &invite.sender, mxid, &invite.signed)
            .await
    }

    /// Another server hands in what its user has proven (`exchange_third_party_invite`). Of the event that it sends only
    /// the invited user, the inviter and the block are used; the event itself is made here (security.md T19, E02).
    pub async fn exchange_third_party_invite(
        &self,
        origin: &OwnedServerName,
        room_id: &RoomId,
        event: &CanonicalJsonObject,
    ) -> Result<(), WriteError> {
        let exchange = Exchange::read(room_id, event)?;
        if exchange.mxid.server_name() != origin || !self.is_local(&exchange.sender) {
            return Err(WriteError::BadContent(
                "The sender must be a user of this server, and the invited one of yours.".to_owned(),
            ));
        }
        self.accept_third_party(room_id, &exchange.sender, &exchange.mxid, &exchange.signed)
            .await
    }

    /// Invites the user in the name of whoever invited the address.
    async fn accept_third_party(
        &self,
        room_id: &RoomId,
        sender: &UserId,
        mxid: &UserId,
        signed: &SignedBlock,
    ) -> Result<(), WriteError> {
        let checked = self.check_signed(room_id, mxid, signed).await?;
        let accepted = attempt(|| async {
            let mut transaction = self.begin_existing(room_id).await?;
            match self
                .append_third_party_member(&mut transaction, Some(sender), mxid, signed, &checked)
                .await?
            {
                Some(_) => transaction.commit().await?,
                None => transaction.confirm().await?,
            }
            Ok(())
        });
        match accepted.await {
            Err(WriteError::Refused(Refusal::ThirdParty(ThirdPartyRefusal::Used))) => {
                self.clear_used(room_id, &signed.token).await;
                Err(Refusal::ThirdParty(ThirdPartyRefusal::Used).into())
            }
            outcome => outcome,
        }
    }

    /// Checks the block against the room, and the key against whoever made it: only the server that issues the invite asks
    /// (client-server API, third-party invites). An answer is never kept.
    pub(crate) async fn check_signed(
        &self,
        room_id: &RoomId,
        mxid: &UserId,
        signed: &SignedBlock,
    ) -> Result<Checked, WriteError> {
        let head = self.head(room_id).await?.ok_or(WriteError::NoSuchRoom)?;
        let id = head
            .state_event_id("m.room.third_party_invite", &signed.token)
            .cloned();
        let id = id.ok_or(Refusal::ThirdParty(ThirdPartyRefusal::UnknownToken))?;
        let found = self.events(std::slice::from_ref(&id)).await?;
        let invitation = found
            .into_iter()
            .flatten()
            .next()
            .ok_or(Refusal::ThirdParty(ThirdPartyRefusal::UnknownToken))?;
        let key = signed.verify(&invitation, mxid)?;
        if let Some(url) = &key.key_validity_url {
            let asked = self.shared.identity_servers.is_key_valid(url, &key.public_key);
            if !asked.await? {
                return Err(ThirdPartyRefusal::KeyNotValid.into());
            }
        }
        Ok(Checked { key })
    }

    /// Appends the invite; `None`: the user has it already. `sender`: who must have invited the address; `None`: whoever.
    pub(crate) async fn append_third_party_member(
        &self,
        transaction: &mut RoomTransaction,
        sender: Option<&UserId>,
        mxid: &UserId,
        signed: &SignedBlock,
        checked: &Checked,
    ) -> Result<Option<Arc<Event>>, Attempt> {
        let invitation = transaction
            .state_event("m.room.third_party_invite", &signed.token)
            .await?
            .ok_or(Refusal::ThirdParty(ThirdPartyRefusal::UnknownToken))?;
        let key = signed.verify(&invitation, mxid)?;
        if key != checked.key {
            // The room has changed since the network was asked.
            return Err(Attempt::Conflict);
        }
        let inviter = invitation.sender.clone();
        if sender.is_some_and(|sender| sender != inviter) || !self.is_local(&inviter) {
            return Err(ThirdPartyRefusal::OtherSender.into());
        }
        match self.token_use(transaction, mxid, signed).await? {
            TokenUse::Fresh => {}
            TokenUse::Done => return Ok(None),
            TokenUse::Spent => return Err(ThirdPartyRefusal::Used.into()),
        }
        match transaction.head().membership(mxid) {
            MembershipState::Ban => return Err(Refusal::TargetBanned(mxid.to_owned()).into()),
            MembershipState::Join => return Ok(None),
            _ => {}
        }
        if transaction.head().membership(&inviter) == MembershipState::Ban {
            return Err(ThirdPartyRefusal::InviterBanned.into());
        }
        self.expect_active(transaction, mxid).await?;
        let token = (transaction.head().room_id.clone(), signed.token.clone());
        transaction.batch.expect(&USED_INVITE_TOKENS, &token, None);
        transaction
            .batch
            .put(&USED_INVITE_TOKENS, &token, &(mxid.to_owned(),));
        let block = third_party_invite(&invitation, signed);
        let request = MembershipRequest::default();
        let invited = self
            .append_invite_with(
                transaction,
                &inviter,
                mxid,
                &request,
                Directness::Ordinary,
                Some(block),
            )
            .await?;
        Ok(Some(invited))
    }

    async fn token_use(
        &self,
        transaction: &RoomTransaction,
        mxid: &UserId,
        signed: &SignedBlock,
    ) -> Result<TokenUse, Attempt> {
        let head = transaction.head();
        let key = (head.room_id.clone(), signed.token.clone());
        let Some((user,)) = self.store.get(&USED_INVITE_TOKENS, &key).await? else {
            return Ok(TokenUse::Fresh);
        };
        let is_in = matches!(
            head.membership(mxid),
            MembershipState::Join | MembershipState::Invite
        );
        // Identity servers say a thing again when they have not heard the answer.
        Ok(if user == mxid && is_in {
            TokenUse::Done
        } else {
            TokenUse::Spent
        })
    }

    /// A used invitation that somebody tries again is taken out of the room, where its sender still may (T10).
    async fn clear_used(&self, room_id: &RoomId, token: &str) {
        let cleared = attempt(|| async {
            let mut transaction = self.begin_existing(room_id).await?;
            if clear_third_party_invite(&mut transaction, token).await? {
                transaction.commit().await?;
            }
            Ok(())
        });
        if let Err(error) = cleared.await {
            tracing::debug!(room = %room_id, %error, "a used invitation stays in the room");
        }
    }

    async fn accounts_user_is_active(&self, user: &UserId) -> Result<bool, WriteError> {
        if !self.is_local(user) {
            return Ok(false);
        }
        let user = self.shared.accounts.user(user).await?;
        Ok(user.is_some_and(|user| !user.is_deactivated))
    }
}

/// The part of the member event that says by which invitation it came about.
fn third_party_invite(invitation: &Event, signed: &SignedBlock) -> CanonicalJsonValue {
    CanonicalJsonValue::Object(CanonicalJsonObject::from([
        (
            "display_name".to_owned(),
            CanonicalJsonValue::String(display_name(invitation)),
        ),
        (
            "signed".to_owned(),
            CanonicalJsonValue::Object(signed.object.clone()),
        ),
    ]))
}

/// What is taken from the event that another server sends.
struct Exchange {
    sender: OwnedUserId,
    mxid: OwnedUserId,
    signed: SignedBlock,
}

impl Exchange {
    fn read(room_id: &RoomId, event: &CanonicalJsonObject) -> Result<Self, WriteError> {
        let wrong = |what: &str| WriteError::BadContent(format!("The event's {what} is missing or wrong."));
        let text = |field: &str| event.get(field).and_then(CanonicalJsonValue::as_str);
        if text("type") != Some("m.room.member") {
            return Err(wrong("`type`"));
        }
        if text("room_id") != Some(room_id.as_str()) {
            return Err(wrong("`room_id`"));
        }
        let content = event.get("content").and_then(CanonicalJsonValue::as_object);
        let content = content.ok_or_else(|| wrong("`content`"))?;
        if content.get("membership").and_then(CanonicalJsonValue::as_str) != Some("invite") {
            return Err(wrong("`membership`"));
        }
        let user = |field: &str| {
            text(field)
                .and_then(|user| OwnedUserId::try_from(user).ok())
                .ok_or_else(|| wrong(&format!("`{field}`")))
        };
        let signed = content
            .get("third_party_invite")
            .and_then(CanonicalJsonValue::as_object)
            .and_then(|invite| invite.get("signed")?.as_object())
            .and_then(|signed| SignedBlock::read(signed.clone()))
            .ok_or_else(|| wrong("`third_party_invite.signed`"))?;
        Ok(Self {
            sender: user("sender")?,
            mxid: user("state_key")?,
            signed,
        })
    }
}
