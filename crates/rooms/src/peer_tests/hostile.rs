//! What a lying server asks for.

use gatehouse_events::{EventBuilder, NewEvent, Parents, RoomVersion, SigningKey};
use ruma::{OwnedEventId, OwnedRoomId, RoomId, UserId, events::room::member::MembershipState};
use serde_json::{Value, json};

use super::town::{Town, content, name, plain, raw, user};
use crate::{
    PeerError, PeerInvite, Refusal, Sent, WriteError,
    create::Preset,
    remote_servers::{RawPdu, WantedState},
};

/// An event as somebody would have it, signed by a server.
struct Forgery<'a> {
    version: &'a str,
    room: &'a RoomId,
    signed_by: &'a str,
    sender: &'a UserId,
    kind: &'a str,
    state_key: Option<&'a str>,
    content: Value,
    parents: Parents,
}

impl Forgery<'_> {
    fn make(self, town: &Town) -> (OwnedEventId, RawPdu) {
        let key = town.wire.key(&name(self.signed_by));
        let (id, pdu) = self.sign(&key);
        (id, raw(&pdu))
    }

    fn sign(self, key: &SigningKey) -> (OwnedEventId, String) {
        let server = name(self.signed_by);
        let builder = EventBuilder {
            version: self.version.parse::<RoomVersion>().unwrap(),
            server_name: &server,
            key,
        };
        let new = NewEvent {
            kind: self.kind.into(),
            state_key: self.state_key.map(str::to_owned),
            content: content(&self.content),
            redacts: None,
        };
        let built = builder
            .build(self.room, self.sender, new, self.parents, 1_000_000)
            .unwrap();
        (built.event.event_id, built.pdu)
    }
}

fn somewhere() -> Parents {
    Parents {
        prev_events: vec!["$before".try_into().unwrap()],
        auth_events: Vec::new(),
        depth: 5,
        hashes: Vec::new(),
    }
}

/// An invite of `@b:b` by `@a:a`, and what is changed of it.
fn invite<'a>(version: &'a str, room: &'a RoomId, a: &'a UserId) -> Forgery<'a> {
    Forgery {
        version,
        room,
        signed_by: "a",
        sender: a,
        kind: "m.room.member",
        state_key: Some("@b:b"),
        content: json!({ "membership": "invite" }),
        parents: somewhere(),
    }
}

async fn hand_in(
    town: &Town,
    (origin, version): (&str, &str),
    room: &RoomId,
    (event_id, pdu): &(OwnedEventId, RawPdu),
    shown: Option<&str>,
) -> Result<RawPdu, PeerError> {
    let shown = shown.map(raw);
    let invite = PeerInvite {
        origin: &name(origin),
        room_id: room,
        event_id,
        version,
        pdu,
        invite_room_state: shown.as_deref(),
    };
    town.rooms("b").invite_from_remote(invite).await
}

/// What is not an invite of a user of `b` by one of `a`.
fn not_invites_of_ours<'a>(
    room: &'a RoomId,
    (a, b, c): (&'a UserId, &'a UserId, &'a UserId),
) -> Vec<Forgery<'a>> {
    let good = || invite("11", room, a);
    vec![
        Forgery {
            kind: "m.room.message",
            ..good()
        },
        Forgery {
            kind: "m.room.power_levels",
            state_key: Some(""),
            ..good()
        },
        Forgery {
            content: json!({ "membership": "join" }),
            ..good()
        },
        Forgery {
            content: json!({ "membership": "ban" }),
            ..good()
        },
        Forgery {
            content: json!({}),
            ..good()
        },
        Forgery {
            content: json!({ "membership": ["invite"] }),
            ..good()
        },
        // Sent by another server's user than the one that asks.
        Forgery {
            sender: c,
            signed_by: "c",
            ..good()
        },
        Forgery {
            sender: c,
            signed_by: "a",
            ..good()
        },
        Forgery {
            sender: b,
            signed_by: "a",
            ..good()
        },
        // Not for one of ours.
        Forgery {
            state_key: Some("@c:c"),
            ..good()
        },
        Forgery {
            state_key: Some("b"),
            ..good()
        },
        Forgery {
            state_key: None,
            ..good()
        },
    ]
}

#[tokio::test]
async fn e01_nothing_but_an_invite_of_ours_by_one_of_theirs_is_signed() {
    let town = Town::new().await;
    let room: OwnedRoomId = "!there:a".try_into().unwrap();
    let (a, b, c) = (user("a"), user("b"), user("c"));
    let wrong = not_invites_of_ours(&room, (&a, &b, &c));
    for (number, forgery) in wrong.into_iter().enumerate() {
        let event = forgery.make(&town);
        let refused = hand_in(&town, ("a", "11"), &room, &event, None).await;
        assert!(
            matches!(refused, Err(PeerError::Invalid(_))),
            "{number}: {refused:?}"
        );
    }
    let by_another = Forgery {
        signed_by: "c",
        ..invite("11", &room, &a)
    };
    let refused = hand_in(&town, ("a", "11"), &room, &by_another.make(&town), None).await;
    assert!(matches!(refused, Err(PeerError::NotSigned(_))), "{refused:?}");
    assert_eq!(town.own("b", &room).await, None, "nothing was kept");
}

#[tokio::test]
async fn e01_e11_an_invite_is_signed_as_it_was_made_and_for_its_room_only() {
    let town = Town::new().await;
    let room: OwnedRoomId = "!there:a".try_into().unwrap();
    let event = invite("11", &room, &user("a")).make(&town);
    // E11: another room or event than the path says.
    let other: OwnedRoomId = "!other:a".try_into().unwrap();
    let refused = hand_in(&town, ("a", "11"), &other, &event, None).await;
    assert!(matches!(refused, Err(PeerError::Invalid(_))), "{refused:?}");
    let elsewhere = ("$other".try_into().unwrap(), event.1.clone());
    let refused = hand_in(&town, ("a", "11"), &room, &elsewhere, None).await;
    assert!(matches!(refused, Err(PeerError::Invalid(_))), "{refused:?}");
    // A signature or a content that is not the one that was signed.
    for (old, new) in [
        ("\"depth\":5", "\"depth\":6"),
        ("\"membership\"", "\"x\":1,\"membership\""),
    ] {
        let changed = (event.0.clone(), raw(&event.1.get().replace(old, new)));
        let refused = hand_in(&town, ("a", "11"), &room, &changed, None).await;
        assert!(matches!(refused, Err(PeerError::Invalid(_))), "{refused:?}");
    }
    // E05: for a server that it is not of.
    let refused = hand_in(&town, ("c", "11"), &room, &event, None).await;
    assert!(matches!(refused, Err(PeerError::Invalid(_))), "{refused:?}");
    let refused = hand_in(&town, ("a", "99"), &room, &event, None).await;
    assert!(
        matches!(refused, Err(PeerError::IncompatibleRoomVersion(_))),
        "{refused:?}"
    );
    assert_eq!(town.own("b", &room).await, None, "nothing was kept");

    let signed = hand_in(&town, ("a", "11"), &room, &event, None).await.unwrap();
    let signed: Value = serde_json::from_str(signed.get()).unwrap();
    assert!(signed["signatures"]["b"].is_object());
    assert_eq!(town.own("b", &room).await, Some(MembershipState::Invite));
}

#[tokio::test]
async fn e01_an_invite_that_names_an_invitation_by_address_has_the_senders_signature_too() {
    let town = Town::new().await;
    let room: OwnedRoomId = "!there:a".try_into().unwrap();
    let a = user("a");
    let third_party =
        json!({ "membership": "invite", "third_party_invite": { "display_name": "b", "signed": {} } });
    let forged = Forgery {
        signed_by: "c",
        content: third_party.clone(),
        ..invite("11", &room, &a)
    };
    let refused = hand_in(&town, ("a", "11"), &room, &forged.make(&town), None).await;
    assert!(matches!(refused, Err(PeerError::NotSigned(_))), "{refused:?}");
    let true_one = Forgery {
        content: third_party,
        ..invite("11", &room, &a)
    };
    hand_in(&town, ("a", "11"), &room, &true_one.make(&town), None)
        .await
        .unwrap();
}

#[tokio::test]
async fn x01_x02_what_comes_along_with_an_invite_is_bounded_and_has_the_right_form() {
    let town = Town::new().await;
    let room: OwnedRoomId = "!there:a".try_into().unwrap();
    let event = invite("11", &room, &user("a")).make(&town);
    let entry = r#"{"type":"m.room.name","state_key":"","sender":"@a:a","content":{"name":"Tea"}}"#;
    let many = format!("[{}]", vec![entry; 1_000].join(","));
    let large = format!(
        "[{{\"type\":\"x\",\"state_key\":\"\",\"sender\":\"@a:a\",\"content\":{{\"x\":\"{}\"}}}}]",
        "x".repeat(600 << 10)
    );
    for shown in ["1", "{}", "null", "[1,2]", "\"x\"", "[[]]", &many, &large] {
        let refused = hand_in(&town, ("a", "11"), &room, &event, Some(shown)).await;
        assert!(
            matches!(refused, Err(PeerError::Invalid(_))),
            "{}: {refused:?}",
            &shown[..shown.len().min(40)]
        );
        assert_eq!(town.own("b", &room).await, None);
    }
    let odd = format!(
        "[{entry},{{\"type\":1}},{{\"type\":\"m.room.topic\",\"state_key\":\"\",\"sender\":\"@a:a\",\"content\":7}}]"
    );
    hand_in(&town, ("a", "11"), &room, &event, Some(&odd))
        .await
        .unwrap();
    let all = town.rooms("b").current_memberships(&user("b")).await.unwrap();
    assert_eq!(all[0].stripped_state.len(), 1, "what makes no sense is left out");
}

#[tokio::test]
async fn t31_the_event_that_made_the_room_comes_along_and_makes_this_room() {
    let town = Town::new().await;
    let (room, other) = (
        town.room("12", Preset::PrivateChat).await,
        town.room("12", Preset::PublicChat).await,
    );
    let a = user("a");
    let event = invite("12", &room, &a).make(&town);
    let create_of = async |room: &RoomId| {
        let rooms = town.rooms("a");
        let head = rooms.head(room).await.unwrap().unwrap();
        let id = head.state_event_id("m.room.create", "").unwrap().clone();
        rooms.raw_pdus(room, &[id]).await.unwrap().remove(0)
    };
    let (own, of_other) = (create_of(&room).await, create_of(&other).await);
    let stripped =
        r#"{"type":"m.room.create","state_key":"","sender":"@a:a","content":{"room_version":"12"}}"#;
    let forged = own
        .get()
        .replace("\"ed25519:test\":\"", "\"ed25519:test\":\"AAAA");
    let wrong = [
        None,
        Some("[]".to_owned()),
        Some(format!("[{stripped}]")),
        Some(format!("[{}]", of_other.get())),
        Some(format!("[{},{}]", own.get(), of_other.get())),
        Some(format!("[{forged}]")),
    ];
    for shown in wrong {
        let refused = hand_in(&town, ("a", "12"), &room, &event, shown.as_deref()).await;
        assert!(
            matches!(refused, Err(PeerError::Invalid(_))),
            "{shown:?}: {refused:?}"
        );
        assert_eq!(town.own("b", &room).await, None);
    }
    let right = format!("[{}]", own.get());
    hand_in(&town, ("a", "12"), &room, &event, Some(&right))
        .await
        .unwrap();

    // Before version 12 the event may be missing; one of another room is a lie all the same.
    let room = town.room("11", Preset::PrivateChat).await;
    let other = town.room("11", Preset::PublicChat).await;
    let event = invite("11", &room, &a).make(&town);
    let shown = format!("[{}]", create_of(&other).await.get());
    let refused = hand_in(&town, ("a", "11"), &room, &event, Some(&shown)).await;
    assert!(matches!(refused, Err(PeerError::Invalid(_))), "{refused:?}");
    let shown = format!("[{}]", create_of(&room).await.get());
    hand_in(&town, ("a", "11"), &room, &event, Some(&shown))
        .await
        .unwrap();
}

#[tokio::test]
async fn e05_a_server_asks_for_its_own_users_and_for_versions_that_it_knows() {
    let town = Town::new().await;
    let room = town.room("11", Preset::PublicChat).await;
    let a = town.rooms("a");
    let versions = vec!["11".to_owned()];
    let refused = a.make_join(&name("c"), &room, &user("b"), &versions).await;
    assert!(matches!(refused, Err(PeerError::UserNotYours)), "{refused:?}");
    let refused = a
        .make_join(&name("b"), &room, &user("b"), &["1".to_owned()])
        .await;
    assert!(matches!(refused, Err(PeerError::IncompatibleRoomVersion(version)) if version == "11"));
}

fn parents_of_a_join(head: &crate::RoomHead) -> Parents {
    Parents {
        prev_events: head.extremities.clone(),
        auth_events: ["m.room.create", "m.room.power_levels", "m.room.join_rules"]
            .iter()
            .map(|kind| head.state_event_id(kind, "").unwrap().clone())
            .collect(),
        depth: head.depth + 1,
        hashes: Vec::new(),
    }
}

fn join_of_b<'a>(room: &'a RoomId, b: &'a UserId, head: &crate::RoomHead) -> Forgery<'a> {
    Forgery {
        version: "11",
        room,
        signed_by: "b",
        sender: b,
        kind: "m.room.member",
        state_key: Some("@b:b"),
        content: json!({ "membership": "join" }),
        parents: parents_of_a_join(head),
    }
}

#[tokio::test]
async fn e05_e11_a_server_sends_its_own_users_memberships_and_as_the_path_says() {
    let town = Town::new().await;
    let room = town.room("11", Preset::PublicChat).await;
    let other = town.room("11", Preset::PublicChat).await;
    let a = town.rooms("a");
    let head = a.head(&room).await.unwrap().unwrap();
    let b = user("b");
    let join = || join_of_b(&room, &b, &head);
    let before = head.sequence;
    let send = async |origin: &str, room: &RoomId, event_id: &OwnedEventId, pdu: &RawPdu| {
        let sent = Sent {
            origin: &name(origin),
            room_id: room,
            event_id,
            pdu,
        };
        a.send_join(sent, WantedState::Whole).await.map(|_| ())
    };
    let (id, pdu) = join().make(&town);
    let invalid = |refused: Result<(), PeerError>| {
        assert!(matches!(refused, Err(PeerError::Invalid(_))), "{refused:?}");
    };
    invalid(send("b", &other, &id, &pdu).await);
    invalid(send("b", &room, &"$other".try_into().unwrap(), &pdu).await);
    let refused = send("c", &room, &id, &pdu).await;
    assert!(matches!(refused, Err(PeerError::UserNotYours)), "{refused:?}");
    let (of_another, unsigned) = Forgery {
        signed_by: "c",
        ..join()
    }
    .make(&town);
    let refused = send("b", &room, &of_another, &unsigned).await;
    assert!(matches!(refused, Err(PeerError::NotSigned(_))), "{refused:?}");
    for wrong in [
        Forgery {
            content: json!({ "membership": "leave" }),
            ..join()
        },
        Forgery {
            kind: "m.room.topic",
            ..join()
        },
        Forgery {
            state_key: Some("@a:a"),
            ..join()
        },
        Forgery {
            state_key: Some("@c:b"),
            ..join()
        },
    ] {
        let (id, pdu) = wrong.make(&town);
        invalid(send("b", &room, &id, &pdu).await);
    }
    let kept = async || town.rooms("a").head(&room).await.unwrap().unwrap().sequence;
    assert_eq!(kept().await, before, "nothing was kept");
    send("b", &room, &id, &pdu).await.unwrap();
    // Sent twice, it is done once.
    send("b", &room, &id, &pdu).await.unwrap();
    assert_eq!(kept().await, before + 1);
}

#[tokio::test]
async fn b05_nobody_vouches_for_whom_the_rule_does_not_let_in() {
    let town = Town::new().await;
    let lounge = town.room("11", Preset::PublicChat).await;
    let rule =
        json!({ "join_rule": "restricted", "allow": [{ "type": "m.room_membership", "room_id": lounge }] });
    let room = town
        .room_with("11", Preset::PrivateChat, &[("m.room.join_rules", rule)])
        .await;
    let head = town.rooms("a").head(&room).await.unwrap().unwrap();
    let parents = Parents {
        prev_events: head.extremities.clone(),
        auth_events: [
            ("m.room.create", ""),
            ("m.room.power_levels", ""),
            ("m.room.join_rules", ""),
            ("m.room.member", "@a:a"),
        ]
        .iter()
        .map(|(kind, key)| head.state_event_id(kind, key).unwrap().clone())
        .collect(),
        depth: head.depth + 1,
        hashes: Vec::new(),
    };
    for via in ["@a:a", "@other:a", "@c:c"] {
        let (event_id, pdu) = Forgery {
            version: "11",
            room: &room,
            signed_by: "b",
            sender: &user("b"),
            kind: "m.room.member",
            state_key: Some("@b:b"),
            content: json!({ "membership": "join", "join_authorised_via_users_server": via }),
            parents: parents.clone(),
        }
        .make(&town);
        let sent = Sent {
            origin: &name("b"),
            room_id: &room,
            event_id: &event_id,
            pdu: &pdu,
        };
        let refused = town.rooms("a").send_join(sent, WantedState::Whole).await;
        assert!(refused.is_err(), "{via}: {refused:?}");
        assert_eq!(
            town.membership("a", &room, &user("b")).await,
            MembershipState::Leave
        );
    }
}

#[tokio::test]
async fn b13_b14_nobody_leaves_from_where_they_never_were() {
    let town = Town::new().await;
    let room = town.room("12", Preset::PublicChat).await;
    let a = town.rooms("a");
    let refused = a.make_leave(&name("b"), &room, &user("b")).await;
    assert!(
        matches!(refused, Err(PeerError::Refused(Refusal::NeverInRoom))),
        "{refused:?}"
    );
    let left = town.rooms("b").leave(&user("b"), &room, &plain()).await;
    assert!(matches!(left, Err(WriteError::NoSuchRoom)), "{left:?}");
    a.ban(&user("a"), &user("b"), &room, &plain()).await.unwrap();
    let refused = a.make_leave(&name("b"), &room, &user("b")).await;
    assert!(
        matches!(refused, Err(PeerError::Refused(Refusal::Banned))),
        "{refused:?}"
    );
}
