//! What this server can do for a user.

use axum::{Json, Router, extract::State, routing::get};
use gatehouse_http::Requester;
use gatehouse_mail::Medium;
use serde_json::{Map, Value, json};

use crate::ClientApi;

/// Rooms of all these can be made and joined.
const ROOM_VERSIONS: [&str; 12] = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12"];

pub(crate) fn routes() -> Router<ClientApi> {
    Router::new().route("/capabilities", get(get_capabilities))
}

/// `GET /_matrix/client/v3/capabilities`
async fn get_capabilities(State(api): State<ClientApi>, requester: Requester) -> Json<Value> {
    let available: Map<String, Value> = ROOM_VERSIONS
        .into_iter()
        .map(|version| (version.to_owned(), json!("stable")))
        .collect();
    let media = [Medium::Email, Medium::Msisdn];
    let can_add = media.into_iter().any(|medium| api.accounts.can_validate(medium));
    let enabled = |enabled: bool| json!({ "enabled": enabled });
    let mut capabilities = json!({
        "m.change_password": enabled(!requester.is_guest),
        "m.set_displayname": enabled(true),
        "m.set_avatar_url": enabled(true),
        "m.3pid_changes": enabled(!requester.is_guest && can_add),
        "m.get_login_token": enabled(false),
        "m.profile_fields": enabled(true),
        "m.room_versions": {
            "default": api.config.default_room_version,
            "available": available,
        },
    });
    if requester.is_admin
        && let Some(capabilities) = capabilities.as_object_mut()
    {
        let moderation = json!({ "suspend": true, "lock": true });
        capabilities.insert("m.account_moderation".to_owned(), moderation);
    }
    Json(json!({ "capabilities": capabilities }))
}
