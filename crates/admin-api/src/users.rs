//! Users: the parts of Synapse's user administration API that tools need to open.

use axum::{
    Json, Router,
    extract::State,
    routing::{get, post},
};
use gatehouse_accounts::{Accounts, NewUser, Profile, Secret, User, UserMark};
use gatehouse_http::{ApiError, JsonBody, OptionalJsonBody, Path, Query};
use gatehouse_rooms::DeactivationError;
use http::StatusCode;
use ruma::{OwnedUserId, UserId};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{AdminApi, administrator::Administrator};

/// How many users one page has at most.
const MAX_PAGE: usize = 1_000;
const DEFAULT_PAGE: usize = 100;

/// How many users are read to count and filter them. Enough for any server that one machine holds.
const MAX_USERS: usize = 1_000_000;

pub(crate) fn routes() -> Router<AdminApi> {
    Router::new()
        .route("/v2/users", get(list_users_v2))
        .route("/v3/users", get(list_users_v3))
        .route("/v2/users/{user_id}", get(get_user).put(put_user))
        .route("/v1/users/{user_id}/admin", get(is_admin).put(set_admin))
        .route("/v1/deactivate/{user_id}", post(deactivate))
        .route("/v1/reset_password/{user_id}", post(reset_password))
        .route("/v1/suspend/{user_id}", axum::routing::put(suspend))
        .route("/v1/username_available", get(username_available))
}

#[derive(Deserialize)]
struct ListQuery {
    from: Option<usize>,
    limit: Option<usize>,
    name: Option<String>,
    user_id: Option<String>,
    guests: Option<bool>,
    admins: Option<bool>,
    deactivated: Option<bool>,
    locked: Option<bool>,
}

/// `GET /_synapse/admin/v2/users`: deactivated ones are left out unless asked for.
async fn list_users_v2(
    State(api): State<AdminApi>,
    _administrator: Administrator,
    Query(query): Query<ListQuery>,
) -> Result<Json<Value>, ApiError> {
    let show_deactivated = query.deactivated.unwrap_or(false);
    list(&api, &query, |user| show_deactivated || !user.is_deactivated).await
}

/// `GET /_synapse/admin/v3/users`: deactivated ones, others or both.
async fn list_users_v3(
    State(api): State<AdminApi>,
    _administrator: Administrator,
    Query(query): Query<ListQuery>,
) -> Result<Json<Value>, ApiError> {
    let only = query.deactivated;
    list(&api, &query, |user| {
        only.is_none_or(|only| user.is_deactivated == only)
    })
    .await
}

async fn list(
    api: &AdminApi,
    query: &ListQuery,
    shown: impl Fn(&User) -> bool,
) -> Result<Json<Value>, ApiError> {
    let from = query.from.unwrap_or(0);
    let limit = query.limit.unwrap_or(DEFAULT_PAGE).min(MAX_PAGE);
    let users = api.accounts.users(None, MAX_USERS).await?;
    let matching: Vec<User> = users
        .into_iter()
        .filter(|user| shown(user) && query.matches(user))
        .collect();
    let total = matching.len();
    let mut page = Vec::new();
    for user in matching.iter().skip(from).take(limit) {
        let profile = api.accounts.profile(&user.user_id).await?.unwrap_or_default();
        page.push(encode(user, &profile));
    }
    let mut answer = json!({ "users": page, "total": total });
    if let Some(answer) = answer.as_object_mut()
        && from.saturating_add(limit) < total
    {
        answer.insert("next_token".to_owned(), json!((from + limit).to_string()));
    }
    Ok(Json(answer))
}

impl ListQuery {
    fn matches(&self, user: &User) -> bool {
        let named = |text: &String| user.user_id.as_str().contains(&text.to_lowercase());
        (self.guests.unwrap_or(true) || !user.is_guest)
            && self.admins.is_none_or(|admins| user.is_admin == admins)
            && (self.locked.unwrap_or(true) || !user.is_locked)
            && self.name.as_ref().or(self.user_id.as_ref()).is_none_or(named)
    }
}

/// `GET /_synapse/admin/v2/users/{userId}`
async fn get_user(
    State(api): State<AdminApi>,
    _administrator: Administrator,
    Path(user_id): Path<OwnedUserId>,
) -> Result<Json<Value>, ApiError> {
    Ok(Json(describe(&api.accounts, &user_id).await?))
}

#[derive(Deserialize)]
struct PutBody {
    password: Option<Secret>,
    logout_devices: Option<bool>,
    displayname: Option<String>,
    avatar_url: Option<String>,
    admin: Option<bool>,
    deactivated: Option<bool>,
    locked: Option<bool>,
}

/// `PUT /_synapse/admin/v2/users/{userId}`: makes or changes a user.
async fn put_user(
    State(api): State<AdminApi>,
    _administrator: Administrator,
    Path(user_id): Path<OwnedUserId>,
    JsonBody(body): JsonBody<PutBody>,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    require_local(&api.accounts, &user_id)?;
    let status = if api.accounts.user_exists(&user_id).await? {
        change(&api, &user_id, &body).await?;
        StatusCode::OK
    } else {
        let user = NewUser {
            username: user_id.localpart(),
            password: body.password.as_ref(),
            is_admin: body.admin.unwrap_or(false),
        };
        api.accounts.create_user(&user, None).await?;
        StatusCode::CREATED
    };
    for (key, value) in [("displayname", body.displayname), ("avatar_url", body.avatar_url)] {
        if let Some(value) = value {
            set_profile(&api, &user_id, key, value).await?;
        }
    }
    Ok((status, Json(describe(&api.accounts, &user_id).await?)))
}

async fn change(api: &AdminApi, user_id: &OwnedUserId, body: &PutBody) -> Result<(), ApiError> {
    let accounts = &api.accounts;
    if let Some(password) = &body.password {
        if body.logout_devices.unwrap_or(true) {
            accounts.set_password_and_log_out(user_id, password, None).await?;
        } else {
            accounts.set_password(user_id, password).await?;
        }
    }
    for (mark, set) in [(UserMark::Admin, body.admin), (UserMark::Locked, body.locked)] {
        if let Some(set) = set {
            accounts.mark_user(user_id, mark, set).await?;
        }
    }
    if body.deactivated == Some(true) {
        close_account(api, user_id, false).await?;
    }
    Ok(())
}

async fn set_profile(api: &AdminApi, user_id: &UserId, key: &str, value: String) -> Result<(), ApiError> {
    Ok(api.rooms.change_profile(user_id, key, Some(value.into())).await?)
}

/// Deactivates a user, who then leaves their rooms; `erase`: and whose words are forgotten.
async fn close_account(api: &AdminApi, user_id: &UserId, erase: bool) -> Result<(), ApiError> {
    match api.rooms.deactivate(user_id, erase).await {
        Ok(()) => {}
        Err(DeactivationError::StillInRooms(error)) => {
            tracing::warn!(%error, "a deactivated user could not be taken out of a room");
        }
        Err(DeactivationError::User(error)) => return Err(error.into()),
    }
    Ok(())
}

/// `GET /_synapse/admin/v1/users/{userId}/admin`
async fn is_admin(
    State(api): State<AdminApi>,
    _administrator: Administrator,
    Path(user_id): Path<OwnedUserId>,
) -> Result<Json<Value>, ApiError> {
    Ok(Json(
        json!({ "admin": find(&api.accounts, &user_id).await?.is_admin }),
    ))
}

#[derive(Deserialize)]
struct AdminBody {
    admin: bool,
}

/// `PUT /_synapse/admin/v1/users/{userId}/admin`
async fn set_admin(
    State(api): State<AdminApi>,
    administrator: Administrator,
    Path(user_id): Path<OwnedUserId>,
    JsonBody(body): JsonBody<AdminBody>,
) -> Result<Json<Value>, ApiError> {
    if administrator.user_id() == user_id && !body.admin {
        return Err(ApiError::invalid_param(
            "You cannot take your own administration rights away.",
        ));
    }
    api.accounts
        .mark_user(&user_id, UserMark::Admin, body.admin)
        .await?;
    Ok(Json(json!({})))
}

#[derive(Deserialize)]
struct DeactivateBody {
    erase: Option<bool>,
}

/// `POST /_synapse/admin/v1/deactivate/{userId}`
async fn deactivate(
    State(api): State<AdminApi>,
    _administrator: Administrator,
    Path(user_id): Path<OwnedUserId>,
    OptionalJsonBody(body): OptionalJsonBody<DeactivateBody>,
) -> Result<Json<Value>, ApiError> {
    close_account(&api, &user_id, body.erase.unwrap_or(false)).await?;
    Ok(Json(json!({ "id_server_unbind_result": "success" })))
}

#[derive(Deserialize)]
struct ResetBody {
    new_password: Secret,
    logout_devices: Option<bool>,
}

/// `POST /_synapse/admin/v1/reset_password/{userId}`
async fn reset_password(
    State(api): State<AdminApi>,
    _administrator: Administrator,
    Path(user_id): Path<OwnedUserId>,
    JsonBody(body): JsonBody<ResetBody>,
) -> Result<Json<Value>, ApiError> {
    let (accounts, password) = (&api.accounts, &body.new_password);
    if body.logout_devices.unwrap_or(true) {
        accounts
            .set_password_and_log_out(&user_id, password, None)
            .await?;
    } else {
        accounts.set_password(&user_id, password).await?;
    }
    Ok(Json(json!({})))
}

#[derive(Deserialize)]
struct SuspendBody {
    suspend: bool,
}

/// `PUT /_synapse/admin/v1/suspend/{userId}`
async fn suspend(
    State(api): State<AdminApi>,
    _administrator: Administrator,
    Path(user_id): Path<OwnedUserId>,
    JsonBody(body): JsonBody<SuspendBody>,
) -> Result<Json<Value>, ApiError> {
    api.accounts
        .mark_user(&user_id, UserMark::Suspended, body.suspend)
        .await?;
    Ok(Json(json!({ format!("user_{user_id}_suspended"): body.suspend })))
}

#[derive(Deserialize)]
struct UsernameQuery {
    username: String,
}

/// `GET /_synapse/admin/v1/username_available`
async fn username_available(
    State(api): State<AdminApi>,
    _administrator: Administrator,
    Query(query): Query<UsernameQuery>,
) -> Result<Json<Value>, ApiError> {
    api.accounts.check_username(&query.username).await?;
    Ok(Json(json!({ "available": true })))
}

pub(crate) fn require_local(accounts: &Accounts, user_id: &OwnedUserId) -> Result<(), ApiError> {
    if accounts.is_local(user_id) {
        Ok(())
    } else {
        Err(ApiError::invalid_param("This is a user of another server."))
    }
}

pub(crate) async fn find(accounts: &Accounts, user_id: &OwnedUserId) -> Result<User, ApiError> {
    require_local(accounts, user_id)?;
    let user = accounts.user(user_id).await?;
    user.ok_or_else(|| ApiError::not_found("There is no such user."))
}

async fn describe(accounts: &Accounts, user_id: &OwnedUserId) -> Result<Value, ApiError> {
    let user = find(accounts, user_id).await?;
    let profile = accounts.profile(user_id).await?.unwrap_or_default();
    let mut body = encode(&user, &profile);
    if let Some(body) = body.as_object_mut() {
        body.insert("threepids".to_owned(), json!([]));
        body.insert("external_ids".to_owned(), json!([]));
    }
    Ok(body)
}

fn encode(user: &User, profile: &Profile) -> Value {
    json!({
        "name": user.user_id,
        "displayname": profile.displayname(),
        "avatar_url": profile.avatar_url(),
        "admin": user.is_admin,
        "is_guest": user.is_guest,
        "deactivated": user.is_deactivated,
        "locked": user.is_locked,
        "suspended": user.is_suspended,
        "shadow_banned": false,
        "erased": false,
        "approved": true,
        "user_type": null,
        "creation_ts": user.created_ms,
    })
}
