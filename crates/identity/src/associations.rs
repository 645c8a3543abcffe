//! Whose an address is: publishing it and taking it back.
//!
//! Publishing queues, in the same commit, that every stored invitation for the address is delivered ([`crate::onbind_queue`]).

use gatehouse_mail::Threepid;
use gatehouse_store::Batch;
use ruma::{OwnedUserId, UserId};
use serde_json::{Value, json};
use thiserror::Error;

use crate::{
    HomeserverError, Identity, SignedRequest, Unavailable,
    association_row::AssociationRow,
    identity::ATTEMPTS,
    tables::{ASSOCIATIONS, VALIDATION_SESSIONS},
    validation_submission::ValidatedError,
};

/// How long an association is known to be valid: until it is taken back. The specification wants a number.
const LIFETIME_MS: u64 = 100 * 365 * 24 * 3_600 * 1_000;

/// Why an address was not published.
#[derive(Debug, Error)]
pub enum BindError {
    /// The session proves nothing.
    #[error(transparent)]
    Session(#[from] ValidatedError),
    /// The session is another account's, or the account is not that user's, or it has bound the address to another.
    #[error("Only you can publish your address, with a session of your own, and for yourself.")]
    NotYours,
    /// The session has bound the address once, and that was taken back since.
    #[error("This session has published the address before. Prove the address once more.")]
    Used,
    /// The server cannot.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// How somebody shows that they may take an association back.
#[derive(Clone, Copy)]
pub enum UnbindProof<'a> {
    /// The address is theirs.
    Session {
        /// The session.
        sid: &'a str,
        /// What the client calls it.
        client_secret: &'a str,
    },
    /// They are the user's homeserver.
    Homeserver(&'a SignedRequest),
    /// They are the homeserver in this process, which has made sure that its user wants it.
    SameProcess,
}

/// Why an association was not taken back.
#[derive(Debug, Error)]
pub enum UnbindError {
    /// The session proves nothing.
    #[error(transparent)]
    Session(#[from] ValidatedError),
    /// The session proves another address.
    #[error("This session proves another address. Prove the one that you want to take back.")]
    OtherAddress,
    /// The signature is wrong, or cannot be checked.
    #[error(transparent)]
    Homeserver(#[from] HomeserverError),
    /// The homeserver that signs is not the user's.
    #[error("Only the user's own homeserver can take the address back for them.")]
    NotTheirUser,
    /// The server cannot.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

impl Identity {
    /// `POST /3pid/bind`: publishes that the address that the session proves is this user's. The signed association.
    ///
    /// `requester` is whose access token it was; `None`: by the legacy API, which has none.
    pub async fn bind(
        &self,
        requester: Option<&UserId>,
        sid: &str,
        client_secret: &str,
        mxid: &UserId,
    ) -> Result<Value, BindError> {
        if requester.is_some_and(|requester| requester != mxid) {
            return Err(BindError::NotYours);
        }
        for _ in 0..ATTEMPTS {
            let (row, _) = self.validated_session(sid, client_secret).await?;
            let others = |user: &OwnedUserId| user != mxid;
            if row.requester.as_ref().is_some_and(others) || row.bound_to.as_ref().is_some_and(others) {
                return Err(BindError::NotYours);
            }
            if row.bound_to.is_some() {
                return self.bound_before(&row.threepid, mxid).await;
            }
            let mut batch = Batch::new();
            let association = self.put_association(&mut batch, &row.threepid, mxid).await?;
            let key = (sid.to_owned(),);
            batch.expect(&VALIDATION_SESSIONS, &key, Some(&row));
            let mut used = row.clone();
            used.bound_to = Some(mxid.to_owned());
            batch.put(&VALIDATION_SESSIONS, &key, &used);
            if self.commit(batch).await?.is_some() {
                self.onbind_added().notify_one();
                return Ok(self
                    .signed_association(&row.threepid, &association, Vec::new())
                    .await?);
            }
        }
        Err(Unavailable::Contended.into())
    }

    /// What a session answers that has bound its address: the same again, but it does not bind it again (security.md W07).
    async fn bound_before(&self, threepid: &Threepid, mxid: &UserId) -> Result<Value, BindError> {
        let association = self.association(threepid).await?;
        let association = association
            .filter(|row| row.mxid == mxid)
            .ok_or(BindError::Used)?;
        Ok(self
            .signed_association(threepid, &association, Vec::new())
            .await?)
    }

    /// `POST /3pid/unbind`: the address is this user's no more. Nothing happens when it is not.
    pub async fn unbind(
        &self,
        proof: UnbindProof<'_>,
        threepid: &Threepid,
        mxid: &UserId,
    ) -> Result<(), UnbindError> {
        match proof {
            UnbindProof::Session { sid, client_secret } => {
                let (row, _) = self.validated_session(sid, client_secret).await?;
                if row.threepid != *threepid {
                    return Err(UnbindError::OtherAddress);
                }
            }
            UnbindProof::Homeserver(request) => {
                let origin = self.homeservers().verify_request(request).await?;
                if origin != mxid.server_name() {
                    return Err(UnbindError::NotTheirUser);
                }
            }
            UnbindProof::SameProcess => {}
        }
        for _ in 0..ATTEMPTS {
            let key = key(threepid);
            let row = self.get(&ASSOCIATIONS, &key).await?;
            let Some(row) = row.filter(|row| row.mxid == mxid) else {
                return Ok(());
            };
            let mut batch = Batch::new();
            batch.expect(&ASSOCIATIONS, &key, Some(&row));
            batch.delete(&ASSOCIATIONS, &key);
            self.put_hashes(&mut batch, threepid, None).await?;
            if self.commit(batch).await?.is_some() {
                return Ok(());
            }
        }
        Err(Unavailable::Contended.into())
    }

    /// Adds to the batch that the address is this user's, whoever had it before: the newest proof counts. What is
    /// stored for it is queued for delivery.
    pub(crate) async fn put_association(
        &self,
        batch: &mut Batch,
        threepid: &Threepid,
        mxid: &UserId,
    ) -> Result<AssociationRow, Unavailable> {
        let key = key(threepid);
        let before = self.get(&ASSOCIATIONS, &key).await?;
        batch.expect(&ASSOCIATIONS, &key, before.as_ref());
        if let Some(same) = before.filter(|row| row.mxid == mxid) {
            return Ok(same);
        }
        let row = AssociationRow {
            mxid: mxid.to_owned(),
            ts: self.now_ms(),
        };
        batch.put(&ASSOCIATIONS, &key, &row);
        self.put_hashes(batch, threepid, Some(mxid)).await?;
        self.put_onbind(batch, threepid, mxid);
        Ok(row)
    }

    /// Whose the address is.
    pub(crate) async fn association(
        &self,
        threepid: &Threepid,
    ) -> Result<Option<AssociationRow>, Unavailable> {
        self.get(&ASSOCIATIONS, &key(threepid)).await
    }

    /// The association as others get it, signed with the long-lived key; with these invitations for homeservers.
    pub(crate) async fn signed_association(
        &self,
        threepid: &Threepid,
        row: &AssociationRow,
        invites: Vec<Value>,
    ) -> Result<Value, Unavailable> {
        let mut association = json!({
            "address": threepid.address(),
            "medium": threepid.medium().as_str(),
            "mxid": row.mxid,
            "not_before": row.ts,
            "not_after": row.ts.saturating_add(LIFETIME_MS),
            "ts": row.ts,
        });
        if let Some(object) = association.as_object_mut()
            && !invites.is_empty()
        {
            object.insert("invites".to_owned(), Value::Array(invites));
        }
        self.sign(association).await
    }
}

/// An address as a key.
pub(crate) fn key(threepid: &Threepid) -> (String, String) {
    (
        threepid.medium().as_str().to_owned(),
        threepid.address().to_owned(),
    )
}
