//! Who an address belongs to: proven, bound and unbound at an identity server.

use gatehouse_accounts::Secret;
use gatehouse_federation::FederationError;
use gatehouse_mail::Threepid;
use ruma::UserId;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{
    IdentityClient, IdentityServer,
    calls::CallError,
    error::IdentityClientError,
    store_invite::Dialect,
    tokens::{Access, Next},
};

/// What proves an address at an identity server.
#[derive(Debug, Clone)]
pub struct ThreepidCreds {
    /// The server, as the client names it.
    pub id_server: String,
    /// The user's token there, if the client gives one.
    pub id_access_token: Option<Secret>,
    /// The validation session.
    pub sid: String,
    /// What the client chose for it.
    pub client_secret: Secret,
}

/// An address that somebody has proven to be theirs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Validated {
    /// The address.
    pub threepid: Threepid,
    /// When, in milliseconds since 1970.
    pub validated_at: u64,
}

#[derive(Deserialize)]
struct ValidatedAnswer {
    medium: String,
    address: String,
    #[serde(default)]
    validated_at: u64,
}

#[derive(Deserialize)]
struct Bound {
    medium: String,
    address: String,
}

impl Dialect {
    fn associations(self, what: &str) -> String {
        match self {
            Self::V2 => format!("/_matrix/identity/v2/3pid/{what}"),
            Self::V1 => format!("/_matrix/identity/api/v1/3pid/{what}"),
        }
    }
}

impl IdentityClient {
    /// The address that a session at the identity server proved (deprecated `POST /account/3pid`). Only servers that the
    /// operator named are believed.
    pub async fn validated(
        &self,
        user: &UserId,
        creds: &ThreepidCreds,
    ) -> Result<Validated, IdentityClientError> {
        let (name, base) = match self.server_with_a_word(&creds.id_server)? {
            IdentityServer::Bundled => return self.validated_here(creds).await,
            IdentityServer::Remote { name, base } => (name, base),
        };
        let query = [
            ("sid", creds.sid.as_str()),
            ("client_secret", creds.client_secret.expose()),
        ];
        let given = creds.id_access_token.as_ref().map(Secret::expose);
        let server = (name.as_str(), base.as_str());
        let mut access = self.access(user, given, server).await?;
        let answer = loop {
            let path = access.dialect().associations("getValidated3pid");
            let outcome = self
                .caller(&access, &base)
                .get::<ValidatedAnswer>(&path, &query)
                .await;
            match self.next(user, server, &access, outcome).await? {
                Next::Done(outcome) => break outcome,
                Next::With(again) => access = again,
            }
        };
        let answer = answer.map_err(|error| session_error(&error, &name))?;
        Ok(Validated {
            threepid: threepid(&answer.medium, &answer.address)?,
            validated_at: answer.validated_at,
        })
    }

    /// Binds the address that a session at the identity server proved to the user (`bind3PID`).
    pub async fn bind(&self, user: &UserId, creds: &ThreepidCreds) -> Result<(), IdentityClientError> {
        let address = match self.server(&creds.id_server)? {
            IdentityServer::Bundled => self.bind_here(user, creds).await?,
            IdentityServer::Remote { name, base } => {
                let body = json!({
                    "sid": creds.sid,
                    "client_secret": creds.client_secret.expose(),
                    "mxid": user,
                });
                let given = creds.id_access_token.as_ref().map(Secret::expose);
                let server = (name.as_str(), base.as_str());
                let mut access = self.access(user, given, server).await?;
                let bound = loop {
                    let path = access.dialect().associations("bind");
                    let outcome = self.caller(&access, &base).post::<Bound>(&path, &body).await;
                    match self.next(user, server, &access, outcome).await? {
                        Next::Done(outcome) => break outcome,
                        Next::With(again) => access = again,
                    }
                };
                let bound = bound.map_err(|error| session_error(&error, &name))?;
                threepid(&bound.medium, &bound.address)?
            }
        };
        // Remembered, so that it can be unbound when the address or the account goes.
        self.accounts()
            .note_binding(user, &address, &creds.id_server)
            .await?;
        Ok(())
    }

    /// Unbinds the address from the user at the identity server; `false`: it cannot (`unbind3pidFromAccount`).
    pub async fn unbind(
        &self,
        user: &UserId,
        address: &Threepid,
        id_server: &str,
    ) -> Result<bool, IdentityClientError> {
        let unbound = match self.server(id_server)? {
            IdentityServer::Bundled => {
                self.unbind_here(user, address, id_server).await?;
                true
            }
            IdentityServer::Remote { name, base } => self.unbind_there(user, address, (&name, &base)).await?,
        };
        self.accounts().unbound(user, address, id_server).await?;
        Ok(unbound)
    }

    /// Asks in the server's own name: its signature stands for the user (identity service API, unbind).
    async fn unbind_there(
        &self,
        user: &UserId,
        address: &Threepid,
        (name, base): (&str, &str),
    ) -> Result<bool, IdentityClientError> {
        let body = json!({
            "mxid": user,
            "threepid": { "medium": address.medium().as_str(), "address": address.address() },
        });
        for dialect in [Dialect::V2, Dialect::V1] {
            let path = dialect.associations("unbind");
            let federation = self.federation();
            let specified = federation.authorization(name, "POST", &path, Some(&body));
            let mut outcome = self.post_signed(base, &path, &body, specified).await?;
            if let Err(CallError::Unauthorized | CallError::Refused { status: 403 }) = outcome {
                // Sydent takes signatures of another object for those that the specification means.
                let in_the_field =
                    federation.authorization_for_identity_server(name, "POST", &path, Some(&body));
                outcome = self.post_signed(base, &path, &body, in_the_field).await?;
            }
            match outcome {
                Ok(_) => return Ok(true),
                Err(CallError::NotThere) => {}
                Err(error) => return Err(IdentityClientError::of(&error, name)),
            }
        }
        // It knows no unbinding, or no such binding; there is nothing more to be done.
        Ok(false)
    }

    async fn post_signed(
        &self,
        base: &str,
        path: &str,
        body: &Value,
        authorization: Result<String, FederationError>,
    ) -> Result<Result<Map<String, Value>, CallError>, IdentityClientError> {
        let authorization = authorization.map_err(|_| IdentityClientError::Refused)?;
        let caller = self.caller(&Access::Legacy, base);
        Ok(caller.post_signed(path, body, &authorization).await)
    }
}

fn threepid(medium: &str, address: &str) -> Result<Threepid, IdentityClientError> {
    Threepid::parse(medium, address).map_err(|_| IdentityClientError::BadAnswer)
}

/// What a refusal means where a validation session was named.
fn session_error(error: &CallError, name: &str) -> IdentityClientError {
    match error {
        CallError::NotThere | CallError::Refused { status: 400..=499 } => IdentityClientError::NotValidated,
        error => IdentityClientError::of(error, name),
    }
}
