//! Redacting events.

use axum::{
    Json, Router,
    extract::State,
    routing::{post, put},
};
use gatehouse_http::{ApiError, JsonText, Path, Requester};
use gatehouse_rooms::{Transaction, WriteError, redact::Redaction};
use ruma::{EventId, OwnedEventId, OwnedRoomId, RoomId};
use serde_json::{Value, json};

use crate::{ClientApi, body, errors, limits, paging, room_send::transaction};

pub(crate) fn routes() -> Router<ClientApi> {
    Router::new()
        .route("/rooms/{room_id}/redact/{event_id}/{txn_id}", put(redact_event))
        .route(
            "/rooms/{room_id}/redact/{event_id}",
            post(redact_without_transaction),
        )
}

/// `PUT /_matrix/client/v3/rooms/{roomId}/redact/{eventId}/{txnId}`
pub(crate) async fn redact_event(
    State(api): State<ClientApi>,
    requester: Requester,
    Path((room_id, event_id, txn_id)): Path<(OwnedRoomId, OwnedEventId, String)>,
    JsonText(text): JsonText,
) -> Result<Json<Value>, ApiError> {
    let transaction = transaction(&requester, format!("redact/{room_id}/{event_id}"), txn_id)?;
    redact(&api, &requester, (&room_id, event_id), &text, Some(transaction)).await
}

/// `POST /_matrix/client/v3/rooms/{roomId}/redact/{eventId}`, as it was done in 2015; old clients still do it under `r0`.
async fn redact_without_transaction(
    State(api): State<ClientApi>,
    requester: Requester,
    Path((room_id, event_id)): Path<(OwnedRoomId, OwnedEventId)>,
    JsonText(text): JsonText,
) -> Result<Json<Value>, ApiError> {
    redact(&api, &requester, (&room_id, event_id), &text, None).await
}

async fn redact(
    api: &ClientApi,
    requester: &Requester,
    (room_id, event_id): (&RoomId, OwnedEventId),
    body: &[u8],
    transaction: Option<Transaction>,
) -> Result<Json<Value>, ApiError> {
    requester.refuse_guest()?;
    let mut content = match body {
        b"" => ruma::CanonicalJsonObject::new(),
        body => body::content(body)?,
    };
    // What is redacted is in the path.
    content.remove("redacts");
    limits::message(api, requester)?;
    refuse_suspended(api, requester, room_id, &event_id).await?;
    let redaction = Redaction {
        event_id,
        content,
        transaction,
    };
    let redacted = api.rooms.redact(&requester.user_id, room_id, &redaction).await;
    Ok(Json(json!({ "event_id": redacted.map_err(refusal)? })))
}

/// An event that is not there cannot be redacted; one of another room is not there (lesson 2).
fn refusal(error: WriteError) -> ApiError {
    match error {
        WriteError::NoSuchEvent => ApiError::invalid_param(error.to_string()),
        error => errors::write_within(error),
    }
}

/// Somebody suspended may still redact what they sent themselves.
async fn refuse_suspended(
    api: &ClientApi,
    requester: &Requester,
    room_id: &RoomId,
    event_id: &EventId,
) -> Result<(), ApiError> {
    if !requester.is_suspended {
        return Ok(());
    }
    let viewer = paging::viewer(requester);
    let target = api.rooms.one_event(viewer, room_id, event_id).await;
    if target.map_err(errors::read)?.event.sender == requester.user_id {
        return Ok(());
    }
    requester.refuse_suspended()
}
