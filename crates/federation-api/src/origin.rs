//! Which server makes a request, by its signature.

use axum::http::HeaderMap;
use gatehouse_federation::ReceivedRequest;
use gatehouse_http::ApiError;
use http::{Method, StatusCode, Uri, header::AUTHORIZATION};
use ruma::OwnedServerName;
use serde_json::Value;

use crate::FederationApi;

/// Authorization headers that are looked at.
const MAX_HEADERS: usize = 4;

/// The server that signed this request for us.
pub(crate) async fn origin(
    api: &FederationApi,
    (method, uri, headers): (&Method, &Uri, &HeaderMap),
    body: &Value,
) -> Result<OwnedServerName, ApiError> {
    let authorization: Vec<String> = headers
        .get_all(AUTHORIZATION)
        .iter()
        .take(MAX_HEADERS)
        .filter_map(|value| value.to_str().ok().map(ToOwned::to_owned))
        .collect();
    let uri = uri.path_and_query().map_or("/", |uri| uri.as_str());
    let received = ReceivedRequest {
        method: method.as_str(),
        uri,
        authorization: &authorization,
        body: Some(body),
    };
    let verified = api.federation.verify(received, &[]).await;
    verified.map_err(|error| ApiError::new(StatusCode::UNAUTHORIZED, "M_UNAUTHORIZED", error.to_string()))
}
