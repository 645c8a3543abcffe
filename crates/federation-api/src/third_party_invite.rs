//! Invitations by address: what identity servers tell, and what other servers hand in.

use axum::{Json, Router, extract::State, routing::put};
use gatehouse_events::json::canonical_object;
use gatehouse_http::{ApiError, ClientAddress, EVENT_BODY, JsonObject, Limit, Path, body::json_input};
use gatehouse_rooms::{BoundAddress, BoundOutcome};
use ruma::OwnedRoomId;
use serde_json::{Value, json};

use crate::{
    FederationApi, errors,
    signed::{PDU_BODY, Signed},
};

pub(crate) fn routes() -> Router<FederationApi> {
    Router::new()
        // The specification says PUT; identity servers in the field POST.
        .route(
            "/3pid/onbind",
            put(on_bind_third_party_identifier).post(on_bind_third_party_identifier),
        )
        .route(
            "/exchange_third_party_invite/{room_id}",
            put(exchange_third_party_invite),
        )
}

/// `PUT /_matrix/federation/v1/3pid/onbind`. Nobody signs it: what it says is checked against the rooms. Whatever is
/// wrong with it, the answer is the same (security.md T18).
async fn on_bind_third_party_identifier(
    State(api): State<FederationApi>,
    address: ClientAddress,
    JsonObject(body): JsonObject<EVENT_BODY>,
) -> Result<Json<Value>, ApiError> {
    let rate_limits = &api.http.rate_limits;
    rate_limits.check(Limit::Federation, &address.0.to_string())?;
    let body = canonical_object(body).map_err(json_input)?;
    let bound = BoundAddress::read(&body).ok_or_else(|| {
        ApiError::invalid_param(
            "The body needs a `mxid` and at most 100 `invites`, each with `room_id`, `sender` and `signed`.",
        )
    })?;
    match api.rooms.accept_bound(&bound).await.map_err(errors::exchange)? {
        BoundOutcome::AllAccepted => Ok(Json(json!({}))),
        BoundOutcome::SomeRefused => Err(ApiError::forbidden("Not all of these invitations were accepted.")),
    }
}

/// `PUT /_matrix/federation/v1/exchange_third_party_invite/{roomId}`
async fn exchange_third_party_invite(
    State(api): State<FederationApi>,
    Path(room_id): Path<OwnedRoomId>,
    signed: Signed<PDU_BODY>,
) -> Result<Json<Value>, ApiError> {
    let event = canonical_object(signed.json()?).map_err(json_input)?;
    let exchanged = api
        .rooms
        .exchange_third_party_invite(&signed.origin, &room_id, &event)
        .await;
    exchanged.map_err(errors::exchange)?;
    Ok(Json(json!({})))
}
