//! What identity servers ask of homeservers, and homeservers of each other about invitations.

use std::time::Duration;

use gatehouse_outbound::OutboundAnswer;
use http::Method;
use ruma::{OwnedUserId, ServerName};
use serde::Deserialize;
use serde_json::Value;

use crate::{Federation, FederationError, signed::refusal};

/// How long an answer may take, and how long it may be.
const TIMEOUT: Duration = Duration::from_secs(10);
const MAX_BYTES: usize = 64 << 10;

impl Federation {
    /// Whom the server gave this `OpenID` token to (`GET /_matrix/federation/v1/openid/userinfo`).
    pub async fn openid_user(
        &self,
        server: &ServerName,
        token: &str,
    ) -> Result<OwnedUserId, FederationError> {
        #[derive(Deserialize)]
        struct UserInfo {
            sub: OwnedUserId,
        }
        let query = form(&[("access_token", token)]);
        let path = format!("/_matrix/federation/v1/openid/userinfo?{query}");
        let answer = self.ask(server, Method::GET, &path, None).await?;
        let info: UserInfo = serde_json::from_slice(&answer.body).map_err(|_| FederationError::BadAnswer)?;
        Ok(info.sub)
    }

    /// Tells the server that an address with invitations was bound (`PUT /_matrix/federation/v1/3pid/onbind`). Synapse
    /// knows `POST` alone there.
    pub async fn onbind(&self, server: &ServerName, body: &Value) -> Result<(), FederationError> {
        let path = "/_matrix/federation/v1/3pid/onbind";
        let told = match self.ask(server, Method::PUT, path, Some(body)).await {
            Err(FederationError::Refused(refusal)) if matches!(refusal.status, 404 | 405) => {
                self.ask(server, Method::POST, path, Some(body)).await
            }
            told => told,
        };
        told.map(|_| ())
    }

    /// Without our signature: who we are does not matter for these.
    async fn ask(
        &self,
        server: &ServerName,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<OutboundAnswer, FederationError> {
        let outbound = self.outbound().ok_or(FederationError::Disabled)?;
        let mut request = self.location_of(server).await?.request(method, path);
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = outbound
            .send(request.timeout(TIMEOUT).max_bytes(MAX_BYTES))
            .await?;
        match answer.status {
            200..=299 => Ok(answer),
            _ => Err(refusal(&answer)),
        }
    }
}

fn form(pairs: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(pairs)
        .finish()
}
