//! Joining rooms.

use axum::{Json, Router, extract::State, routing::post};
use gatehouse_events::json::canonical_object;
use gatehouse_http::{ApiError, EVENT_BODY, JsonObject, Path, RawQuery, Requester, body::json_input};
use gatehouse_rooms::{Join, MembershipRequest, SignedBlock};
use ruma::OwnedServerName;
use serde_json::{Map, Value, json};

use crate::{ClientApi, body, errors, limits, room_upgrades};

pub(crate) fn routes() -> Router<ClientApi> {
    Router::new()
        .route("/join/{room_id_or_alias}", post(join_room))
        .route("/rooms/{room_id}/join", post(join_room_by_id))
}

/// `POST /_matrix/client/v3/join/{roomIdOrAlias}`
pub(crate) async fn join_room(
    State(api): State<ClientApi>,
    requester: Requester,
    Path(room): Path<String>,
    query: RawQuery,
    JsonObject(body): JsonObject<EVENT_BODY>,
) -> Result<Json<Value>, ApiError> {
    join(&api, &requester, &room, body::via(&query), body).await
}

/// `POST /_matrix/client/v3/rooms/{roomId}/join`. An alias will do here, too, as it did in 2015.
pub(crate) async fn join_room_by_id(
    State(api): State<ClientApi>,
    requester: Requester,
    Path(room): Path<String>,
    JsonObject(body): JsonObject<EVENT_BODY>,
) -> Result<Json<Value>, ApiError> {
    join(&api, &requester, &room, Vec::new(), body).await
}

async fn join(
    api: &ClientApi,
    requester: &Requester,
    room: &str,
    mut via: Vec<OwnedServerName>,
    mut body: Map<String, Value>,
) -> Result<Json<Value>, ApiError> {
    requester.refuse_suspended()?;
    let (room_id, servers) = body::room(api, room).await?;
    limits::join(api, requester, &room_id).await?;
    via.extend(servers);
    let third_party_signed = third_party_signed(&mut body)?;
    let join = Join {
        request: request(body)?,
        is_guest: requester.is_guest,
        via,
        third_party_signed,
    };
    let joined = api.rooms.join(&requester.user_id, &room_id, &join).await;
    joined.map_err(errors::write)?;
    room_upgrades::follow(api, &requester.user_id, &room_id).await;
    Ok(Json(json!({ "room_id": room_id })))
}

/// What an identity server signed for a user who was invited by address (`third_party_signed`).
fn third_party_signed(body: &mut Map<String, Value>) -> Result<Option<SignedBlock>, ApiError> {
    let block = match body.remove("third_party_signed") {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Object(block)) => canonical_object(block).map_err(json_input)?,
        Some(_) => return Err(ApiError::bad_json("`third_party_signed` must be an object.")),
    };
    SignedBlock::read(block)
        .map(Some)
        .ok_or_else(|| ApiError::bad_json("`third_party_signed` needs `mxid`, `token` and `signatures`."))
}

/// What the body says of the join. Clients may put further fields into their membership here as well as by setting
/// the state.
fn request(mut body: Map<String, Value>) -> Result<MembershipRequest, ApiError> {
    let reason = match body.remove("reason") {
        None | Some(Value::Null) => None,
        Some(Value::String(reason)) => Some(reason),
        Some(_) => return Err(ApiError::bad_json("The `reason` must be a string.")),
    };
    let content = canonical_object(body).map_err(json_input)?;
    Ok(MembershipRequest { reason, content })
}
