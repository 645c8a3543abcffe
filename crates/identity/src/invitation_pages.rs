//! What the page says to which an invitation's message leads, and accepting there: whoever has the code has read the
//! message, so that the address is theirs.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use gatehouse_mail::Threepid;
use gatehouse_store::Batch;
use ruma::{OwnedRoomId, OwnedUserId, UserId};
use thiserror::Error;

use crate::{
    Identity, Secret, Unavailable,
    digest::digest,
    identity::ATTEMPTS,
    invitations::{InvitationRow, RoomFacts, ephemeral_seed},
    redaction::obscured,
    session_grammar,
    tables::{INVITATION_CODES, INVITATIONS},
};

/// How long a link proves the address: somebody else may read old mail one day.
const LINK_LIFETIME_MS: u64 = 30 * 24 * 3_600 * 1_000;

/// An invitation, to whoever has its link.
#[derive(Clone)]
pub struct InvitationPage {
    /// Names it in the room.
    pub token: String,
    /// Who is invited. Proven by the link.
    pub threepid: Threepid,
    /// As much of the address as may be shown to whoever has the link.
    pub obscured: String,
    /// Into what.
    pub room_id: OwnedRoomId,
    /// By whom.
    pub sender: OwnedUserId,
    /// What the homeserver said of them.
    pub facts: RoomFacts,
    /// What `sign-ed25519` wants, in the URL-safe alphabet: for clients that take a link to there.
    pub private_key: Secret,
    /// Whether it can be accepted.
    pub state: InvitationState,
}

/// Whether an invitation can be accepted by its link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InvitationState {
    /// It can.
    Open,
    /// It was, by this user.
    Accepted(OwnedUserId),
    /// The address was bound, by this user, in another way.
    Bound(OwnedUserId),
    /// The link is too old.
    Expired,
}

/// Why there is nothing to show.
#[derive(Debug, Error)]
pub enum InvitationPageError {
    /// No such code.
    #[error("There is no invitation behind this link. Copy it once more, whole, or ask for a new one.")]
    NotFound,
    /// The server cannot.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// Why an invitation was not accepted.
#[derive(Debug, Error)]
pub enum AcceptError {
    /// No such code.
    #[error("There is no invitation behind this link. Copy it once more, whole, or ask for a new one.")]
    NotFound,
    /// Somebody has accepted it, or the address is somebody's.
    #[error(
        "This invitation has been accepted already. Log in with the account that did, or ask for a new one."
    )]
    Used,
    /// The link is too old.
    #[error("This invitation is too old. Ask for a new one.")]
    Expired,
    /// The server cannot.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

impl Identity {
    /// What there is to say to whoever has the link with this code.
    pub async fn invitation_by_code(&self, code: &str) -> Result<InvitationPage, InvitationPageError> {
        let found = self.invitation_behind(code).await?;
        let (token, row) = found.ok_or(InvitationPageError::NotFound)?;
        let state = self.invitation_state(&row).await?;
        Ok(InvitationPage {
            token,
            obscured: obscured(&row.threepid),
            threepid: row.threepid,
            room_id: row.room_id,
            sender: row.sender,
            facts: row.facts,
            private_key: Secret::new(URL_SAFE_NO_PAD.encode(ephemeral_seed(code))),
            state,
        })
    }

    /// Binds the address to this user, with the link as the proof. Once; again for the same user, nothing happens. The
    /// caller has made sure that it is that user who asks.
    pub async fn accept_by_code(&self, code: &str, mxid: &UserId) -> Result<(), AcceptError> {
        for _ in 0..ATTEMPTS {
            let found = self.invitation_behind(code).await?;
            let (token, row) = found.ok_or(AcceptError::NotFound)?;
            match self.invitation_state(&row).await? {
                InvitationState::Open => (),
                InvitationState::Accepted(user) | InvitationState::Bound(user) if user == mxid => {
                    return Ok(());
                }
                InvitationState::Accepted(_) | InvitationState::Bound(_) => return Err(AcceptError::Used),
                InvitationState::Expired => return Err(AcceptError::Expired),
            }
            let mut batch = Batch::new();
            self.put_association(&mut batch, &row.threepid, mxid).await?;
            let id = (token,);
            batch.expect(&INVITATIONS, &id, Some(&row));
            let mut used = row.clone();
            used.code_used_by = Some(mxid.to_owned());
            batch.put(&INVITATIONS, &id, &used);
            if self.commit(batch).await?.is_some() {
                self.onbind_added().notify_one();
                return Ok(());
            }
        }
        Err(Unavailable::Contended.into())
    }

    async fn invitation_behind(&self, code: &str) -> Result<Option<(String, InvitationRow)>, Unavailable> {
        if !session_grammar::is_valid(code) {
            return Ok(None);
        }
        let Some((token,)) = self.get(&INVITATION_CODES, &(digest(code),)).await? else {
            return Ok(None);
        };
        let row = self.get(&INVITATIONS, &(token.clone(),)).await?;
        Ok(row.map(|row| (token, row)))
    }

    async fn invitation_state(&self, row: &InvitationRow) -> Result<InvitationState, Unavailable> {
        if let Some(user) = row.code_used_by.as_ref().or(row.accepted_by.as_ref()) {
            return Ok(InvitationState::Accepted(user.clone()));
        }
        if let Some(association) = self.association(&row.threepid).await? {
            return Ok(InvitationState::Bound(association.mxid));
        }
        if self.now_ms() >= row.made_ms.saturating_add(LINK_LIFETIME_MS) {
            return Ok(InvitationState::Expired);
        }
        Ok(InvitationState::Open)
    }
}
