//! Making rooms.

use axum::{Json, Router, extract::State, routing::post};
use gatehouse_directory::{AliasError, local_alias};
use gatehouse_events::{RoomVersion, json::canonical_object};
use gatehouse_http::{ApiError, EVENT_BODY, JsonBody, Requester, body::json_input};
use gatehouse_rooms::{
    AddressInvite, WriteError,
    create::{CreateRoom, Preset},
    membership::invite::Directness,
    send::StateUpdate,
};
use gatehouse_store::Batch;
use http::StatusCode;
use ruma::{CanonicalJsonObject, OwnedRoomAliasId, OwnedRoomId, OwnedUserId, RoomId};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{
    ClientApi, body, errors,
    inviting::{Invite3pid, address_invite},
    limits,
};

/// Today's path.
pub(crate) fn routes() -> Router<ClientApi> {
    Router::new().route("/createRoom", post(create_room))
}

/// The older paths: their clients cannot parse the room ids of version 12, and get an older version unless they ask.
pub(crate) fn legacy_routes() -> Router<ClientApi> {
    Router::new().route("/createRoom", post(create_legacy_room))
}

#[derive(Deserialize)]
pub(crate) struct Body {
    visibility: Option<Visibility>,
    room_alias_name: Option<String>,
    name: Option<String>,
    topic: Option<String>,
    invite: Option<Vec<String>>,
    invite_3pid: Option<Vec<Invite3pid>>,
    room_version: Option<String>,
    creation_content: Option<Map<String, Value>>,
    initial_state: Option<Vec<InitialState>>,
    preset: Option<PresetName>,
    is_direct: Option<bool>,
    power_level_content_override: Option<Map<String, Value>>,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Visibility {
    Public,
    Private,
}

#[derive(Deserialize, Clone, Copy)]
enum PresetName {
    #[serde(rename = "private_chat")]
    Private,
    #[serde(rename = "trusted_private_chat")]
    Trusted,
    #[serde(rename = "public_chat")]
    Public,
}

#[derive(Deserialize)]
struct InitialState {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    state_key: String,
    content: Map<String, Value>,
}

/// `POST /_matrix/client/v3/createRoom`
async fn create_room(
    State(api): State<ClientApi>,
    requester: Requester,
    JsonBody(body): JsonBody<Body, EVENT_BODY>,
) -> Result<Json<Value>, ApiError> {
    let version = api.rooms.config().default_version;
    let room_id = create(&api, &requester, body, version).await?;
    Ok(Json(json!({ "room_id": room_id })))
}

/// `POST /_matrix/client/r0/createRoom`, and the legacy v1's.
pub(crate) async fn create_legacy_room(
    State(api): State<ClientApi>,
    requester: Requester,
    JsonBody(body): JsonBody<Body, EVENT_BODY>,
) -> Result<Json<Value>, ApiError> {
    let version = api.rooms.config().legacy_default_version;
    let room_id = create(&api, &requester, body, version).await?;
    Ok(Json(json!({ "room_id": room_id })))
}

/// Makes the room with everything that is asked for, or nothing of it.
async fn create(
    api: &ClientApi,
    requester: &Requester,
    body: Body,
    default_version: RoomVersion,
) -> Result<OwnedRoomId, ApiError> {
    requester.refuse_guest()?;
    requester.refuse_suspended()?;
    let published = body.visibility == Some(Visibility::Public);
    if published {
        refuse_publishing(api, requester)?;
    }
    let request = request(api, body, default_version)?;
    if let Some(alias) = &request.alias {
        check_free(api, alias).await?;
    }
    limits::message(api, requester)?;
    limits::invites_of_new_room(api, requester, &request.invite)?;
    limits::address_invites_of_new_room(api, requester, &request.invite_3pid)?;
    let creator = &requester.user_id;
    let hook = |room_id: &RoomId, batch: &mut Batch| {
        if let Some(alias) = &request.alias {
            api.directory.claim(batch, alias, room_id, creator);
        }
        if published {
            api.directory.publish(batch, room_id);
        }
    };
    let created = api.rooms.create(creator, &request, Some(&hook)).await;
    if let (Err(WriteError::Contended), Some(alias)) = (&created, &request.alias) {
        // Somebody may have taken the alias meanwhile.
        check_free(api, alias).await?;
    }
    created.map_err(errors::write)
}

/// Refuses those who may not put rooms on this server's list.
fn refuse_publishing(api: &ClientApi, requester: &Requester) -> Result<(), ApiError> {
    if requester.is_admin || api.directory.anyone_may_publish() {
        return Ok(());
    }
    Err(ApiError::forbidden(
        "Only server administrators can publish rooms on this server. Make the room `private`.",
    ))
}

async fn check_free(api: &ClientApi, alias: &OwnedRoomAliasId) -> Result<(), ApiError> {
    let free = api.directory.check_free(alias).await;
    free.map_err(|error| match error {
        AliasError::InUse => {
            let message = "This alias is taken. Choose another `room_alias_name`.";
            ApiError::new(StatusCode::BAD_REQUEST, "M_ROOM_IN_USE", message)
        }
        error => errors::alias(error),
    })
}

/// What the body asks for.
fn request(api: &ClientApi, body: Body, default_version: RoomVersion) -> Result<CreateRoom, ApiError> {
    let version = match body.room_version {
        None => default_version,
        Some(name) => match name.parse() {
            Ok(version) => version,
            Err(gatehouse_events::UnknownRoomVersion) => {
                return Err(errors::write(WriteError::UnknownRoomVersion(name)));
            }
        },
    };
    let alias = body.room_alias_name.filter(|name| !name.is_empty());
    let alias = alias.map(|name| local_alias(&name, api.rooms.server_name()));
    let alias = alias.transpose().map_err(|error| errors::alias(error.into()))?;
    let preset = match (body.preset, body.visibility) {
        (Some(PresetName::Trusted), _) => Preset::TrustedPrivateChat,
        (Some(PresetName::Public), _) | (None, Some(Visibility::Public)) => Preset::PublicChat,
        (Some(PresetName::Private), _) | (None, Some(Visibility::Private) | None) => Preset::PrivateChat,
    };
    Ok(CreateRoom {
        room_id: None,
        version,
        preset,
        name: body.name,
        topic: body.topic,
        alias,
        invite: invited(body.invite.unwrap_or_default())?,
        invite_3pid: by_address(&body.invite_3pid.unwrap_or_default())?,
        directness: match body.is_direct {
            Some(true) => Directness::Direct,
            Some(false) | None => Directness::Ordinary,
        },
        creation_content: object(body.creation_content)?,
        initial_state: initial_state(body.initial_state.unwrap_or_default())?,
        power_level_content_override: object(body.power_level_content_override)?,
    })
}

/// Each user once, in the order given.
fn invited(ids: Vec<String>) -> Result<Vec<OwnedUserId>, ApiError> {
    let mut users = Vec::with_capacity(ids.len());
    for id in ids {
        let user = body::user_id(&id)?;
        if !users.contains(&user) {
            users.push(user);
        }
    }
    Ok(users)
}

/// Each address once, in the order given.
fn by_address(invites: &[Invite3pid]) -> Result<Vec<AddressInvite>, ApiError> {
    let mut addresses: Vec<AddressInvite> = Vec::with_capacity(invites.len());
    for invite in invites {
        let invite = address_invite(invite)?;
        if !addresses.iter().any(|known| known.address == invite.address) {
            addresses.push(invite);
        }
    }
    Ok(addresses)
}

fn object(fields: Option<Map<String, Value>>) -> Result<CanonicalJsonObject, ApiError> {
    canonical_object(fields.unwrap_or_default()).map_err(json_input)
}

fn initial_state(events: Vec<InitialState>) -> Result<Vec<StateUpdate>, ApiError> {
    let update = |event: InitialState| {
        // Invites count against limits, and whoever joins does so themselves.
        if event.kind == "m.room.member" {
            return Err(ApiError::invalid_param(
                "`initial_state` cannot hold `m.room.member`. Use `invite` to invite users.",
            ));
        }
        Ok(StateUpdate {
            kind: event.kind,
            state_key: event.state_key,
            content: object(Some(event.content))?,
            is_guest: false,
        })
    };
    events.into_iter().map(update).collect()
}
