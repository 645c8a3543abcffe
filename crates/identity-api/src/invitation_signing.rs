//! Signing that an invitation is accepted.

use axum::{Json, Router, extract::State, routing::post};
use gatehouse_http::ApiError;
use ruma::UserId;
use serde_json::Value;

use crate::{IdentityApi, errors, fields::Fields, requester::Requester};

pub(crate) fn routes() -> Router<IdentityApi> {
    Router::new().route("/sign-ed25519", post(blindly_sign_stuff))
}

/// `POST /_matrix/identity/v2/sign-ed25519`
async fn blindly_sign_stuff(
    State(api): State<IdentityApi>,
    _: Requester,
    fields: Fields,
) -> Result<Json<Value>, ApiError> {
    sign(&api, &fields).await
}

/// Signs that a user accepts an invitation.
pub(crate) async fn sign(api: &IdentityApi, fields: &Fields) -> Result<Json<Value>, ApiError> {
    let mxid = UserId::parse(fields.text("mxid")?)
        .map_err(|_| ApiError::invalid_param("`mxid` must be a user id, such as @alice:example.org."))?;
    let (token, private_key) = (fields.text("token")?, fields.text("private_key")?);
    let signed = api.identity.sign_ed25519(&mxid, token, private_key).await;
    Ok(Json(signed.map_err(errors::sign)?))
}
