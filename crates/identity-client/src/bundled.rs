//! The identity server in this process: asked by call, without HTTP and without tokens of ours. What a client gives as a
//! token is checked all the same.

use gatehouse_accounts::Secret;
use gatehouse_identity::{
    AuthError, BindError, Identity, LookupError, StoreInvite, StoreInviteError, UnbindError, UnbindProof,
    ValidatedError,
};
use gatehouse_mail::Threepid;
use ruma::{OwnedUserId, UserId};

use crate::{
    IdentityClient,
    associations::{ThreepidCreds, Validated},
    error::IdentityClientError,
    invite::{Asker, Invitation, Kept},
    store_invite::{InviteKey, Stored},
};

impl IdentityClient {
    pub(crate) async fn lookup_here(
        &self,
        asker: Asker<'_>,
        address: &Threepid,
    ) -> Result<Option<OwnedUserId>, IdentityClientError> {
        let identity = self.admitted(asker.user, asker.id_access_token).await?;
        let found = identity.lookup_one(asker.user, address).await;
        found.map_err(|error| match error {
            LookupError::OverBudget { retry_after_ms } => IdentityClientError::TooMany {
                retry_after_ms: Some(retry_after_ms),
            },
            LookupError::Unavailable(source) => unavailable(source),
            LookupError::UnknownAlgorithm
            | LookupError::TooManyAddresses { .. }
            | LookupError::InvalidPepper { .. } => IdentityClientError::Refused,
        })
    }

    pub(crate) async fn store_invite_here(
        &self,
        asker: Asker<'_>,
        invitation: Invitation<'_>,
    ) -> Result<Kept, IdentityClientError> {
        let identity = self.admitted(asker.user, asker.id_access_token).await?;
        let request = StoreInvite {
            threepid: invitation.address.clone(),
            room_id: invitation.room_id.to_owned(),
            facts: invitation.facts,
        };
        match identity.store_invite(asker.user, request).await {
            Ok((stored, beside)) => Ok(Kept::Waiting {
                stored: Stored {
                    token: stored.token,
                    display_name: stored.display_name,
                    keys: stored
                        .public_keys
                        .into_iter()
                        .map(|key| InviteKey {
                            public_key: key.public_key,
                            key_validity_url: key.key_validity_url,
                        })
                        .collect(),
                },
                beside,
            }),
            Err(StoreInviteError::InUse { mxid }) => Ok(Kept::Owned(mxid)),
            Err(StoreInviteError::TooMany { retry_after_ms }) => Err(IdentityClientError::TooMany {
                retry_after_ms: Some(retry_after_ms),
            }),
            Err(StoreInviteError::TooManyWaiting) => {
                Err(IdentityClientError::TooMany { retry_after_ms: None })
            }
            Err(StoreInviteError::UnsupportedMedium | StoreInviteError::CannotSend(_)) => {
                Err(IdentityClientError::CannotSend)
            }
            Err(StoreInviteError::Unavailable(source)) => Err(unavailable(source)),
        }
    }

    pub(crate) async fn validated_here(
        &self,
        creds: &ThreepidCreds,
    ) -> Result<Validated, IdentityClientError> {
        let identity = self.identity(&creds.id_server)?;
        let validated = identity.validated(&creds.sid, creds.client_secret.expose()).await;
        let validated = validated.map_err(session_error)?;
        Ok(Validated {
            threepid: validated.threepid,
            validated_at: validated.validated_ms,
        })
    }

    pub(crate) async fn bind_here(
        &self,
        user: &UserId,
        creds: &ThreepidCreds,
    ) -> Result<Threepid, IdentityClientError> {
        let given = creds.id_access_token.as_ref().map(Secret::expose);
        let identity = self.admitted(user, given).await?;
        let secret = creds.client_secret.expose();
        let bound = identity.bind(Some(user), &creds.sid, secret, user).await;
        bound.map_err(|error| match error {
            BindError::Session(error) => session_error(error),
            BindError::NotYours | BindError::Used => IdentityClientError::Refused,
            BindError::Unavailable(source) => unavailable(source),
        })?;
        Ok(self.validated_here(creds).await?.threepid)
    }

    pub(crate) async fn unbind_here(
        &self,
        user: &UserId,
        address: &Threepid,
        id_server: &str,
    ) -> Result<(), IdentityClientError> {
        let identity = self.identity(id_server)?;
        let unbound = identity.unbind(UnbindProof::SameProcess, address, user).await;
        unbound.map_err(|error| match error {
            UnbindError::Session(error) => session_error(error),
            UnbindError::OtherAddress | UnbindError::Homeserver(_) | UnbindError::NotTheirUser => {
                IdentityClientError::Refused
            }
            UnbindError::Unavailable(source) => unavailable(source),
        })
    }

    /// The engine, for a user who may use it: whose token it is, if there is one, and who has agreed to its terms.
    async fn admitted(&self, user: &UserId, given: Option<&str>) -> Result<&Identity, IdentityClientError> {
        let identity = self.identity("")?;
        let has_agreed = match given {
            Some(token) => {
                let session = identity.authenticate(token).await.map_err(|error| match error {
                    AuthError::UnknownToken => IdentityClientError::TokenRefused,
                    AuthError::Unavailable(source) => unavailable(source),
                })?;
                if session.user_id != user {
                    return Err(IdentityClientError::TokenRefused);
                }
                session.has_agreed
            }
            None => identity.has_agreed(user).await.map_err(unavailable)?,
        };
        if has_agreed {
            Ok(identity)
        } else {
            Err(IdentityClientError::TermsNotSigned)
        }
    }

    fn identity(&self, name: &str) -> Result<&Identity, IdentityClientError> {
        self.bundled()
            .ok_or_else(|| IdentityClientError::NotTrusted(name.to_owned()))
    }
}

fn session_error(error: ValidatedError) -> IdentityClientError {
    match error {
        ValidatedError::Unavailable(source) => unavailable(source),
        _ => IdentityClientError::NotValidated,
    }
}

fn unavailable(source: gatehouse_identity::Unavailable) -> IdentityClientError {
    IdentityClientError::Unavailable(Box::new(source))
}
