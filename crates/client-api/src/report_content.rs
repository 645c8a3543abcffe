//! Telling the administrators of the server about events, rooms and users.

use axum::{Json, Router, extract::State, routing::post};
use gatehouse_http::{ApiError, JsonBody, Path, Requester};
use gatehouse_rooms::report::{MAX_REASON_BYTES, Reported};
use ruma::{OwnedEventId, OwnedRoomId, OwnedUserId};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{ClientApi, errors, limits, paging};

pub(crate) fn routes() -> Router<ClientApi> {
    Router::new()
        .route("/rooms/{room_id}/report", post(report_room))
        .route("/rooms/{room_id}/report/{event_id}", post(report_event))
        .route("/users/{user_id}/report", post(report_user))
}

#[derive(Deserialize)]
struct Report {
    reason: String,
}

#[derive(Deserialize)]
struct EventReport {
    reason: Option<String>,
    /// From -100, most offensive, to 0. Taken out in 1.18, but sent.
    score: Option<i64>,
}

/// `POST /_matrix/client/v3/rooms/{roomId}/report`
async fn report_room(
    State(api): State<ClientApi>,
    requester: Requester,
    Path(room_id): Path<OwnedRoomId>,
    JsonBody(body): JsonBody<Report>,
) -> Result<Json<Value>, ApiError> {
    // Nobody learns by this whether a room exists (specification 1.18).
    let exists = api.rooms.head(&room_id).await?.is_some();
    report(&api, &requester, Reported::Room(room_id), &body.reason, exists).await
}

/// `POST /_matrix/client/v3/rooms/{roomId}/report/{eventId}`
async fn report_event(
    State(api): State<ClientApi>,
    requester: Requester,
    Path((room_id, event_id)): Path<(OwnedRoomId, OwnedEventId)>,
    JsonBody(body): JsonBody<EventReport>,
) -> Result<Json<Value>, ApiError> {
    let head = api.rooms.head(&room_id).await?;
    if !head.is_some_and(|head| head.is_joined(&requester.user_id)) {
        let message = "There is no such event in a room that you are in.";
        return Err(ApiError::not_found(message));
    }
    let viewer = paging::viewer(&requester);
    let seen = api.rooms.one_event(viewer, &room_id, &event_id).await;
    seen.map_err(errors::read)?;
    let reported = Reported::Event {
        room_id,
        event_id,
        score: body.score.filter(|score| (-100..=0).contains(score)),
    };
    let reason = body.reason.unwrap_or_default();
    report(&api, &requester, reported, &reason, true).await
}

/// `POST /_matrix/client/v3/users/{userId}/report`
async fn report_user(
    State(api): State<ClientApi>,
    requester: Requester,
    Path(user_id): Path<OwnedUserId>,
    JsonBody(body): JsonBody<Report>,
) -> Result<Json<Value>, ApiError> {
    // Nor whether a user does.
    let exists = !api.accounts.is_local(&user_id) || api.accounts.profile(&user_id).await?.is_some();
    report(&api, &requester, Reported::User(user_id), &body.reason, exists).await
}

async fn report(
    api: &ClientApi,
    requester: &Requester,
    reported: Reported,
    reason: &str,
    exists: bool,
) -> Result<Json<Value>, ApiError> {
    limits::message(api, requester)?;
    if reason.len() > MAX_REASON_BYTES {
        return Err(ApiError::too_large(
            "The reason is too long: 2,000 bytes at most.",
        ));
    }
    if exists {
        let kept = api.rooms.report(&requester.user_id, reported, reason).await;
        kept.map_err(errors::write)?;
    }
    Ok(Json(json!({})))
}
