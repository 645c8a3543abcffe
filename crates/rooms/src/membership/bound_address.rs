//! An address was bound to a user of this server: the invitations that waited for it become invites. Anybody may say so
//! (`/3pid/onbind` knows no sender), so that nothing counts but what an identity server signed for the room.

use ruma::{CanonicalJsonObject, CanonicalJsonValue, OwnedRoomId, OwnedUserId, UserId};

use super::signed_block::{SignedBlock, display_name};
use crate::{
    Rooms,
    write_error::{Refusal, ThirdPartyRefusal, WriteError},
};

/// Invitations that come with one bound address; more are refused (security.md T18).
pub const MAX_BOUND_INVITES: usize = 100;

/// Invitations of one bound address that could not be looked at. After so many the rest has to be sent again, so that no
/// request keeps us waiting for one server after the other.
const MAX_DELAYED: usize = 3;

/// One of the invitations that waited for an address.
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
            None | Some(CanonicalJsonValue::Null) => &[],
            Some(invites) => invites.as_array()?,
        };
        if invites.len() > MAX_BOUND_INVITES {
            return None;
        }
        let invites = invites.iter().map(BoundInvite::read).collect::<Option<_>>()?;
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

    /// What the inviter's server is handed. It says what the invitation is called; where this server is not in the room,
    /// the user id does.
    fn exchange(&self, mxid: &UserId, display_name: String) -> CanonicalJsonObject {
        let text = |text: &str| CanonicalJsonValue::String(text.to_owned());
        let object = |fields: Vec<(&str, CanonicalJsonValue)>| {
            let fields = fields.into_iter().map(|(name, value)| (name.to_owned(), value));
            fields.collect::<CanonicalJsonObject>()
        };
        let invite = object(vec![
            ("display_name", CanonicalJsonValue::String(display_name)),
            ("signed", CanonicalJsonValue::Object(self.signed.object.clone())),
        ]);
        let content = object(vec![
            ("membership", text("invite")),
            ("third_party_invite", CanonicalJsonValue::Object(invite)),
        ]);
        object(vec![
            ("type", text("m.room.member")),
            ("room_id", text(self.room_id.as_str())),
            ("sender", text(self.sender.as_str())),
            ("state_key", text(mxid.as_str())),
            ("content", CanonicalJsonValue::Object(content)),
        ])
    }
}

/// What became of the invitations for a bound address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BoundOutcome {
    /// All of them are invites now.
    AllAccepted,
    /// At least one was not true, or not for a user of this server; which, and why, is nobody's business.
    SomeRefused,
}

impl Rooms {
    /// The invitations become invites. Those that are not true are passed over; an error means that some could not be
    /// looked at, and to send all of them again.
    pub async fn accept_bound(&self, bound: &BoundAddress) -> Result<BoundOutcome, WriteError> {
        if !self.is_active(&bound.mxid).await? {
            return Ok(BoundOutcome::SomeRefused);
        }
        let mut outcome = BoundOutcome::AllAccepted;
        let mut delayed = Vec::new();
        for invite in bound.invites.iter().take(MAX_BOUND_INVITES) {
            match self.accept_one(&bound.mxid, invite).await {
                Ok(()) => {}
                Err(error) if error.may_pass() => delayed.push(error),
                Err(error) => {
                    tracing::info!(room = %invite.room_id, %error, "an invitation by address was not accepted");
                    outcome = BoundOutcome::SomeRefused;
                }
            }
            if delayed.len() == MAX_DELAYED {
                break;
            }
        }
        delayed.into_iter().next().map_or(Ok(outcome), Err)
    }

    async fn accept_one(&self, mxid: &UserId, invite: &BoundInvite) -> Result<(), WriteError> {
        if invite.signed.mxid != mxid {
            return Err(ThirdPartyRefusal::OtherUser.into());
        }
        if self.is_local(&invite.sender) {
            self.accept_third_party(&invite.room_id, &invite.sender, mxid, &invite.signed)
                .await
        } else {
            self.hand_on(mxid, invite).await
        }
    }

    /// Only the inviter's server can make the invite. Where this server is in the room, it passes on nothing that is not
    /// true: anybody may send it anything (security.md T18).
    pub(super) async fn hand_on(&self, mxid: &UserId, invite: &BoundInvite) -> Result<(), WriteError> {
        let called = match self.head(&invite.room_id).await? {
            None => mxid.to_string(),
            Some(head) => {
                let invitation = self.invitation(&head, &invite.signed.token).await?;
                invite.signed.verify(&invitation, mxid)?;
                if invitation.sender != invite.sender {
                    return Err(Refusal::from(ThirdPartyRefusal::OtherSender).into());
                }
                display_name(&invitation)
            }
        };
        let event = invite.exchange(mxid, called);
        let server = invite.sender.server_name();
        let remote = &self.shared.remote;
        remote
            .exchange_third_party_invite(server, &invite.room_id, &event)
            .await?;
        Ok(())
    }

    async fn is_active(&self, user: &UserId) -> Result<bool, WriteError> {
        if !self.is_local(user) {
            return Ok(false);
        }
        let user = self.shared.accounts.user(user).await?;
        Ok(user.is_some_and(|user| !user.is_deactivated))
    }
}
