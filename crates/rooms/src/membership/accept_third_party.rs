//! An invitation by address becomes an invite: whoever shows a block that an identity server signed, for a token that
//! this room knows, is invited by the user who invited the address. One token, one user, once.

use std::sync::Arc;

use gatehouse_events::Event;
use ruma::{
    CanonicalJsonObject, CanonicalJsonValue, OwnedServerName, OwnedUserId, RoomId, UserId,
    events::room::member::MembershipState,
};

use super::{
    MembershipRequest,
    invite::{self, Directness},
    invite_by_address::clear_third_party_invite,
    over_servers::InviteDraft,
    signed_block::{SignedBlock, SigningInviteKey, display_name},
};
use crate::{
    RoomHead, Rooms,
    room_transaction::RoomTransaction,
    tables::USED_INVITE_TOKENS,
    write_error::{Attempt, Refusal, ThirdPartyRefusal, WriteError, attempt},
};

/// What is known before the room's turn is taken: the network has been asked.
pub(crate) struct Checked {
    key: SigningInviteKey,
}

/// What came of a block that is true.
pub(crate) enum Accepted {
    /// The user is invited now.
    Invited,
    /// The user was invited by it before.
    Before,
    /// The user is in the room without it.
    InRoom,
    /// The user's server has to sign the invite first.
    Drafted(Box<InviteDraft>),
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
    pub(crate) async fn accept_third_party(
        &self,
        room_id: &RoomId,
        sender: &UserId,
        mxid: &UserId,
        signed: &SignedBlock,
    ) -> Result<(), WriteError> {
        self.wait_until_whole(room_id).await?;
        let checked = self.check_signed(room_id, mxid, signed).await?;
        let accepted = attempt(|| async {
            let mut transaction = self.begin_existing(room_id).await?;
            match self
                .append_third_party_member(&mut transaction, Some(sender), mxid, signed, &checked)
                .await?
            {
                Accepted::Invited => transaction.commit().await?,
                Accepted::Before => transaction.confirm().await?,
                Accepted::InRoom => {
                    let spent = std::mem::take(&mut transaction.batch);
                    transaction.confirm().await?;
                    self.store.commit(spent).await?;
                }
                Accepted::Drafted(draft) => return Ok(Some(draft)),
            }
            Ok(None)
        });
        let accepted = match accepted.await {
            Ok(Some(draft)) => self.send_invite(*draft).await.map(|_| ()),
            Ok(None) => Ok(()),
            Err(error) => Err(error),
        };
        match accepted {
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
        let invitation = self.invitation(&head, &signed.token).await?;
        let key = signed.verify(&invitation, mxid)?;
        if let Some(url) = &key.key_validity_url {
            let asked = self.shared.identity_servers.is_key_valid(url, &key.public_key);
            if !asked.await? {
                return Err(ThirdPartyRefusal::KeyNotValid.into());
            }
        }
        Ok(Checked { key })
    }

    /// What the room knows of a token. No other room's tokens count (security.md T08).
    pub(super) async fn invitation(&self, head: &RoomHead, token: &str) -> Result<Arc<Event>, WriteError> {
        let id = head.state_event_id("m.room.third_party_invite", token).cloned();
        let id = id.ok_or(ThirdPartyRefusal::UnknownToken)?;
        let found = self.events(std::slice::from_ref(&id)).await?;
        let found = found.into_iter().flatten().next();
        Ok(found.ok_or(ThirdPartyRefusal::UnknownToken)?)
    }

    /// Appends the invite, unless there is no need, and spends the token (security.md T10). `sender`: who must have invited
    /// the address; `None`: whoever.
    pub(crate) async fn append_third_party_member(
        &self,
        transaction: &mut RoomTransaction,
        sender: Option<&UserId>,
        mxid: &UserId,
        signed: &SignedBlock,
        checked: &Checked,
    ) -> Result<Accepted, Attempt> {
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
            TokenUse::Done => return Ok(Accepted::Before),
            TokenUse::Spent => return Err(ThirdPartyRefusal::Used.into()),
        }
        match transaction.head().membership(mxid) {
            MembershipState::Ban => return Err(Refusal::TargetBanned(mxid.to_owned()).into()),
            MembershipState::Join => {
                spend(transaction, mxid, signed);
                return Ok(Accepted::InRoom);
            }
            _ => {}
        }
        if transaction.head().membership(&inviter) == MembershipState::Ban {
            return Err(ThirdPartyRefusal::InviterBanned.into());
        }
        self.expect_active(transaction, mxid).await?;
        spend(transaction, mxid, signed);
        let block = third_party_invite(&invitation, signed);
        let request = MembershipRequest::default();
        let sender = &inviter;
        if !self.is_local(mxid) {
            let content = invite::content(&request, Directness::Ordinary, Some(block));
            let draft = transaction.draft_invite(sender, mxid, content).await?;
            return Ok(Accepted::Drafted(Box::new(draft)));
        }
        self.append_invite_with(
            transaction,
            sender,
            mxid,
            &request,
            Directness::Ordinary,
            Some(block),
        )
        .await?;
        Ok(Accepted::Invited)
    }

    /// Whoever comes in without the invitation that they show has used it all the same, or it would bring them back when
    /// they are kicked (security.md T10). Nothing happens when it is not theirs.
    pub(super) async fn spend_unneeded(
        &self,
        transaction: &mut RoomTransaction,
        mxid: &UserId,
        signed: &SignedBlock,
    ) -> Result<(), Attempt> {
        let invitation = transaction
            .state_event("m.room.third_party_invite", &signed.token)
            .await?;
        let is_theirs = invitation.is_some_and(|invitation| signed.verify(&invitation, mxid).is_ok());
        if is_theirs && matches!(self.token_use(transaction, mxid, signed).await?, TokenUse::Fresh) {
            spend(transaction, mxid, signed);
        }
        Ok(())
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
}

/// One invitation, one user, once: of two commits that spend a token one fails.
fn spend(transaction: &mut RoomTransaction, mxid: &UserId, signed: &SignedBlock) {
    let token = (transaction.head().room_id.clone(), signed.token.clone());
    transaction.batch.expect(&USED_INVITE_TOKENS, &token, None);
    transaction
        .batch
        .put(&USED_INVITE_TOKENS, &token, &(mxid.to_owned(),));
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
