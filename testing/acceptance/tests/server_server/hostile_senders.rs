//! What a hostile server sends: transactions of poison, the same ones again and again, in the name of others, or too long.

use gatehouse_test_peers::{Authority, SignedEvent};
use gatehouse_testkit::{TestServer, configured, rate, user::escaped};
use serde_json::{Value, json};

use crate::{
    hostile_answers::Scene,
    transactions::{is_healthy, public_room, texts},
    visitor::{VisitedRoom, Visitor, host, message},
};

/// Signed by the visitor, whatever it says.
fn signed(visitor: &Visitor<'_>, room: &VisitedRoom, event: &Value) -> SignedEvent {
    visitor.home.sign(room.version, &room.id, event).unwrap()
}

/// Events that their server has signed and that no room takes: what is done to a message before it is signed. Those that
/// the server could not even sign are in `transactions.rs`.
fn poisons(alice: &str, elsewhere: &Value) -> Vec<(&'static str, Value)> {
    vec![
        (
            "a create event",
            json!({ "type": "m.room.create", "state_key": "", "content": { "room_version": "11" } }),
        ),
        ("a first event", json!({ "prev_events": [] })),
        ("nothing authorises it", json!({ "auth_events": [] })),
        (
            "another room's event authorises it",
            json!({ "auth_events": [elsewhere] }),
        ),
        (
            "what is not there authorises it",
            json!({ "auth_events": ["$nothing"] }),
        ),
        (
            "somebody who was never there",
            json!({ "sender": "@nobody:VISITOR" }),
        ),
        (
            "state of another",
            json!({ "type": "x.state", "state_key": alice, "content": {} }),
        ),
        (
            "another's leave",
            json!({ "type": "m.room.member", "state_key": alice, "content": { "membership": "leave" } }),
        ),
        (
            "another's join",
            json!({ "type": "m.room.member", "state_key": "@x:test.example", "content": { "membership": "join" } }),
        ),
        (
            "a ban",
            json!({ "type": "m.room.member", "state_key": alice, "content": { "membership": "ban" } }),
        ),
        (
            "no membership",
            json!({ "type": "m.room.member", "state_key": "@bob:VISITOR", "content": {} }),
        ),
        (
            "another membership",
            json!({ "type": "m.room.member", "state_key": "@bob:VISITOR", "content": { "membership": "owner" } }),
        ),
        (
            "a number for a membership",
            json!({ "type": "m.room.member", "state_key": "@bob:VISITOR", "content": { "membership": 1 } }),
        ),
        (
            "power",
            json!({ "type": "m.room.power_levels", "state_key": "", "content": { "users": { "@bob:VISITOR": 100 } } }),
        ),
        (
            "power in text",
            json!({ "type": "m.room.power_levels", "state_key": "", "content": { "users_default": "100" } }),
        ),
        (
            "a rule",
            json!({ "type": "m.room.join_rules", "state_key": "", "content": { "join_rule": "invite" } }),
        ),
        (
            "the ACL",
            json!({ "type": "m.room.server_acl", "state_key": "", "content": { "deny": ["test.example"] } }),
        ),
        (
            "the end",
            json!({ "type": "m.room.tombstone", "state_key": "", "content": { "replacement_room": "!x:y" } }),
        ),
        (
            "aliases",
            json!({ "type": "m.room.third_party_invite", "state_key": alice, "content": {} }),
        ),
    ]
}

/// An event with a poison in it.
fn poisoned(visitor: &Visitor<'_>, room: &VisitedRoom, sender: &str, poison: &Value) -> SignedEvent {
    let poison = poison.to_string().replace("VISITOR", visitor.home.name());
    let poison: Value = serde_json::from_str(&poison).unwrap();
    let mut event = visitor.build(room, sender, "m.room.message", None, &message("poison"));
    for (field, value) in poison.as_object().unwrap() {
        event[field] = value.clone();
    }
    signed(visitor, room, &event)
}

#[tokio::test]
async fn r14_of_fifty_events_the_one_that_breaks_a_rule_is_left_out() {
    let authority = Authority::new().unwrap();
    let server = host(&authority).await;
    let visitor = Visitor::new(&authority, &server).await;
    let alice = server.user("alice").await;
    let bob = visitor.home.user("bob");
    let other = public_room(&alice, "11").await;
    let other = visitor.join(&other, &bob).await;
    let elsewhere = &other.state[&("m.room.power_levels".to_owned(), String::new())];
    for (name, poison) in poisons(&alice.id, &json!(elsewhere.id)) {
        let room = public_room(&alice, "11").await;
        let mut visited = visitor.join(&room, &bob).await;
        let bad = poisoned(&visitor, &visited, &bob, &poison);
        let mut pdus = Vec::new();
        for number in 0..49 {
            let text = message(&number.to_string());
            pdus.push(visitor.next(&mut visited, &bob, "m.room.message", &text));
        }
        let mut all: Vec<Value> = pdus.iter().map(|event| event.pdu.clone()).collect();
        all.insert(20, bad.pdu);
        let before = alice.whole_state(&room).await;
        let told = visitor.send(&all).await;
        for event in &pdus {
            assert_eq!(told[&event.id], json!({}), "{name}");
        }
        let texts = texts(&alice, &room).await;
        assert_eq!(texts.len(), 49, "{name}: {texts:?}");
        assert_eq!(alice.whole_state(&room).await, before, "{name}");
        let shown = alice
            .get(&format!("/rooms/{}/event/{}", escaped(&room), escaped(&bad.id)))
            .await;
        shown.refused(404, "M_NOT_FOUND");
        is_healthy(&alice, &room).await;
    }
}

/// A transaction's answers by their order of arrival; whatever the order, the room is the same.
#[tokio::test]
async fn r13_transactions_twice_in_reverse_and_at_once_have_one_effect() {
    let authority = Authority::new().unwrap();
    let server = host(&authority).await;
    let visitor = Visitor::new(&authority, &server).await;
    let alice = server.user("alice").await;
    let bob = visitor.home.user("bob");
    for version in ["2", "11", "12"] {
        let room = public_room(&alice, version).await;
        let mut visited = visitor.join(&room, &bob).await;
        let said: Vec<SignedEvent> = (0..30)
            .map(|number| {
                visitor.next(
                    &mut visited,
                    &bob,
                    "m.room.message",
                    &message(&number.to_string()),
                )
            })
            .collect();
        let transactions: Vec<(String, Value)> = said
            .chunks(6)
            .enumerate()
            .map(|(number, events)| {
                let pdus: Vec<Value> = events.iter().map(|event| event.pdu.clone()).collect();
                visitor.transaction(&format!("{version}-{number}"), &pdus)
            })
            .collect();
        // Each waits for what comes before it, which is asked of a visitor that answers nothing: two sockets or more, the
        // last transaction first.
        let sent = transactions
            .iter()
            .rev()
            .flat_map(|transaction| [transaction, transaction]);
        let answers = futures_util::future::join_all(sent.map(|(path, body)| visitor.put(path, body))).await;
        let answers: Vec<Value> = answers.into_iter().map(gatehouse_testkit::Answer::ok).collect();
        for pair in answers.chunks(2) {
            assert_eq!(pair[0], pair[1], "{version}: a replay has the same answer");
        }
        // And once more, in order: what could not be placed then is now.
        for (number, events) in said.chunks(6).enumerate() {
            let pdus: Vec<Value> = events.iter().map(|event| event.pdu.clone()).collect();
            let (path, body) = visitor.transaction(&format!("{version}-{number}-again"), &pdus);
            let told = visitor.put(&path, &body).await.ok();
            for event in events {
                assert_eq!(told["pdus"][&event.id], json!({}), "{version}");
            }
        }
        let mut seen = texts(&alice, &room).await;
        assert_eq!(seen.len(), 30, "{version}: each once: {seen:?}");
        seen.sort_by_key(|text| text.parse::<u32>().unwrap());
        let all: Vec<String> = (0..30).map(|number| number.to_string()).collect();
        assert_eq!(seen, all, "{version}");
        is_healthy(&alice, &room).await;
    }
}

/// Joins, leaves, messages of ours and theirs at the same time: everybody gets an answer (security.md X16).
#[tokio::test]
async fn x16_joins_and_transactions_at_once_do_not_lock_each_other_out() {
    let authority = Authority::new().unwrap();
    let server = host(&authority).await;
    let visitors = [
        Visitor::new(&authority, &server).await,
        Visitor::new(&authority, &server).await,
    ];
    let alice = server.user("alice").await;
    let room = public_room(&alice, "11").await;
    let mut visits = Vec::new();
    for visitor in &visitors {
        visits.push(visitor.join(&room, &visitor.home.user("bob")).await);
    }
    let theirs = visitors.iter().zip(visits).map(|(visitor, mut visited)| {
        let (server, room) = (&server, &room);
        async move {
            let bob = visitor.home.user("bob");
            for number in 0..15 {
                server.clock().advance(std::time::Duration::from_millis(1));
                let said = visitor.next(&mut visited, &bob, "m.room.message", &message("theirs"));
                assert_eq!(visitor.send(&[said.pdu]).await[&said.id], json!({}), "{number}");
                visitor
                    .join(room, &visitor.home.user(&format!("user{number}")))
                    .await;
            }
        }
    });
    let ours = (0..4).map(|number| {
        let (server, room) = (&server, &room);
        async move {
            let user = server.anybody().await;
            for round in 0..10 {
                // Of events of one moment, the rules let any win.
                server.clock().advance(std::time::Duration::from_millis(1));
                user.join(room).await.ok();
                user.say(room, &format!("{number}-{round}"), "ours").await;
                server.clock().advance(std::time::Duration::from_millis(1));
                user.leave(room).await.ok();
            }
        }
    });
    tokio::join!(
        futures_util::future::join_all(theirs),
        futures_util::future::join_all(ours)
    );
    let texts = texts(&alice, &room).await;
    let count = |wanted: &str| texts.iter().filter(|text| *text == wanted).count();
    assert_eq!((count("theirs"), count("ours")), (30, 40));
    let members = alice
        .get(&format!("/rooms/{}/joined_members", escaped(&room)))
        .await
        .ok();
    assert_eq!(
        members["joined"].as_object().unwrap().len(),
        1 + 2 * 16,
        "{members}"
    );
}

#[tokio::test]
async fn d10_d11_what_is_no_event_does_nothing_in_the_name_of_others() {
    let authority = Authority::new().unwrap();
    let server = host(&authority).await;
    let visitor = Visitor::new(&authority, &server).await;
    let (alice, dan) = (server.user("alice").await, server.user("dan").await);
    let room = public_room(&alice, "11").await;
    dan.join(&room).await.ok();
    let visited = visitor.join(&room, &visitor.home.user("bob")).await;
    let since = alice.sync("", 0).await["next_batch"].as_str().unwrap().to_owned();
    let event = &visited.last.id;
    let edus = json!([
        { "edu_type": "m.typing", "content": { "room_id": room, "user_id": dan.id, "typing": true } },
        { "edu_type": "m.receipt", "content": { &room: { "m.read": { &dan.id: { "event_ids": [event], "data": { "ts": 1 } } } } } },
        { "edu_type": "m.presence", "content": { "push": [{ "user_id": dan.id, "presence": "online", "last_active_ago": 1 }] } },
        { "edu_type": "m.direct_to_device", "content": { "sender": dan.id, "type": "x", "message_id": "1",
            "messages": { &alice.id: { "*": { "x": 1 } } } } },
        { "edu_type": "m.device_list_update", "content": { "user_id": dan.id, "device_id": "X", "stream_id": 1 } },
        { "edu_type": "m.signing_key_update", "content": { "user_id": dan.id } },
        { "edu_type": 7, "content": [] }, { }, 7, "x", null,
    ]);
    let (path, mut body) = visitor.transaction("edus", &[]);
    body["edus"] = edus;
    visitor.put(&path, &body).await.ok();
    let sync = alice.sync(&since, 0).await;
    for part in ["to_device", "presence"] {
        let events = sync[part]["events"].as_array().map_or(0, Vec::len);
        assert_eq!(events, 0, "{part}: {sync}");
    }
    let ephemeral = &sync["rooms"]["join"][&room]["ephemeral"]["events"];
    assert!(ephemeral.as_array().is_none_or(Vec::is_empty), "{sync}");
    let changed = sync["device_lists"]["changed"].as_array().map_or(0, Vec::len);
    assert_eq!(changed, 0, "{sync}");
}

#[tokio::test]
async fn x06_x14_bodies_are_bounded_and_nobody_inflates_them() {
    let authority = Authority::new().unwrap();
    let server = host(&authority).await;
    let visitor = Visitor::new(&authority, &server).await;
    let alice = server.user("alice").await;
    let room = public_room(&alice, "11").await;
    let (path, mut body) = visitor.transaction("large", &[]);
    body["x"] = json!("x".repeat(16 << 20));
    visitor.put(&path, &body).await.refused(413, "M_TOO_LARGE");
    let joins = format!("/_matrix/federation/v2/send_join/{}/$x", escaped(&room));
    visitor
        .put(&joins, &json!({ "x": "x".repeat(256 << 10) }))
        .await
        .refused(413, "M_TOO_LARGE");
    // A request whose body says that it is compressed is what its bytes are.
    let (path, body) = visitor.transaction("small", &[]);
    let authorization = visitor
        .home
        .authorization("test.example", "PUT", &path, Some(&body));
    let gzip = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00";
    for encoding in ["gzip", "GZIP", "deflate", "br", "zstd", "gzip, gzip"] {
        let request = server.http().put(format!("{}{path}", server.base()));
        let request = request
            .header("content-encoding", encoding)
            .header("authorization", &authorization);
        let answer = request.body(gzip.to_vec()).send().await.unwrap();
        assert!(
            matches!(answer.status().as_u16(), 400 | 415),
            "{encoding}: {answer:?}"
        );
    }
}

#[tokio::test]
async fn e11_a_leave_and_a_knock_are_of_the_room_and_the_event_in_the_path() {
    let authority = Authority::new().unwrap();
    let server = host(&authority).await;
    let visitor = Visitor::new(&authority, &server).await;
    let alice = server.user("alice").await;
    let bob = visitor.home.user("bob");
    let room = public_room(&alice, "11").await;
    let other = public_room(&alice, "11").await;
    let visited = visitor.join(&room, &bob).await;
    for (operation, membership) in [
        ("v2/send_leave", "leave"),
        ("v1/send_knock", "knock"),
        ("v1/send_leave", "leave"),
    ] {
        let content = json!({ "membership": membership });
        let event = visitor.build(&visited, &bob, "m.room.member", Some(&bob), &content);
        let event = signed(&visitor, &visited, &event);
        let put = async |room: &str, id: &str, pdu: &Value| {
            let path = format!(
                "/_matrix/federation/{operation}/{}/{}",
                escaped(room),
                escaped(id)
            );
            visitor.put(&path, pdu).await
        };
        put(&other, &event.id, &event.pdu)
            .await
            .refused(400, "M_INVALID_PARAM");
        put(&room, "$other", &event.pdu)
            .await
            .refused(400, "M_INVALID_PARAM");
        let another = if membership == "leave" { "join" } else { "leave" };
        for (field, value) in [
            ("state_key", json!(alice.id)),
            ("type", json!("m.room.topic")),
            ("content", json!({ "membership": another })),
        ] {
            let mut wrong = visitor.build(&visited, &bob, "m.room.member", Some(&bob), &content);
            wrong[field] = value.clone();
            let wrong = signed(&visitor, &visited, &wrong);
            put(&room, &wrong.id, &wrong.pdu)
                .await
                .refused(400, "M_INVALID_PARAM");
        }
        let mut others = event.pdu.clone();
        others["sender"] = json!(alice.id);
        others["state_key"] = json!(alice.id);
        let others = visitor.home.sign(visited.version, &visited.id, &others).unwrap();
        let answer = put(&room, &others.id, &others.pdu).await;
        answer.refused(403, "M_FORBIDDEN");
    }
    let members = alice
        .get(&format!("/rooms/{}/joined_members", escaped(&room)))
        .await
        .ok();
    assert_eq!(members["joined"].as_object().unwrap().len(), 2, "{members}");
}

#[tokio::test]
async fn t02_a_server_that_floods_a_user_with_invites_is_told_to_wait() {
    let authority = Authority::new().unwrap();
    let file = authority.file();
    let server: TestServer = configured(|config| {
        config.federation.extra_ca_files = vec![file];
        config.federation.deny_ip_ranges = Some(Vec::new());
        config.rate_limits.enabled = true;
        config.rate_limits.registration = Some(rate(1_000.0, 1_000));
        config.rate_limits.federation = Some(rate(1_000.0, 1_000));
    })
    .await;
    let alice = server.user("alice").await;
    let (mut taken, mut refused) = (0, 0);
    let mut homes = Vec::new();
    for _ in 0..12 {
        // Another server each time: it is the user who is spared.
        let visitor = Visitor::new(&authority, &server).await;
        let room =
            gatehouse_test_peers::HostedRoom::open(&visitor.home, "11", server.clock().now_ms()).unwrap();
        let content = json!({ "membership": "invite" });
        let host = visitor.home.user("host");
        let invite = room
            .add(&visitor.home, &host, "m.room.member", Some(&alice.id), &content)
            .unwrap();
        let body = json!({ "event": invite.pdu, "room_version": "11", "invite_room_state": [] });
        let path = format!(
            "/_matrix/federation/v2/invite/{}/{}",
            escaped(room.id.as_str()),
            escaped(&invite.id)
        );
        let answer = visitor.put(&path, &body).await;
        if answer.status == 200 {
            taken += 1;
        } else {
            answer.refused(429, "M_LIMIT_EXCEEDED");
            refused += 1;
        }
        homes.push(visitor);
    }
    assert_eq!(
        (taken, refused),
        (10, 2),
        "ten, and then one every hundred seconds"
    );
    let sync = alice.sync("", 0).await;
    assert_eq!(sync["rooms"]["invite"].as_object().unwrap().len(), taken);
}

/// Power over the room that made it is the visitor's; the room stays what it was made (security.md E21).
#[tokio::test]
async fn e21_e24_what_a_peer_redacts_is_gone_for_our_clients_and_the_room_stays_what_it_is() {
    let authority = Authority::new().unwrap();
    let server = host(&authority).await;
    for version in ["6", "11", "12"] {
        let scene = Scene::joined(&authority, &server, version).await;
        let room = scene.room.id.as_str();
        let said = scene.say("a secret");
        assert_eq!(scene.send(&said).await, json!({}));
        let create = scene.room.state("m.room.create", "").unwrap();
        let redact = async |target: &SignedEvent| {
            let content = json!({ "redacts": target.id });
            let mut event = scene
                .room
                .build(&scene.host, "m.room.redaction", None, &content)
                .unwrap();
            event["redacts"] = json!(target.id);
            let signed = scene
                .visitor
                .home
                .sign(scene.room.version, &scene.room.id, &event)
                .unwrap();
            scene.room.keep(signed.clone());
            assert_eq!(scene.send(&signed).await, json!({}), "{version}");
            signed
        };
        redact(&said).await;
        let redaction = redact(&create).await;
        // A redaction of a redaction, and one of that, which turn nothing back.
        let again = redact(&redaction).await;
        redact(&again).await;
        let path = escaped(room);
        for asked in [
            format!("/rooms/{path}/event/{}", escaped(&said.id)),
            format!("/rooms/{path}/context/{}", escaped(&said.id)),
            format!("/rooms/{path}/messages?dir=b&limit=100"),
            "/sync?timeout=0".to_owned(),
        ] {
            let answer = scene.alice.get(&asked).await.ok();
            assert!(
                !answer.to_string().contains("a secret"),
                "{version}: {asked}: {answer}"
            );
        }
        let made = scene.alice.state(room, "m.room.create", "").await.ok();
        assert_eq!(made["room_version"], version, "{made}");
        scene.alice.say(room, "t", "goes on").await;
        is_healthy(&scene.alice, room).await;
    }
}

/// As the operator has it who changes nothing: no server in a private network is asked for anything (security.md I01).
#[tokio::test]
async fn i01_a_server_in_a_private_network_is_never_contacted() {
    let authority = Authority::new().unwrap();
    let file = authority.file();
    let server = configured(|config| config.federation.extra_ca_files = vec![file]).await;
    let visitor = Visitor::new(&authority, &server).await;
    let alice = server.user("alice").await;
    let (path, body) = visitor.transaction("t", &[]);
    visitor.put(&path, &body).await.refused(401, "M_UNAUTHORIZED");
    let name = visitor.home.name();
    let room = escaped(&format!("!x:{name}"));
    for what in ["join", "knock"] {
        let path = format!("/{what}/{room}?server_name={}", escaped(name));
        alice.post(&path, json!({})).await.refused(502, "M_UNKNOWN");
    }
    let own = alice.create_room(json!({})).await;
    let invited = alice.act_on("invite", &own, &visitor.home.user("bob")).await;
    invited.refused(502, "M_UNKNOWN");
    let alias = escaped(&format!("#x:{name}"));
    assert!(alice.get(&format!("/directory/room/{alias}")).await.status >= 400);
    let profile = escaped(&visitor.home.user("bob"));
    assert!(alice.get(&format!("/profile/{profile}")).await.status >= 400);
    assert_eq!(visitor.home.received().len(), 0);
}
