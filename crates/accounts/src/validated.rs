//! What a validation session proves, and that it proves it once (security.md W07).

use gatehouse_mail::Threepid;
use gatehouse_store::Batch;
use subtle::ConstantTimeEq;
use thiserror::Error;

use crate::{
    Accounts, Purpose, Unavailable, access_token, request_validation::ValidationRow, tables::VALIDATIONS,
    validation_grammar,
};

/// An address that was proven, and not used for anything yet.
pub struct ProvenAddress {
    sid: String,
    row: ValidationRow,
    validated_ms: u64,
}

/// Why a session proves nothing.
#[derive(Debug, Error)]
pub enum ValidatedError {
    /// A parameter breaks the grammar. `M_INVALID_PARAM`.
    #[error("The sid or the client_secret is not one. Give those of the request for a token.")]
    Invalid,
    /// There is no such session for this purpose, or the secret is another's. `M_THREEPID_AUTH_FAILED`.
    #[error("There is no such session, or not any more. Prove the address first.")]
    NoSession,
    /// Nobody has brought the token back yet. `M_THREEPID_AUTH_FAILED`.
    #[error("The address is not proven yet. Follow the link or enter the code that was sent to it.")]
    NotValidated,
    /// It was used. `M_THREEPID_AUTH_FAILED`.
    #[error("This proof of the address was used before. Prove it once more.")]
    Used,
    /// The server cannot.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

impl ProvenAddress {
    /// The address.
    pub fn threepid(&self) -> &Threepid {
        &self.row.threepid
    }

    /// When it was proven, in milliseconds since 1970.
    pub fn validated_ms(&self) -> u64 {
        self.validated_ms
    }

    /// Adds to the batch that it is used. The batch fails if somebody else used it.
    pub(crate) fn put_use(&self, batch: &mut Batch) {
        let key = (self.sid.clone(),);
        batch.expect(&VALIDATIONS, &key, Some(&self.row));
        let mut used = self.row.clone();
        used.used = true;
        used.tokens.clear();
        batch.put(&VALIDATIONS, &key, &used);
    }
}

impl Accounts {
    /// The address that the session proves for this purpose.
    pub async fn validated(
        &self,
        purpose: Purpose,
        sid: &str,
        client_secret: &str,
    ) -> Result<ProvenAddress, ValidatedError> {
        if !validation_grammar::is_opaque_id(sid) || !validation_grammar::is_opaque_id(client_secret) {
            return Err(ValidatedError::Invalid);
        }
        let row = self.get(&VALIDATIONS, &(sid.to_owned(),)).await?;
        let secret = access_token::digest(client_secret);
        let row = row.filter(|row| row.purpose == purpose && bool::from(row.client_secret.ct_eq(&secret)));
        self.proven(sid, row.ok_or(ValidatedError::NoSession)?)
    }

    /// The address that the session proves, whose secret was seen when a stage was completed with it.
    pub(crate) async fn validated_by_stage(&self, sid: &str) -> Result<ProvenAddress, ValidatedError> {
        let row = self.get(&VALIDATIONS, &(sid.to_owned(),)).await?;
        self.proven(sid, row.ok_or(ValidatedError::NoSession)?)
    }

    fn proven(&self, sid: &str, row: ValidationRow) -> Result<ProvenAddress, ValidatedError> {
        if row.is_over(self.now_ms()) {
            return Err(ValidatedError::NoSession);
        }
        if row.used {
            return Err(ValidatedError::Used);
        }
        let validated_ms = row.validated_ms.ok_or(ValidatedError::NotValidated)?;
        Ok(ProvenAddress {
            sid: sid.to_owned(),
            row,
            validated_ms,
        })
    }
}
