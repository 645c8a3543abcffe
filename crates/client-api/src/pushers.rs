//! Pushers: where clients want to be told of events. They are kept; nothing is sent yet.

use axum::{
    Json, Router,
    extract::State,
    routing::{get, post},
};
use gatehouse_accounts::{Pusher, PusherKind};
use gatehouse_http::{ApiError, JsonObject, Requester};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{ClientApi, uia::typed};

pub(crate) fn routes() -> Router<ClientApi> {
    Router::new()
        .route("/pushers", get(get_pushers))
        .route("/pushers/set", post(post_pusher))
}

/// `GET /_matrix/client/v3/pushers`
async fn get_pushers(State(api): State<ClientApi>, requester: Requester) -> Result<Json<Value>, ApiError> {
    requester.refuse_guest()?;
    let pushers = api.accounts.pushers(&requester.user_id).await;
    Ok(Json(json!({ "pushers": pushers? })))
}

#[derive(Deserialize)]
struct PusherBody {
    app_id: Option<String>,
    pushkey: Option<String>,
    kind: Option<String>,
    app_display_name: Option<String>,
    device_display_name: Option<String>,
    profile_tag: Option<String>,
    lang: Option<String>,
    data: Option<Map<String, Value>>,
    append: Option<bool>,
}

/// `POST /_matrix/client/v3/pushers/set`
async fn post_pusher(
    State(api): State<ClientApi>,
    requester: Requester,
    JsonObject(body): JsonObject,
) -> Result<Json<Value>, ApiError> {
    requester.refuse_guest()?;
    if !body.contains_key("kind") {
        return Err(missing(&["kind"]));
    }
    let meaning: PusherBody = typed(&body)?;
    match meaning.kind.as_deref() {
        None => {
            let (Some(app_id), Some(pushkey)) = (&meaning.app_id, &meaning.pushkey) else {
                return Err(missing(&meaning.missing_of_key()));
            };
            let user_id = &requester.user_id;
            api.accounts.delete_pusher(user_id, app_id, pushkey).await?;
        }
        Some("http") => {
            let append = meaning.append.unwrap_or(false);
            let pusher = meaning.pusher()?;
            api.accounts.set_pusher(&requester, &pusher, append).await?;
        }
        Some("email") => {
            return Err(ApiError::invalid_param(
                "This server sends no notifications by mail. Use a pusher of the kind `http`.",
            ));
        }
        Some(_) => {
            return Err(ApiError::invalid_param(
                "The `kind` of a pusher is `http`, or null to delete it.",
            ));
        }
    }
    Ok(Json(json!({})))
}

impl PusherBody {
    fn missing_of_key(&self) -> Vec<&'static str> {
        let fields = [("app_id", &self.app_id), ("pushkey", &self.pushkey)];
        absent(&fields).collect()
    }

    fn pusher(self) -> Result<Pusher, ApiError> {
        let mut lacking = self.missing_of_key();
        lacking.extend(absent(&[
            ("app_display_name", &self.app_display_name),
            ("device_display_name", &self.device_display_name),
            ("lang", &self.lang),
        ]));
        if self.data.is_none() {
            lacking.push("data");
        }
        let whole = move || {
            Some(Pusher {
                app_id: self.app_id?,
                pushkey: self.pushkey?,
                kind: PusherKind::Http,
                app_display_name: self.app_display_name?,
                device_display_name: self.device_display_name?,
                profile_tag: self.profile_tag,
                lang: self.lang?,
                data: self.data?,
            })
        };
        whole().ok_or_else(|| missing(&lacking))
    }
}

fn absent<'a>(fields: &'a [(&'static str, &'a Option<String>)]) -> impl Iterator<Item = &'static str> + 'a {
    let absent = fields.iter().filter(|(_, value)| value.is_none());
    absent.map(|(name, _)| *name)
}

fn missing(fields: &[&str]) -> ApiError {
    ApiError::missing_param(format!(
        "A pusher needs what is missing here: `{}`.",
        fields.join("`, `")
    ))
}
