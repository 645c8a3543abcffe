//! Invites of users of this server.

use axum::{Json, Router, extract::State, routing::put};
use gatehouse_http::{ApiError, Limit, Path};
use gatehouse_rooms::PeerInvite;
use ruma::{OwnedEventId, OwnedRoomId};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{
    FederationApi, errors,
    signed::{OTHER_BODY, PDU_BODY, Signed},
};

pub(crate) fn routes_v1() -> Router<FederationApi> {
    Router::new().route("/invite/{room_id}/{event_id}", put(send_invite_v1))
}

pub(crate) fn routes_v2() -> Router<FederationApi> {
    Router::new().route("/invite/{room_id}/{event_id}", put(send_invite_v2))
}

/// The invite with our signature.
#[derive(Serialize)]
struct Invited {
    event: Box<RawValue>,
}

/// `PUT /_matrix/federation/v1/invite/{roomId}/{eventId}`: only for rooms of versions 1 and 2.
async fn send_invite_v1(
    State(api): State<FederationApi>,
    Path((room_id, event_id)): Path<(OwnedRoomId, OwnedEventId)>,
    signed: Signed<PDU_BODY>,
) -> Result<Json<(u16, Invited)>, ApiError> {
    #[derive(Deserialize)]
    struct Event<'a> {
        #[serde(borrow)]
        unsigned: Option<Unsigned<'a>>,
    }
    #[derive(Deserialize)]
    struct Unsigned<'a> {
        #[serde(borrow)]
        invite_room_state: Option<&'a RawValue>,
    }
    let event: Event<'_> = signed.json()?;
    let invite = PeerInvite {
        origin: &signed.origin,
        room_id: &room_id,
        event_id: &event_id,
        version: "1",
        pdu: signed.json()?,
        invite_room_state: event.unsigned.and_then(|unsigned| unsigned.invite_room_state),
    };
    Ok(Json((200, invited(&api, invite).await?)))
}

/// `PUT /_matrix/federation/v2/invite/{roomId}/{eventId}`
async fn send_invite_v2(
    State(api): State<FederationApi>,
    Path((room_id, event_id)): Path<(OwnedRoomId, OwnedEventId)>,
    signed: Signed<OTHER_BODY>,
) -> Result<Json<Invited>, ApiError> {
    #[derive(Deserialize)]
    struct Body<'a> {
        #[serde(borrow)]
        event: &'a RawValue,
        room_version: String,
        #[serde(borrow)]
        invite_room_state: Option<&'a RawValue>,
    }
    let body: Body<'_> = signed.json()?;
    let invite = PeerInvite {
        origin: &signed.origin,
        room_id: &room_id,
        event_id: &event_id,
        version: &body.room_version,
        pdu: body.event,
        invite_room_state: body.invite_room_state,
    };
    Ok(Json(invited(&api, invite).await?))
}

async fn invited(api: &FederationApi, invite: PeerInvite<'_>) -> Result<Invited, ApiError> {
    #[derive(Deserialize)]
    struct Target {
        state_key: String,
    }
    let target = serde_json::from_str::<Target>(invite.pdu.get());
    let target = target.map_err(|_| ApiError::invalid_param("The invite has no `state_key`."))?;
    let limits = &api.http.rate_limits;
    // First its own: a server that floods us uses up nobody else's.
    limits.check(Limit::InvitesPerServer, invite.origin.as_str())?;
    limits.check(Limit::InvitesPerUser, &target.state_key)?;
    let event = api.rooms.invite_from_remote(invite).await.map_err(errors::peer)?;
    Ok(Invited { event })
}
