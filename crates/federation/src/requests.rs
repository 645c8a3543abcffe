//! What identity servers ask of homeservers, and homeservers of each other about invitations.

use std::time::Duration;

use gatehouse_outbound::{OutboundAnswer, OutboundRequest};
use http::Method;
use ruma::{OwnedUserId, ServerName};
use serde::Deserialize;
use serde_json::Value;

use crate::{Federation, FederationError};

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
        let answer = self.ask(server, |url| OutboundRequest::get(&url), &path).await?;
        let info: UserInfo =
            serde_json::from_value(answer.json()?).map_err(|_| FederationError::BadAnswer)?;
        Ok(info.sub)
    }

    /// Tells the server that an address with invitations was bound (`PUT /_matrix/federation/v1/3pid/onbind`). Synapse
    /// knows `POST` alone there.
    pub async fn onbind(&self, server: &ServerName, body: &Value) -> Result<(), FederationError> {
        let path = "/_matrix/federation/v1/3pid/onbind";
        let put = |url: String| OutboundRequest::new(Method::PUT, &url).json(body);
        let told = match self.ask(server, put, path).await {
            Err(FederationError::Refused(404 | 405)) => {
                let post = |url: String| OutboundRequest::post_json(&url, body);
                self.ask(server, post, path).await
            }
            told => told,
        };
        told.map(|_| ())
    }

    async fn ask(
        &self,
        server: &ServerName,
        request: impl FnOnce(String) -> OutboundRequest,
        path: &str,
    ) -> Result<OutboundAnswer, FederationError> {
        let outbound = self.outbound().ok_or(FederationError::Disabled)?;
        let url = format!("https://{}{path}", self.address_of(server).await?);
        let request = request(url).timeout(TIMEOUT).max_bytes(MAX_BYTES);
        let answer = outbound.send(request).await?;
        match answer.status {
            200..=299 => Ok(answer),
            status => Err(FederationError::Refused(status)),
        }
    }
}

fn form(pairs: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(pairs)
        .finish()
}
