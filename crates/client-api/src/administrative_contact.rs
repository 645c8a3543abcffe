//! E-mail addresses and phone numbers of an account.

use axum::{
    Json, Router,
    extract::State,
    routing::{get, post},
};
use gatehouse_accounts::{AddThreepidError, Purpose, Secret, ValidatedError};
use gatehouse_http::{ApiError, ClientAddress, JsonBody, JsonObject, Requester};
use gatehouse_identity_client::ThreepidCreds;
use gatehouse_mail::Threepid;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    ClientApi, errors,
    uia::{require_owner, typed},
    validation::{EmailToken, MsisdnToken, request_token},
};

pub(crate) fn routes() -> Router<ClientApi> {
    Router::new()
        .route("/account/3pid", get(get_account_3pids).post(post_3pids))
        .route("/account/3pid/add", post(add_3pid))
        .route("/account/3pid/bind", post(bind_3pid))
        .route("/account/3pid/unbind", post(unbind3pid_from_account))
        .route("/account/3pid/delete", post(delete3pid_from_account))
        .route(
            "/account/3pid/email/requestToken",
            post(request_token_to_3pid_email),
        )
        .route(
            "/account/3pid/msisdn/requestToken",
            post(request_token_to_3pid_msisdn),
        )
}

/// What clients of r0.5 use until the server says that it speaks r0.6.
pub(crate) fn unstable_routes() -> Router<ClientApi> {
    Router::new()
        .route("/account/3pid/add", post(add_3pid))
        .route("/account/3pid/bind", post(bind_3pid))
        .route("/account/3pid/unbind", post(unbind3pid_from_account))
}

/// `GET /_matrix/client/v3/account/3pid`
async fn get_account_3pids(
    State(api): State<ClientApi>,
    requester: Requester,
) -> Result<Json<Value>, ApiError> {
    let known = api.accounts.threepids(&requester.user_id).await?;
    let threepids: Vec<Value> = known
        .iter()
        .map(|known| {
            json!({
                "medium": known.threepid.medium().as_str(),
                "address": known.threepid.address(),
                "validated_at": known.validated_ms,
                "added_at": known.added_ms,
            })
        })
        .collect();
    Ok(Json(json!({ "threepids": threepids })))
}

/// What names a session in which an address was proven.
#[derive(Deserialize)]
struct SessionBody {
    sid: Option<String>,
    client_secret: Option<Secret>,
}

impl SessionBody {
    fn named(&self) -> Result<(&str, &str), ApiError> {
        let missing = |name: &str| ApiError::missing_param(format!("The `{name}` is missing."));
        let sid = self.sid.as_deref().ok_or_else(|| missing("sid"))?;
        let client_secret = self
            .client_secret
            .as_ref()
            .ok_or_else(|| missing("client_secret"))?;
        Ok((sid, client_secret.expose()))
    }
}

#[derive(Deserialize)]
struct CredsBody {
    #[serde(alias = "threePidCreds")]
    three_pid_creds: Option<PerhapsElsewhere>,
}

/// A session of ours or, as clients of r0 have it, one at an identity server.
#[derive(Deserialize)]
struct PerhapsElsewhere {
    #[serde(flatten)]
    session: SessionBody,
    id_server: Option<String>,
    id_access_token: Option<Secret>,
}

/// `POST /_matrix/client/v3/account/3pid`
async fn post_3pids(
    State(api): State<ClientApi>,
    requester: Requester,
    JsonBody(body): JsonBody<CredsBody>,
) -> Result<Json<Value>, ApiError> {
    requester.refuse_guest()?;
    let creds = body
        .three_pid_creds
        .ok_or_else(|| ApiError::missing_param("The `three_pid_creds` are missing."))?;
    let (sid, client_secret) = creds.session.named()?;
    let (accounts, user_id) = (&api.accounts, &requester.user_id);
    match (
        accounts.add_threepid(user_id, sid, client_secret).await,
        creds.id_server,
    ) {
        (Err(AddThreepidError::Validated(ValidatedError::NoSession)), Some(id_server)) => {
            let there = ThreepidCreds {
                id_server,
                id_access_token: creds.id_access_token,
                sid: sid.to_owned(),
                client_secret: Secret::new(client_secret),
            };
            let proven = api.identity_client.validated(user_id, &there).await;
            let proven = proven.map_err(errors::identity_client)?;
            let added =
                accounts.add_threepid_proven_elsewhere(user_id, &proven.threepid, proven.validated_at);
            added.await?;
        }
        (added, _) => added?,
    }
    Ok(Json(json!({})))
}

/// `POST /_matrix/client/v3/account/3pid/add`
async fn add_3pid(
    State(api): State<ClientApi>,
    requester: Requester,
    JsonObject(body): JsonObject,
) -> Result<Json<Value>, ApiError> {
    requester.refuse_guest()?;
    let meaning: SessionBody = typed(&body)?;
    let (sid, client_secret) = meaning.named()?;
    require_owner(&api, &requester, "add3PID", &body).await?;
    api.accounts
        .add_threepid(&requester.user_id, sid, client_secret)
        .await?;
    Ok(Json(json!({})))
}

#[derive(Deserialize)]
struct ThreepidBody {
    id_server: Option<String>,
    medium: String,
    address: String,
}

/// `POST /_matrix/client/v3/account/3pid/delete`
async fn delete3pid_from_account(
    State(api): State<ClientApi>,
    requester: Requester,
    JsonBody(body): JsonBody<ThreepidBody>,
) -> Result<Json<Value>, ApiError> {
    requester.refuse_guest()?;
    let threepid = Threepid::parse(&body.medium, &body.address)
        .map_err(|error| ApiError::invalid_param(error.to_string()))?;
    let (user_id, id_server) = (&requester.user_id, body.id_server.as_deref());
    let servers = api
        .accounts
        .delete_threepid(user_id, &threepid, id_server)
        .await?;
    let mut unbound = !servers.is_empty();
    for server in &servers {
        // The address is gone here in any case; a server that does not answer now is asked again later.
        let asked = api.identity_client.unbind(user_id, &threepid, server).await;
        unbound &= asked.unwrap_or(false);
    }
    Ok(unbind_result(unbound))
}

/// `POST /_matrix/client/v3/account/3pid/bind`
async fn bind_3pid(
    State(api): State<ClientApi>,
    requester: Requester,
    JsonBody(body): JsonBody<CredsAtServer>,
) -> Result<Json<Value>, ApiError> {
    requester.refuse_guest()?;
    let creds = body.into();
    let bound = api.identity_client.bind(&requester.user_id, &creds).await;
    bound.map_err(errors::identity_client)?;
    Ok(Json(json!({})))
}

/// `POST /_matrix/client/v3/account/3pid/unbind`
async fn unbind3pid_from_account(
    State(api): State<ClientApi>,
    requester: Requester,
    JsonBody(body): JsonBody<ThreepidBody>,
) -> Result<Json<Value>, ApiError> {
    requester.refuse_guest()?;
    let threepid = Threepid::parse(&body.medium, &body.address)
        .map_err(|error| ApiError::invalid_param(error.to_string()))?;
    let (client, user) = (&api.identity_client, &requester.user_id);
    let unbound = match &body.id_server {
        Some(id_server) => client.unbind(user, &threepid, id_server).await,
        None => client.unbind_everywhere(user, &threepid).await,
    };
    Ok(unbind_result(unbound.map_err(errors::identity_client)?))
}

/// What a client is told of an unbinding.
fn unbind_result(unbound: bool) -> Json<Value> {
    let result = if unbound { "success" } else { "no-support" };
    Json(json!({ "id_server_unbind_result": result }))
}

/// A session at an identity server.
#[derive(Deserialize)]
struct CredsAtServer {
    id_server: String,
    #[serde(default)]
    id_access_token: Option<Secret>,
    sid: String,
    client_secret: Secret,
}

impl From<CredsAtServer> for ThreepidCreds {
    fn from(creds: CredsAtServer) -> Self {
        Self {
            id_server: creds.id_server,
            id_access_token: creds.id_access_token,
            sid: creds.sid,
            client_secret: creds.client_secret,
        }
    }
}

/// `POST /_matrix/client/v3/account/3pid/email/requestToken`
async fn request_token_to_3pid_email(
    State(api): State<ClientApi>,
    address: ClientAddress,
    JsonBody(body): JsonBody<EmailToken>,
) -> Result<Json<Value>, ApiError> {
    request_token(&api, address, Purpose::Add, &body.into()).await
}

/// `POST /_matrix/client/v3/account/3pid/msisdn/requestToken`
async fn request_token_to_3pid_msisdn(
    State(api): State<ClientApi>,
    address: ClientAddress,
    JsonBody(body): JsonBody<MsisdnToken>,
) -> Result<Json<Value>, ApiError> {
    request_token(&api, address, Purpose::Add, &body.into()).await
}
