//! Sending events that are not state.

use axum::{
    Json, Router,
    extract::State,
    routing::{post, put},
};
use gatehouse_http::{ApiError, JsonText, Path, Requester};
use gatehouse_rooms::{Transaction, send::Message};
use ruma::OwnedRoomId;
use serde_json::{Value, json};

use crate::{ClientApi, body, errors, limits};

pub(crate) fn routes() -> Router<ClientApi> {
    Router::new()
        .route("/rooms/{room_id}/send/{event_type}/{txn_id}", put(send_message))
        .route("/rooms/{room_id}/send/{event_type}", post(send_message_once_more))
}

/// The longest transaction id, in bytes: as long as any other id.
const MAX_TRANSACTION_ID_BYTES: usize = 255;

/// `PUT /_matrix/client/v3/rooms/{roomId}/send/{eventType}/{txnId}`
async fn send_message(
    State(api): State<ClientApi>,
    requester: Requester,
    Path((room_id, kind, txn_id)): Path<(OwnedRoomId, String, String)>,
    JsonText(text): JsonText,
) -> Result<Json<Value>, ApiError> {
    requester.refuse_suspended()?;
    let transaction = transaction(&requester, format!("send/{room_id}/{kind}"), txn_id)?;
    send(&api, &requester, &room_id, kind, &text, Some(transaction)).await
}

/// `POST /_matrix/client/api/v1/rooms/{roomId}/send/{eventType}`: without a transaction id, so that each request sends
/// an event. From 2015, but served by all homeservers under today's prefixes as well.
async fn send_message_once_more(
    State(api): State<ClientApi>,
    requester: Requester,
    Path((room_id, kind)): Path<(OwnedRoomId, String)>,
    JsonText(text): JsonText,
) -> Result<Json<Value>, ApiError> {
    requester.refuse_suspended()?;
    send(&api, &requester, &room_id, kind, &text, None).await
}

async fn send(
    api: &ClientApi,
    requester: &Requester,
    room_id: &ruma::RoomId,
    kind: String,
    body: &[u8],
    transaction: Option<Transaction>,
) -> Result<Json<Value>, ApiError> {
    let message = Message {
        kind,
        content: body::content(body)?,
        transaction,
    };
    body::refuse_circle(room_id, &message.kind, &message.content)?;
    limits::message(api, requester)?;
    let sent = api.rooms.send(&requester.user_id, room_id, &message).await;
    Ok(Json(json!({ "event_id": sent.map_err(errors::write_within)? })))
}

/// A client's own id for a request. Each device has its own, and each path; the prefix of the path does not matter,
/// so that a client may repeat by today's path what it sent by an older one.
pub(crate) fn transaction(requester: &Requester, scope: String, id: String) -> Result<Transaction, ApiError> {
    if id.len() > MAX_TRANSACTION_ID_BYTES {
        return Err(ApiError::invalid_param(
            "The transaction id is too long: 255 bytes at most.",
        ));
    }
    Ok(Transaction {
        device_id: requester.device_id.clone(),
        id,
        scope,
    })
}
