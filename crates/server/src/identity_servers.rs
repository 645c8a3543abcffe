//! What rooms ask of identity servers, answered by the client of identity servers.

use futures_util::future::BoxFuture;
use gatehouse_identity::RoomFacts;
use gatehouse_identity_client::{IdentityClient, IdentityClientError, Invitation, Kept};
use gatehouse_mail::Threepid;
use gatehouse_rooms::{
    IdentityServerError, IdentityServers,
    identity_servers::{Asker, InviteFacts, InviteKey, StoreOutcome, StoredInvite},
};
use ruma::{OwnedUserId, RoomId};

/// The port of rooms over the client.
pub(crate) struct AskedByRooms(pub(crate) IdentityClient);

impl IdentityServers for AskedByRooms {
    fn lookup<'a>(
        &'a self,
        asker: Asker<'a>,
        address: &'a Threepid,
    ) -> BoxFuture<'a, Result<Option<OwnedUserId>, IdentityServerError>> {
        Box::pin(async move { self.0.lookup(asked_by(asker), address).await.map_err(refusal) })
    }

    fn store_invite<'a>(
        &'a self,
        asker: Asker<'a>,
        address: &'a Threepid,
        room_id: &'a RoomId,
        facts: InviteFacts,
    ) -> BoxFuture<'a, Result<StoreOutcome, IdentityServerError>> {
        Box::pin(async move {
            let invitation = Invitation {
                address,
                room_id,
                facts: described(facts),
            };
            match self
                .0
                .store_invite(asked_by(asker), invitation)
                .await
                .map_err(refusal)?
            {
                Kept::Owned(owner) => Ok(StoreOutcome::Owned(owner)),
                Kept::Waiting { stored, beside } => Ok(StoreOutcome::Stored(StoredInvite {
                    token: stored.token,
                    display_name: stored.display_name,
                    public_keys: stored
                        .keys
                        .into_iter()
                        .map(|key| InviteKey {
                            public_key: key.public_key,
                            key_validity_url: key.key_validity_url,
                        })
                        .collect(),
                    beside,
                })),
            }
        })
    }

    fn is_key_valid<'a>(
        &'a self,
        key_validity_url: &'a str,
        public_key: &'a str,
    ) -> BoxFuture<'a, Result<bool, IdentityServerError>> {
        Box::pin(async move {
            let valid = self.0.is_key_valid(key_validity_url, public_key).await;
            valid.map_err(|error| match error {
                // Whoever wrote the event chose the URL: to the one who is invited its address is no matter of trust (T14).
                IdentityClientError::NotTrusted(_) => IdentityServerError::Unreachable,
                error => refusal(error),
            })
        })
    }
}

fn asked_by(asker: Asker<'_>) -> gatehouse_identity_client::Asker<'_> {
    gatehouse_identity_client::Asker {
        user: asker.user,
        id_server: asker.id_server,
        id_access_token: asker.id_access_token,
    }
}

fn described(facts: InviteFacts) -> RoomFacts {
    RoomFacts {
        room_alias: facts.room_alias,
        room_avatar_url: facts.room_avatar_url,
        room_join_rules: facts.room_join_rules,
        room_name: facts.room_name,
        room_type: facts.room_type,
        sender_display_name: facts.sender_display_name,
        sender_avatar_url: facts.sender_avatar_url,
    }
}

fn refusal(error: IdentityClientError) -> IdentityServerError {
    match error {
        IdentityClientError::NotTrusted(name) => IdentityServerError::NotTrusted(name),
        IdentityClientError::TermsNotSigned => IdentityServerError::TermsNotSigned,
        IdentityClientError::TokenRefused => IdentityServerError::TokenRefused,
        IdentityClientError::CannotSend => IdentityServerError::CannotSend,
        IdentityClientError::TooMany { retry_after_ms } => IdentityServerError::TooMany { retry_after_ms },
        IdentityClientError::Refused | IdentityClientError::NotValidated => IdentityServerError::Refused,
        IdentityClientError::Unreachable | IdentityClientError::TimedOut => IdentityServerError::Unreachable,
        IdentityClientError::BadAnswer => IdentityServerError::BadAnswer,
        IdentityClientError::Unavailable(source) => IdentityServerError::Unavailable(source.to_string()),
    }
}
