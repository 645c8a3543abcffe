//! Syncing.

use std::time::Duration;

use axum::{Json, Router, extract::State, routing::get};
use gatehouse_http::{ApiError, Query, Requester};
use gatehouse_sync::{Filter, Request, Response, StateForm};
use serde::Deserialize;

use crate::{ClientApi, errors, paging};

pub(crate) fn routes() -> Router<ClientApi> {
    Router::new().route("/sync", get(sync))
}

#[derive(Debug, Deserialize)]
struct SyncQuery {
    filter: Option<String>,
    since: Option<String>,
    full_state: Option<bool>,
    #[serde(rename = "set_presence")]
    _set_presence: Option<String>,
    timeout: Option<u64>,
    use_state_after: Option<bool>,
}

/// `GET /_matrix/client/v3/sync`
async fn sync(
    State(api): State<ClientApi>,
    requester: Requester,
    Query(query): Query<SyncQuery>,
) -> Result<Json<Response>, ApiError> {
    let request = Request {
        user: requester.user_id.clone(),
        device: requester.device_id.clone(),
        since: paging::token(query.since.as_deref())?,
        filter: Box::new(filter(&api, &requester, query.filter).await?),
        timeout: Duration::from_millis(query.timeout.unwrap_or(0)),
        full_state: query.full_state.unwrap_or(false),
        state_form: if query.use_state_after.unwrap_or(false) {
            StateForm::After
        } else {
            StateForm::Before
        },
    };
    tokio::select! {
        answer = api.sync.sync(&request) => answer.map(Json).map_err(errors::sync),
        // Logging out, or a new password, ends what waits with the old token.
        () = requester.ended() => Err(ApiError::unknown_token("This session has ended. Log in again.")),
    }
}

/// A filter: JSON when it begins with a brace, or else the id of one that the user has stored.
async fn filter(api: &ClientApi, requester: &Requester, text: Option<String>) -> Result<Filter, ApiError> {
    match text.as_deref() {
        None | Some("") => Ok(Filter::default()),
        Some(text) if text.starts_with('{') => {
            Filter::parse(text).map_err(|error| ApiError::invalid_param(error.to_string()))
        }
        Some(id) => api
            .sync
            .stored_filter(&requester.user_id, id)
            .await
            .map_err(errors::sync),
    }
}
