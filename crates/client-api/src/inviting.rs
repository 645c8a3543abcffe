//! Inviting users to rooms: by user id, or by an address of theirs.

use axum::{Json, Router, extract::State, routing::post};
use gatehouse_http::{ApiError, EVENT_BODY, JsonObject, Path, Requester};
use gatehouse_rooms::{MembershipRequest, Refusal};
use http::StatusCode;
use ruma::{OwnedRoomId, RoomId, events::room::member::MembershipState};
use serde_json::{Map, Value, json};

use crate::{ClientApi, body::Target, errors, limits, uia::typed};

pub(crate) fn routes() -> Router<ClientApi> {
    Router::new().route("/rooms/{room_id}/invite", post(invite))
}

/// Fields that tell the form with an address from the one with a user id.
const ADDRESS_FIELDS: [&str; 3] = ["id_server", "medium", "address"];

/// `POST /_matrix/client/v3/rooms/{roomId}/invite`: one path for two operations, which the fields of the body tell
/// apart.
pub(crate) async fn invite(
    State(api): State<ClientApi>,
    requester: Requester,
    Path(room_id): Path<OwnedRoomId>,
    JsonObject(body): JsonObject<EVENT_BODY>,
) -> Result<Json<Value>, ApiError> {
    requester.refuse_guest()?;
    requester.refuse_suspended()?;
    let by_address = ADDRESS_FIELDS.iter().any(|field| body.contains_key(*field));
    if body.contains_key("user_id") {
        invite_user(&api, &requester, &room_id, &body).await?;
    } else if by_address {
        invite_by_3pid(&api, &requester, &room_id, &body).await?;
    } else {
        return Err(ApiError::missing_param("The field `user_id` is missing."));
    }
    Ok(Json(json!({})))
}

/// `inviteUser`
async fn invite_user(
    api: &ClientApi,
    requester: &Requester,
    room_id: &RoomId,
    body: &Map<String, Value>,
) -> Result<(), ApiError> {
    let body: Target = typed(body)?;
    let target = body.user_id()?;
    limits::invite(api, requester, room_id, &target)?;
    let request = MembershipRequest::because(body.reason);
    let invited = api
        .rooms
        .invite(&requester.user_id, &target, room_id, &request)
        .await;
    invited.map_err(errors::write_within)?;
    Ok(())
}

/// `inviteBy3PID`. Whoever could not invite at all is told so. Others are told that this server trusts no identity
/// server, whichever they named: it asks none, so it can neither find the owner of an address nor have them told.
async fn invite_by_3pid(
    api: &ClientApi,
    requester: &Requester,
    room_id: &RoomId,
    body: &Map<String, Value>,
) -> Result<(), ApiError> {
    require_address(body)?;
    let head = api.rooms.head(room_id).await?;
    let sender = &requester.user_id;
    match head.as_ref().map(|head| (head, head.membership(sender))) {
        Some((head, MembershipState::Join)) => {
            let levels = head.power_levels();
            let (needed, has) = (levels.invite, levels.of_user(sender));
            if has < needed {
                let refusal = Refusal::PowerTooLow {
                    to: "invite",
                    needed,
                    has,
                };
                return Err(errors::write(refusal.into()));
            }
        }
        Some((_, MembershipState::Ban)) => return Err(errors::write(Refusal::Banned.into())),
        Some(_) | None => return Err(errors::write(Refusal::InviterNotInRoom.into())),
    }
    Err(no_identity_server())
}

/// Whether the body has what an invite by address needs.
fn require_address(body: &Map<String, Value>) -> Result<(), ApiError> {
    for field in ADDRESS_FIELDS {
        match body.get(field) {
            Some(Value::String(_)) => {}
            Some(_) => {
                return Err(ApiError::bad_json(format!(
                    "The field `{field}` must be a string."
                )));
            }
            None => {
                return Err(ApiError::missing_param(format!(
                    "The field `{field}` is missing."
                )));
            }
        }
    }
    Ok(())
}

/// Why nobody can be invited by an address: this server trusts no identity server, whichever is named.
pub(crate) fn no_identity_server() -> ApiError {
    let message = "This server does not work with identity servers yet, so it can invite by user id only.";
    ApiError::new(StatusCode::FORBIDDEN, "M_SERVER_NOT_TRUSTED", message)
}
