//! `invites-v1.yaml` and `invites-v2.yaml`

use gatehouse_events::RoomVersion;
use gatehouse_test_peers::{Authority, Reply, SignedEvent};
use gatehouse_testkit::user::escaped;
use ruma::OwnedRoomId;
use serde_json::{Value, json};

use crate::visitor::{VERSIONS, Visitor, host};

/// A room of the visitor's: its create event, and an invite into it.
pub(crate) struct ForeignRoom {
    id: OwnedRoomId,
    version: RoomVersion,
    create: Value,
    /// Not signed yet.
    pub(crate) invite: Value,
}

pub(crate) fn foreign_room(visitor: &Visitor<'_>, version: &str, invited: &str) -> ForeignRoom {
    let version: RoomVersion = version.parse().unwrap();
    let carol = visitor.home.user("carol");
    let mut create = json!({
        "type": "m.room.create", "state_key": "", "sender": carol, "depth": 1, "origin_server_ts": 1,
        "content": { "creator": carol, "room_version": version.name() }, "prev_events": [], "auth_events": [],
        "hashes": { "sha256": "" }, "signatures": {},
    });
    visitor.give_id(version, &mut create);
    let id = format!("!r{}:{}", version.name(), visitor.home.name());
    let mut id: OwnedRoomId = id.try_into().unwrap();
    if version.rules().event_format.require_room_create_room_id {
        create["room_id"] = id.as_str().into();
        create = visitor.home.sign(version, &id, &create).unwrap().pdu;
    } else {
        (id, create) = hashed_room(visitor, version, &create);
    }
    let mut invite = json!({
        "type": "m.room.member", "state_key": invited, "sender": carol, "room_id": id, "depth": 5,
        "origin_server_ts": 2, "content": { "membership": "invite" }, "prev_events": [], "auth_events": [],
    });
    visitor.give_id(version, &mut invite);
    ForeignRoom {
        id,
        version,
        create,
        invite,
    }
}

/// The id of a room that is the hash of its create event, and that event signed.
fn hashed_room(visitor: &Visitor<'_>, version: RoomVersion, create: &Value) -> (OwnedRoomId, Value) {
    let mut object: ruma::CanonicalJsonObject = serde_json::from_value(create.clone()).unwrap();
    ruma::signatures::add_content_hash_to_event(&mut object).unwrap();
    let hash = ruma::signatures::reference_hash(&object, version.rules()).unwrap();
    let id: OwnedRoomId = format!("!{hash}").try_into().unwrap();
    let create = visitor.home.sign(version, &id, create).unwrap().pdu;
    (id, create)
}

impl ForeignRoom {
    pub(crate) fn signed(&self, visitor: &Visitor<'_>) -> SignedEvent {
        visitor.home.sign(self.version, &self.id, &self.invite).unwrap()
    }

    pub(crate) fn path(&self, event_id: &str) -> String {
        format!(
            "/_matrix/federation/v2/invite/{}/{}",
            escaped(self.id.as_str()),
            escaped(event_id)
        )
    }

    pub(crate) fn body(&self, invite: &Value) -> Value {
        json!({ "room_version": self.version.name(), "event": invite, "invite_room_state": [self.create] })
    }
}

#[tokio::test]
async fn an_invite_is_signed_and_shown_in_every_version() {
    let authority = Authority::new().unwrap();
    let server = host(&authority).await;
    let visitor = Visitor::new(&authority, &server).await;
    let alice = server.user("alice").await;
    for version in VERSIONS {
        let room = foreign_room(&visitor, version, &alice.id);
        let invite = room.signed(&visitor);
        let answer = visitor
            .put(&room.path(&invite.id), &room.body(&invite.pdu))
            .await
            .ok();
        let signatures = answer["event"]["signatures"].as_object().unwrap();
        assert!(signatures["test.example"].is_object(), "{version}");
        assert_eq!(
            signatures[visitor.home.name()],
            invite.pdu["signatures"][visitor.home.name()]
        );
        let sync = alice.sync("", 0).await;
        let shown = &sync["rooms"]["invite"][room.id.as_str()]["invite_state"]["events"];
        let kinds: Vec<_> = shown
            .as_array()
            .unwrap()
            .iter()
            .map(|event| &event["type"])
            .collect();
        assert!(kinds.contains(&&json!("m.room.create")), "{version}: {shown}");
        assert!(kinds.contains(&&json!("m.room.member")), "{version}: {shown}");
    }
}

#[tokio::test]
async fn e01_nothing_but_an_invite_of_a_user_of_ours_is_signed() {
    let authority = Authority::new().unwrap();
    let server = host(&authority).await;
    let visitor = Visitor::new(&authority, &server).await;
    let other = Visitor::new(&authority, &server).await;
    let alice = server.user("alice").await;
    let elsewhere = other.home.user("dan");
    let wrong: [(&str, Value, Value); 6] = [
        ("type", json!("m.room.topic"), json!({ "membership": "invite" })),
        ("type", json!("m.room.member"), json!({ "membership": "join" })),
        ("type", json!("m.room.member"), json!({})),
        ("sender", json!(elsewhere), json!({ "membership": "invite" })),
        ("sender", json!(alice.id), json!({ "membership": "invite" })),
        ("state_key", json!(elsewhere), json!({ "membership": "invite" })),
    ];
    for (field, value, content) in wrong {
        let mut room = foreign_room(&visitor, "10", &alice.id);
        room.invite[field] = value.clone();
        room.invite["content"] = content.clone();
        let invite = room.signed(&visitor);
        let answer = visitor.put(&room.path(&invite.id), &room.body(&invite.pdu)).await;
        let refused = answer.refused(400, "M_INVALID_PARAM");
        assert!(
            !refused.to_string().contains("signatures"),
            "{field} {value} {content}"
        );
    }
    let room = foreign_room(&visitor, "10", &alice.id);
    let invite = room.signed(&visitor);
    // Not signed, signed by another, changed since, or another's invite.
    let mut unsigned = invite.pdu.clone();
    unsigned["signatures"] = json!({});
    let forged = other
        .home
        .sign_as(visitor.home.name(), room.version, &room.id, &room.invite)
        .unwrap();
    let mut changed = invite.pdu.clone();
    changed["content"]["displayname"] = "somebody else".into();
    for pdu in [&unsigned, &forged.pdu] {
        let answer = visitor.put(&room.path(&invite.id), &room.body(pdu)).await;
        answer.refused(403, "M_FORBIDDEN");
    }
    let answer = visitor.put(&room.path(&invite.id), &room.body(&changed)).await;
    answer.refused(400, "M_INVALID_PARAM");
    let answer = other.put(&room.path(&invite.id), &room.body(&invite.pdu)).await;
    answer.refused(400, "M_INVALID_PARAM");
    assert!(
        alice.sync("", 0).await["rooms"]["invite"]
            .as_object()
            .is_none_or(serde_json::Map::is_empty)
    );
}

#[tokio::test]
async fn e11_an_invite_is_of_the_room_and_the_event_in_the_path() {
    let authority = Authority::new().unwrap();
    let server = host(&authority).await;
    let visitor = Visitor::new(&authority, &server).await;
    let alice = server.user("alice").await;
    let room = foreign_room(&visitor, "11", &alice.id);
    let invite = room.signed(&visitor);
    let body = room.body(&invite.pdu);
    visitor
        .put(&room.path("$other"), &body)
        .await
        .refused(400, "M_INVALID_PARAM");
    let elsewhere = ForeignRoom {
        id: "!other:x.example".try_into().unwrap(),
        ..room
    };
    visitor
        .put(&elsewhere.path(&invite.id), &body)
        .await
        .refused(400, "M_INVALID_PARAM");
}

#[tokio::test]
async fn x01_what_is_shown_of_a_room_is_a_list_of_events() {
    let authority = Authority::new().unwrap();
    let server = host(&authority).await;
    let visitor = Visitor::new(&authority, &server).await;
    let alice = server.user("alice").await;
    let room = foreign_room(&visitor, "10", &alice.id);
    let invite = room.signed(&visitor);
    for state in [
        json!(5),
        json!({}),
        json!("x"),
        json!([1, 2]),
        json!(vec![room.create.clone(); 1_000]),
    ] {
        let mut body = room.body(&invite.pdu);
        body["invite_room_state"] = state;
        visitor
            .put(&room.path(&invite.id), &body)
            .await
            .refused(400, "M_INVALID_PARAM");
        alice.sync("", 0).await;
    }
}

#[tokio::test]
async fn t31_a_room_that_is_named_by_its_first_event_shows_it() {
    let authority = Authority::new().unwrap();
    let server = host(&authority).await;
    let visitor = Visitor::new(&authority, &server).await;
    let alice = server.user("alice").await;
    let room = foreign_room(&visitor, "12", &alice.id);
    let invite = room.signed(&visitor);
    let mut other = room.create.clone();
    other["content"]["creator"] = "@eve:x.example".into();
    for state in [
        json!([]),
        json!([other]),
        json!([{ "type": "m.room.create", "state_key": "", "content": {}, "sender": "@a:x" }]),
    ] {
        let mut body = room.body(&invite.pdu);
        body["invite_room_state"] = state;
        visitor
            .put(&room.path(&invite.id), &body)
            .await
            .refused(400, "M_INVALID_PARAM");
    }
    let mut body = room.body(&invite.pdu);
    body["room_version"] = "99".into();
    let refused = visitor.put(&room.path(&invite.id), &body).await;
    assert_eq!(
        refused.refused(400, "M_INCOMPATIBLE_ROOM_VERSION")["room_version"],
        "99"
    );
}

#[tokio::test]
async fn the_old_form_is_for_the_first_version() {
    let authority = Authority::new().unwrap();
    let server = host(&authority).await;
    let visitor = Visitor::new(&authority, &server).await;
    let alice = server.user("alice").await;
    let room = foreign_room(&visitor, "1", &alice.id);
    let mut invite = room.signed(&visitor);
    invite.pdu["unsigned"] = json!({ "invite_room_state": [room.create] });
    let path = room.path(&invite.id).replace("/v2/", "/v1/");
    let answer = visitor.put(&path, &invite.pdu).await.ok();
    assert_eq!(answer[0], 200);
    assert!(answer[1]["event"]["signatures"]["test.example"].is_object());
}

#[tokio::test]
async fn b12_whether_there_is_such_a_user_is_not_told() {
    let authority = Authority::new().unwrap();
    let server = host(&authority).await;
    let visitor = Visitor::new(&authority, &server).await;
    let alice = server.user("alice").await;
    for user in [alice.id.as_str(), "@nobody:test.example"] {
        let room = foreign_room(&visitor, "10", user);
        let invite = room.signed(&visitor);
        let answer = visitor
            .put(&room.path(&invite.id), &room.body(&invite.pdu))
            .await
            .ok();
        assert!(
            answer["event"]["signatures"]["test.example"].is_object(),
            "{user}"
        );
    }
}

#[tokio::test]
async fn e27_an_answer_or_a_rejection_that_is_no_canonical_json_is_refused_as_that() {
    let authority = Authority::new().unwrap();
    let server = host(&authority).await;
    let visitor = Visitor::new(&authority, &server).await;
    let alice = server.user("alice").await;
    let bob = visitor.home.user("bob");
    let room = alice.create_room(json!({ "room_version": "6" })).await;
    visitor.home.answer("/_matrix/federation/v2/invite/", |asked| {
        let mut body: Value = serde_json::from_slice(&asked.body).unwrap();
        body["event"]["bad"] = json!(1.5);
        Reply::json(200, &json!({ "event": body["event"] }))
    });
    alice
        .act_on("invite", &room, &bob)
        .await
        .refused(400, "M_BAD_JSON");
    let public = alice.public_room().await;
    visitor.join(&public, &bob).await;
    let room = escaped(&public);
    let path = format!("/_matrix/federation/v1/make_leave/{room}/{}", escaped(&bob));
    let mut leave = visitor.get(&path).await.ok()["event"].clone();
    leave["content"]["bad"] = json!(1.5);
    let path = format!("/_matrix/federation/v2/send_leave/{room}/not-an-id");
    visitor.put(&path, &leave).await.refused(400, "M_BAD_JSON");
}
