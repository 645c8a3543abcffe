//! Push rules, read only: the specification's defaults, which clients ask for when they start.

use axum::{Json, Router, extract::State, routing::get};
use gatehouse_http::{ApiError, Path, Requester};
use gatehouse_sync::default_push_rules;
use serde_json::{Value, json};

use crate::ClientApi;

pub(crate) fn routes() -> Router<ClientApi> {
    Router::new()
        .route("/pushrules/", get(get_push_rules))
        .route("/pushrules", get(get_push_rules))
        .route("/pushrules/global/", get(get_push_rules_global))
        .route("/pushrules/global/{kind}/{rule_id}", get(get_push_rule))
        .route(
            "/pushrules/global/{kind}/{rule_id}/{attribute}",
            get(get_push_rule_attribute),
        )
}

/// `GET /_matrix/client/v3/pushrules/`
async fn get_push_rules(State(_): State<ClientApi>, requester: Requester) -> Json<Value> {
    Json(json!({"global": default_push_rules(&requester.user_id)}))
}

/// `GET /_matrix/client/v3/pushrules/global/`
async fn get_push_rules_global(State(_): State<ClientApi>, requester: Requester) -> Json<Value> {
    Json(default_push_rules(&requester.user_id))
}

/// `GET /_matrix/client/v3/pushrules/global/{kind}/{ruleId}`
async fn get_push_rule(
    State(_): State<ClientApi>,
    requester: Requester,
    Path((kind, rule_id)): Path<(String, String)>,
) -> Result<Json<Value>, ApiError> {
    rule(&requester, &kind, &rule_id).map(Json)
}

/// `GET /_matrix/client/v3/pushrules/global/{kind}/{ruleId}/enabled` and `…/actions`
async fn get_push_rule_attribute(
    State(_): State<ClientApi>,
    requester: Requester,
    Path((kind, rule_id, attribute)): Path<(String, String, String)>,
) -> Result<Json<Value>, ApiError> {
    let rule = rule(&requester, &kind, &rule_id)?;
    match rule.get(&attribute) {
        Some(value) if matches!(attribute.as_str(), "enabled" | "actions") => {
            Ok(Json(json!({ attribute: value })))
        }
        _ => Err(ApiError::unrecognized("A push rule has `enabled` and `actions`.")),
    }
}

fn rule(requester: &Requester, kind: &str, rule_id: &str) -> Result<Value, ApiError> {
    let rules = default_push_rules(&requester.user_id);
    rules
        .get(kind)
        .and_then(Value::as_array)
        .and_then(|rules| {
            rules
                .iter()
                .find(|rule| rule.get("rule_id").and_then(Value::as_str) == Some(rule_id))
        })
        .cloned()
        .ok_or_else(|| ApiError::not_found("There is no push rule of this kind with this id."))
}
