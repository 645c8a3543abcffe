//! Requests that another server has signed: who it is, and what it says (server-server API, "Request authentication").

use axum::{
    body::Body,
    extract::{FromRequest, FromRequestParts as _, OriginalUri},
};
use gatehouse_events::json::check_shape;
use gatehouse_federation::{ReceivedRequest, VerifyError, XMatrix};
use gatehouse_http::{ApiError, ClientAddress, Limit, Text, body::json_input};
use http::{Request, StatusCode, header::AUTHORIZATION, request::Parts};
use ruma::{OwnedServerName, ServerName};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::OwnedSemaphorePermit;

use crate::FederationApi;

/// Transactions (limits, "Body sizes in").
pub(crate) const TRANSACTION_BODY: usize = 16 << 20;
/// Events that are sent one by one.
pub(crate) const PDU_BODY: usize = 256 << 10;
/// Everything else.
pub(crate) const OTHER_BODY: usize = 1 << 20;

/// Authorization headers that are looked at.
const MAX_HEADERS: usize = 4;

/// A request of another server, with a body of at most `MAX` bytes.
pub(crate) struct Signed<const MAX: usize = OTHER_BODY> {
    /// The server that signed it for us.
    pub(crate) origin: OwnedServerName,
    body: String,
    /// Dropped when the answer is there.
    turn: OwnedSemaphorePermit,
}

impl<const MAX: usize> Signed<MAX> {
    /// The turn that the request has, for an answer that takes longer than its handler.
    pub(crate) fn into_turn(self) -> OwnedSemaphorePermit {
        self.turn
    }

    /// The body as `T`.
    pub(crate) fn json<'a, T: Deserialize<'a>>(&'a self) -> Result<T, ApiError> {
        check_shape(self.body.as_bytes()).map_err(json_input)?;
        self.json_of_any_shape()
    }

    /// As [`Self::json`], for a body of which one bad part must not spoil the rest: how deep it nests and which keys it
    /// has is for whoever reads the parts to look at.
    pub(crate) fn json_of_any_shape<'a, T: Deserialize<'a>>(&'a self) -> Result<T, ApiError> {
        let wrong =
            || ApiError::bad_json("The body is not what this operation takes: see the specification.");
        // Lists would be read as objects without the names of the fields.
        if !self.body.trim_ascii_start().starts_with('{') {
            return Err(wrong());
        }
        serde_json::from_str(&self.body).map_err(|error| {
            if error.is_data() {
                wrong()
            } else {
                ApiError::not_json("The body is not JSON.")
            }
        })
    }
}

impl<const MAX: usize> FromRequest<FederationApi> for Signed<MAX> {
    type Rejection = ApiError;

    async fn from_request(request: Request<Body>, api: &FederationApi) -> Result<Self, ApiError> {
        let (mut parts, body) = request.into_parts();
        let address = ClientAddress::from_request_parts(&mut parts, api).await?;
        let limits = &api.http.rate_limits;
        // Who has been wrong so often is not listened to for a while: looking for keys costs.
        limits.peek_address(Limit::Federation, address.0)?;
        let authorization = authorization(&parts);
        require_plausible(api, &authorization)?;
        let request = Request::from_parts(parts.clone(), body);
        let Text(body) = Text::<MAX>::from_request(request, api).await?;
        if !body.is_empty() {
            // What is verified is these very bytes, so that they must be one document and nothing behind it.
            serde_json::from_str::<&RawValue>(&body)
                .map_err(|_| ApiError::not_json("The body is not JSON."))?;
        }
        let origin = match verify(api, &mut parts, &authorization, &body).await {
            Ok(origin) => origin,
            Err(error) => {
                limits.check_address(Limit::Federation, address.0)?;
                return Err(unauthorized(error));
            }
        };
        // Whoever asks is there: what waits for them goes out now.
        api.federation.heard_from(&origin).await;
        limits.check(Limit::Federation, origin.as_str())?;
        // It is there: what waits for it need not wait any longer.
        api.federation.heard_from(&origin).await;
        let turn = api.at_once.enter(&origin).await?;
        Ok(Self { origin, body, turn })
    }
}

fn authorization(parts: &Parts) -> Vec<String> {
    let headers = parts.headers.get_all(AUTHORIZATION).iter().take(MAX_HEADERS);
    let texts = headers.filter_map(|value| value.to_str().ok());
    texts.map(ToOwned::to_owned).collect()
}

/// Refuses before the body is read what cannot be right whatever is in it.
fn require_plausible(api: &FederationApi, authorization: &[String]) -> Result<(), ApiError> {
    let mut headers = authorization
        .iter()
        .filter_map(|header| XMatrix::parse(header))
        .peekable();
    if headers.peek().is_none() {
        return Err(
            if authorization.iter().any(|header| XMatrix::has_wrong_name(header)) {
                ApiError::invalid_param(
                    "The `origin` in the `Authorization` header is not the name of a server.",
                )
            } else {
                unauthorized(VerifyError::Missing)
            },
        );
    }
    if headers.any(|header| api.federation.allows(&header.origin)) {
        Ok(())
    } else {
        Err(unauthorized(VerifyError::NotAllowed))
    }
}

async fn verify(
    api: &FederationApi,
    parts: &mut Parts,
    authorization: &[String],
    body: &str,
) -> Result<OwnedServerName, VerifyError> {
    let uri = OriginalUri::from_request_parts(parts, api).await;
    let uri = uri.map_or_else(|_| parts.uri.clone(), |uri| uri.0);
    let received = ReceivedRequest {
        method: parts.method.as_str(),
        uri: uri.path_and_query().map_or("/", |uri| uri.as_str()),
        authorization,
        body: Some(body).filter(|body| !body.is_empty()),
    };
    api.federation.verify(received, &[]).await
}

fn unauthorized(error: VerifyError) -> ApiError {
    let message = error.to_string();
    match error {
        VerifyError::NotAllowed => ApiError::forbidden(message),
        _ => ApiError::new(StatusCode::UNAUTHORIZED, "M_UNAUTHORIZED", message),
    }
}

/// Whether it is this server that is asked for.
pub(crate) fn is_us(api: &FederationApi, server: &ServerName) -> bool {
    server == api.federation.server_name()
}
