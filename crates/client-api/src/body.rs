//! Bodies and queries that several pages have.

use gatehouse_events::json::parse_content;
use gatehouse_http::{ApiError, RawQuery, body::json_input};
use ruma::{CanonicalJsonObject, CanonicalJsonValue, OwnedRoomId, OwnedServerName, OwnedUserId, RoomId};
use serde::Deserialize;

use crate::{ClientApi, errors};

/// A body that says why, or nothing at all.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Reason {
    pub(crate) reason: Option<String>,
}

/// A body that says whom, and perhaps why.
#[derive(Debug, Deserialize)]
pub(crate) struct Target {
    user_id: String,
    pub(crate) reason: Option<String>,
}

impl Target {
    /// The user.
    pub(crate) fn user_id(&self) -> Result<OwnedUserId, ApiError> {
        user_id(&self.user_id)
    }
}

/// A user id.
pub(crate) fn user_id(text: &str) -> Result<OwnedUserId, ApiError> {
    OwnedUserId::try_from(text).map_err(|_| {
        ApiError::invalid_param("The `user_id` is not a user id; those have the form @name:server.")
    })
}

/// A body that is the content of an event.
pub(crate) fn content(body: &[u8]) -> Result<CanonicalJsonObject, ApiError> {
    parse_content(body).map_err(json_input)
}

/// A tombstone that points at its own room would send clients round in a circle.
pub(crate) fn refuse_circle(
    room_id: &RoomId,
    kind: &str,
    content: &CanonicalJsonObject,
) -> Result<(), ApiError> {
    let replacement = content
        .get("replacement_room")
        .and_then(CanonicalJsonValue::as_str);
    if kind == "m.room.tombstone" && replacement == Some(room_id.as_str()) {
        return Err(ApiError::invalid_param("A room cannot be replaced by itself."));
    }
    Ok(())
}

/// Servers that may know the room: `via`, and `server_name` as it was called before 1.12.
pub(crate) fn via(query: &RawQuery) -> Vec<OwnedServerName> {
    let names = ["via", "server_name"];
    let values = names.iter().flat_map(|name| query.all(name));
    values
        .filter_map(|server| server.try_into().ok())
        .take(MAX_VIA)
        .collect()
}

/// Servers that are asked at most, for one request.
const MAX_VIA: usize = 20;

/// The room that an id or an alias names, and servers that know it.
pub(crate) async fn room(
    api: &ClientApi,
    id_or_alias: &str,
) -> Result<(OwnedRoomId, Vec<OwnedServerName>), ApiError> {
    if id_or_alias.starts_with('#') {
        let resolved = api.directory.resolve(id_or_alias).await;
        let resolved = resolved.map_err(errors::alias)?;
        return Ok((resolved.room_id, resolved.servers));
    }
    let room_id = OwnedRoomId::try_from(id_or_alias)
        .map_err(|_| ApiError::invalid_param("The path names neither a room id nor a room alias."))?;
    Ok((room_id, Vec::new()))
}
