//! `POST /sign-ed25519`: the signature of an invitation's own key, for clients that make none themselves.

use gatehouse_events::SigningKey;
use gatehouse_store::Batch;
use ruma::UserId;
use serde_json::{Value, json};
use subtle::ConstantTimeEq;
use thiserror::Error;

use crate::{
    Identity, Unavailable,
    associations::key,
    identity::ATTEMPTS,
    invitations::{EPHEMERAL_KEY_VERSION, InvitationRow, Progress},
    keys::{decode_key, sign_as},
    session_grammar,
    tables::{ASSOCIATIONS, INVITATIONS, INVITATIONS_BY_ADDRESS},
};

/// Why nothing was signed.
#[derive(Debug, Error)]
pub enum SignError {
    /// No invitation of ours has this token, or the key is not that invitation's.
    #[error("There is no invitation with this token and key. Open the link in your invitation once more.")]
    NoInvitation,
    /// It was signed for somebody else, or its address is somebody else's.
    #[error("This invitation has been accepted already. Ask for a new one.")]
    Used,
    /// The server cannot.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

impl Identity {
    /// Signs that this user accepts the invitation, with the private key (in base64) that came with its
    /// message. For one user, once (security.md T22); asked again for the same one, it answers the same.
    pub async fn sign_ed25519(
        &self,
        mxid: &UserId,
        token: &str,
        private_key: &str,
    ) -> Result<Value, SignError> {
        let signing_key = read_key(private_key).ok_or(SignError::NoInvitation)?;
        if !session_grammar::is_valid(token) {
            return Err(SignError::NoInvitation);
        }
        let id = (token.to_owned(),);
        for _ in 0..ATTEMPTS {
            let row = self
                .get(&INVITATIONS, &id)
                .await?
                .ok_or(SignError::NoInvitation)?;
            if !bool::from(signing_key.public_key().ct_eq(&row.public_key)) {
                return Err(SignError::NoInvitation);
            }
            let association = self.association(&row.threepid).await?;
            let takers = [
                row.accepted_by.as_ref(),
                row.code_used_by.as_ref(),
                association.as_ref().map(|it| &it.mxid),
            ];
            if takers.into_iter().flatten().any(|user| user != mxid) {
                return Err(SignError::Used);
            }
            let block = json!({ "mxid": mxid, "sender": row.sender, "token": token });
            let signed = sign_as(self.server_name().as_str(), &signing_key, block)?;
            if row.progress != Progress::Waiting {
                return Ok(signed);
            }
            let mut batch = Batch::new();
            batch.expect(&ASSOCIATIONS, &key(&row.threepid), association.as_ref());
            put_signed(&mut batch, token, &row, mxid);
            if self.commit(batch).await?.is_some() {
                return Ok(signed);
            }
        }
        Err(Unavailable::Contended.into())
    }
}

/// Adds to the batch that the invitation is this user's, and waits for nobody any more.
fn put_signed(batch: &mut Batch, token: &str, row: &InvitationRow, mxid: &UserId) {
    let id = (token.to_owned(),);
    batch.expect(&INVITATIONS, &id, Some(row));
    let mut signed = row.clone();
    signed.progress = Progress::Signed;
    signed.accepted_by = Some(mxid.to_owned());
    batch.put(&INVITATIONS, &id, &signed);
    let (medium, address) = key(&row.threepid);
    batch.delete(&INVITATIONS_BY_ADDRESS, &(medium, address, id.0));
}

fn read_key(private_key: &str) -> Option<SigningKey> {
    SigningKey::from_seed(decode_key(private_key)?, EPHEMERAL_KEY_VERSION).ok()
}
