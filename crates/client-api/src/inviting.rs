//! Inviting users to rooms: by user id, or by an address of theirs.

use axum::{Json, Router, extract::State, routing::post};
use gatehouse_accounts::Secret;
use gatehouse_http::{ApiError, EVENT_BODY, JsonObject, Path, Requester};
use gatehouse_mail::Threepid;
use gatehouse_rooms::{AddressInvite, MembershipRequest, Refusal, WriteError};
use ruma::{OwnedRoomId, RoomId};
use serde::Deserialize;
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

/// `inviteBy3PID`. Clients of 2015 give a `display_name`, which is the identity server's to choose, and no
/// `id_access_token`; it must work without.
async fn invite_by_3pid(
    api: &ClientApi,
    requester: &Requester,
    room_id: &RoomId,
    body: &Map<String, Value>,
) -> Result<(), ApiError> {
    require_address(body)?;
    let invite = address_invite(&typed(body)?)?;
    let sender = &requester.user_id;
    // First, so that nobody uses up what others may do in their rooms.
    let may = api.rooms.expect_may_invite_addresses(sender, room_id).await;
    may.map_err(not_inviting)?;
    limits::invite_by_address(api, requester, room_id, &invite.address)?;
    let invited = api.rooms.invite_by_address(sender, room_id, &invite).await;
    invited.map_err(not_inviting)
}

/// Who is not in a room is told the same whether it exists or not.
fn not_inviting(error: WriteError) -> ApiError {
    match error {
        WriteError::NoSuchRoom => errors::write(Refusal::InviterNotInRoom.into()),
        error => errors::write(error),
    }
}

/// An address to invite, as clients name it.
#[derive(Deserialize)]
pub(crate) struct Invite3pid {
    id_server: String,
    #[serde(default)]
    id_access_token: Option<Secret>,
    medium: String,
    address: String,
    #[serde(default)]
    reason: Option<String>,
}

/// What the engine is asked.
pub(crate) fn address_invite(invite: &Invite3pid) -> Result<AddressInvite, ApiError> {
    let address = Threepid::parse(&invite.medium, &invite.address)
        .map_err(|error| ApiError::invalid_param(error.to_string()))?;
    Ok(AddressInvite {
        address,
        id_server: invite.id_server.clone(),
        id_access_token: invite.id_access_token.clone(),
        reason: invite.reason.clone(),
    })
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
