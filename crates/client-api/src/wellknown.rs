//! What others need to find this server by its name. Under `/.well-known/matrix`.

use axum::{Json, Router, extract::State, routing::get};
use gatehouse_http::ApiError;
use serde_json::{Map, Value, json};

use crate::ClientApi;

pub(crate) fn routes() -> Router<ClientApi> {
    Router::new()
        .route("/client", get(get_wellknown))
        .route("/server", get(get_wellknown_server))
        .route("/support", get(get_wellknown_support))
}

/// `GET /.well-known/matrix/client`
async fn get_wellknown(State(api): State<ClientApi>) -> Json<Value> {
    let mut body = json!({ "m.homeserver": { "base_url": api.config.public_baseurl } });
    if let (Some(identity_server), Some(body)) = (&api.config.identity_server, body.as_object_mut()) {
        body.insert(
            "m.identity_server".to_owned(),
            json!({ "base_url": identity_server }),
        );
    }
    Json(body)
}

/// `GET /.well-known/matrix/server`
async fn get_wellknown_server(State(api): State<ClientApi>) -> Result<Json<Value>, ApiError> {
    match &api.config.federation_address {
        Some(address) => Ok(Json(json!({ "m.server": address }))),
        None => Err(ApiError::not_found(
            "This server names no other address for servers.",
        )),
    }
}

/// `GET /.well-known/matrix/support`
async fn get_wellknown_support(State(api): State<ClientApi>) -> Result<Json<Value>, ApiError> {
    let support = &api.config.support;
    let mut body = Map::new();
    if !support.contacts.is_empty() {
        body.insert("contacts".to_owned(), json!(support.contacts));
    }
    if let Some(page) = &support.page {
        body.insert("support_page".to_owned(), json!(page));
    }
    if body.is_empty() {
        return Err(ApiError::not_found(
            "The operator of this server has named no contact.",
        ));
    }
    Ok(Json(Value::Object(body)))
}
