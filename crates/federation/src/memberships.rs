//! Joining, leaving, knocking and inviting, as asked of other servers (server-server API, "Joining Rooms" and on).

use gatehouse_events::{RoomVersion, json::canonical};
use gatehouse_rooms::remote_servers::{OutgoingInvite, RawPdu, RemoteMembership, Template};
use http::Method;
use ruma::{CanonicalJsonObject, CanonicalJsonValue, EventId, RoomId, ServerName, UserId};
use serde::Deserialize;
use serde_json::{Value, value::RawValue};

use crate::{
    Federation, FederationError,
    path::{path, with_query},
    signed::{Bounds, SignedRequest},
};

impl Federation {
    pub(crate) async fn make_membership(
        &self,
        server: &ServerName,
        room_id: &RoomId,
        user: &UserId,
        membership: RemoteMembership,
    ) -> Result<Template, FederationError> {
        #[derive(Deserialize)]
        struct Made {
            room_version: Option<String>,
            event: Box<RawValue>,
        }
        let (operation, versions) = match membership {
            RemoteMembership::Joining => ("make_join", true),
            RemoteMembership::Knocking => ("make_knock", true),
            RemoteMembership::Leaving => ("make_leave", false),
        };
        let path = path("v1", &[operation, room_id.as_str(), user.as_str()]);
        let known = RoomVersion::all().filter(|_| versions);
        let path = with_query(path, known.map(|version| ("ver", version.name().to_owned())));
        let made: Made = self
            .ask_signed(SignedRequest::get(server, path, Bounds::QUESTION))
            .await?;
        Ok(Template {
            room_version: made.room_version,
            event: object(&made.event)?,
        })
    }

    /// What the room's summary says of guests.
    pub(crate) async fn guest_can_join(
        &self,
        server: &ServerName,
        room_id: &RoomId,
    ) -> Result<bool, FederationError> {
        #[derive(Deserialize)]
        struct Hierarchy {
            room: Summary,
        }
        #[derive(Deserialize)]
        struct Summary {
            room_id: String,
            guest_can_join: bool,
        }
        let path = path("v1", &["hierarchy", room_id.as_str()]);
        let path = with_query(path, [("suggested_only", "true".to_owned())]);
        let hierarchy: Hierarchy = self
            .ask_signed(SignedRequest::get(server, path, Bounds::QUESTION))
            .await?;
        Ok(hierarchy.room.room_id == room_id.as_str() && hierarchy.room.guest_can_join)
    }

    pub(crate) async fn send_knock(
        &self,
        server: &ServerName,
        room_id: &RoomId,
        event_id: &EventId,
        pdu: &str,
    ) -> Result<Vec<RawPdu>, FederationError> {
        #[derive(Deserialize)]
        struct Knocked {
            knock_room_state: Vec<RawPdu>,
        }
        let path = path("v1", &["send_knock", room_id.as_str(), event_id.as_str()]);
        let request = SignedRequest::with_body(Method::PUT, server, path, pdu.to_owned(), Bounds::QUESTION);
        let knocked: Knocked = self.ask_signed(request).await?;
        Ok(knocked.knock_room_state)
    }

    pub(crate) async fn send_leave(
        &self,
        server: &ServerName,
        room_id: &RoomId,
        event_id: &EventId,
        pdu: &str,
    ) -> Result<(), FederationError> {
        let put = |version: &str| {
            let path = path(version, &["send_leave", room_id.as_str(), event_id.as_str()]);
            SignedRequest::with_body(Method::PUT, server, path, pdu.to_owned(), Bounds::QUESTION)
        };
        match self.signed(put("v2")).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_unknown_operation() => self.signed(put("v1")).await.map(|_| ()),
            Err(error) => Err(error),
        }
    }

    /// Falls back to version 1 of the operation, which knows rooms of versions 1 and 2 only.
    pub(crate) async fn send_invite(
        &self,
        server: &ServerName,
        invite: OutgoingInvite<'_>,
    ) -> Result<RawPdu, FederationError> {
        #[derive(Deserialize)]
        struct Invited {
            event: RawPdu,
        }
        let put = |version: &str, body: String| {
            let path = path(
                version,
                &["invite", invite.room_id.as_str(), invite.event_id.as_str()],
            );
            SignedRequest::with_body(Method::PUT, server, path, body, Bounds::QUESTION)
        };
        match self.ask_signed::<Invited>(put("v2", invite_body(&invite)?)).await {
            Ok(invited) => Ok(invited.event),
            Err(error) if error.is_unknown_operation() && matches!(invite.version, "1" | "2") => {
                let body = legacy_invite_body(&invite)?;
                let (_, invited): (u16, Invited) = self.ask_signed(put("v1", body)).await?;
                Ok(invited.event)
            }
            Err(error) => Err(error),
        }
    }

    pub(crate) async fn send_third_party_invite(
        &self,
        server: &ServerName,
        room_id: &RoomId,
        event: &CanonicalJsonObject,
    ) -> Result<(), FederationError> {
        let path = path("v1", &["exchange_third_party_invite", room_id.as_str()]);
        let body = CanonicalJsonValue::Object(event.clone()).to_string();
        let request = SignedRequest::with_body(Method::PUT, server, path, body, Bounds::QUESTION);
        self.signed(request).await.map(|_| ())
    }
}

/// Canonical JSON.
fn invite_body(invite: &OutgoingInvite<'_>) -> Result<String, FederationError> {
    let state = canonical(parsed(invite.invite_room_state)?).map_err(|_| FederationError::BadAnswer)?;
    let version = Value::from(invite.version);
    Ok(format!(
        "{{\"event\":{},\"invite_room_state\":{state},\"room_version\":{version}}}",
        invite.pdu
    ))
}

/// The event, with what the user is shown in its `unsigned`.
fn legacy_invite_body(invite: &OutgoingInvite<'_>) -> Result<String, FederationError> {
    let mut event = parsed(invite.pdu)?;
    let object = event.as_object_mut().ok_or(FederationError::BadAnswer)?;
    let unsigned = serde_json::json!({ "invite_room_state": parsed(invite.invite_room_state)? });
    object.insert("unsigned".to_owned(), unsigned);
    let event = canonical(event).map_err(|_| FederationError::BadAnswer)?;
    Ok(event.to_string())
}

fn parsed(json: &str) -> Result<Value, FederationError> {
    gatehouse_events::json::parse_value(json.as_bytes()).map_err(|_| FederationError::BadAnswer)
}

fn object(raw: &RawValue) -> Result<CanonicalJsonObject, FederationError> {
    crate::own_keys::canonical_object(parsed(raw.get())?).ok_or(FederationError::BadAnswer)
}
