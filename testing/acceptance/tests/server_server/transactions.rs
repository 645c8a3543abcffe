//! `transactions.yaml`

use gatehouse_test_peers::Authority;
use gatehouse_testkit::{TestServer, User, user::escaped};
use serde_json::{Value, json};

use crate::visitor::{VERSIONS, VisitedRoom, Visitor, host, message};

/// A public room of this version.
pub(crate) async fn public_room(user: &User<'_>, version: &str) -> String {
    user.create_room(json!({ "preset": "public_chat", "room_version": version }))
        .await
}

/// The texts of a room's messages, oldest first.
pub(crate) async fn texts(user: &User<'_>, room: &str) -> Vec<String> {
    let path = format!("/rooms/{}/messages?dir=b&limit=200", escaped(room));
    texts_in(&user.get(&path).await.ok())
}

fn texts_in(page: &Value) -> Vec<String> {
    let mut texts: Vec<_> = page["chunk"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|event| Some(event["content"]["body"].as_str()?.to_owned()))
        .collect();
    texts.reverse();
    texts
}

/// Everything that a client may ask of the room still works.
pub(crate) async fn is_healthy(user: &User<'_>, room: &str) {
    user.whole_state(room).await;
    user.sync("", 0).await;
    texts(user, room).await;
}

#[tokio::test]
async fn messages_of_another_server_are_shown_in_rooms_of_every_version() {
    let authority = Authority::new().unwrap();
    let server = host(&authority).await;
    let visitor = Visitor::new(&authority, &server).await;
    let alice = server.user("alice").await;
    let bob = visitor.home.user("bob");
    for version in VERSIONS {
        let room = public_room(&alice, version).await;
        let mut visited = visitor.join(&room, &bob).await;
        let one = visitor.next(&mut visited, &bob, "m.room.message", &message("one"));
        let two = visitor.next(&mut visited, &bob, "m.room.message", &message("two"));
        let told = visitor.send(&[one.pdu, two.pdu]).await;
        assert_eq!(told, json!({ &one.id: {}, &two.id: {} }), "{version}");
        assert_eq!(texts(&alice, &room).await, ["one", "two"], "{version}");
    }
}

#[tokio::test]
async fn r13_a_transaction_is_taken_once_however_often_it_comes() {
    let authority = Authority::new().unwrap();
    let mut server = host(&authority).await;
    let (room, token) = {
        let visitor = Visitor::new(&authority, &server).await;
        let alice = server.user("alice").await;
        let bob = visitor.home.user("bob");
        let room = public_room(&alice, "10").await;
        let mut visited = visitor.join(&room, &bob).await;
        let one = visitor.next(&mut visited, &bob, "m.room.message", &message("one"));
        let two = visitor.next(&mut visited, &bob, "m.room.message", &message("two"));
        let (path, body) = visitor.transaction("once", std::slice::from_ref(&one.pdu));
        let at_once = futures_util::future::join_all((0..5).map(|_| visitor.put(&path, &body))).await;
        for answer in at_once {
            assert_eq!(answer.ok(), json!({ "pdus": { &one.id: {} } }));
        }
        // The id says that it is the same one.
        let (path, body) = visitor.transaction("once", std::slice::from_ref(&two.pdu));
        assert_eq!(
            visitor.put(&path, &body).await.ok(),
            json!({ "pdus": { &one.id: {} } })
        );
        assert_eq!(texts(&alice, &room).await, ["one"]);
        // The same event in another transaction changes nothing, and neither does the order.
        let told = visitor.send(&[two.pdu.clone(), one.pdu.clone()]).await;
        assert_eq!(told, json!({ &one.id: {}, &two.id: {} }));
        assert_eq!(
            visitor.send(std::slice::from_ref(&two.pdu)).await,
            json!({ &two.id: {} })
        );
        assert_eq!(texts(&alice, &room).await, ["one", "two"]);
        (room, alice.token.clone())
    };
    server.restart().await.unwrap();
    let path = format!("/_matrix/client/v3/rooms/{}/messages?dir=b", escaped(&room));
    let page = server.request_with(&token, "GET", &path, None).await.ok();
    assert_eq!(texts_in(&page), ["one", "two"]);
}

#[tokio::test]
async fn e06_a_request_is_what_was_signed_or_nothing() {
    let authority = Authority::new().unwrap();
    let server = host(&authority).await;
    let visitor = Visitor::new(&authority, &server).await;
    let alice = server.user("alice").await;
    let bob = visitor.home.user("bob");
    let room = public_room(&alice, "10").await;
    let mut visited = visitor.join(&room, &bob).await;
    let one = visitor.next(&mut visited, &bob, "m.room.message", &message("one"));
    let (path, body) = visitor.transaction("t", &[one.pdu]);
    let refused = async |authorization: &str, method: &str, path: &str, body: &Value| {
        let answer = visitor.ask_with(authorization, method, path, Some(body)).await;
        answer.refused(401, "M_UNAUTHORIZED");
    };
    let signed = |to: &str| visitor.home.authorization(to, "PUT", &path, Some(&body));
    refused("", "PUT", &path, &body).await;
    refused(&signed("other.example"), "PUT", &path, &body).await;
    let good = signed("test.example");
    let mut other = body.clone();
    other["pdus"] = json!([]);
    refused(&good, "PUT", &path, &other).await;
    refused(&good, "PUT", "/_matrix/federation/v1/send/u", &body).await;
    refused(&good, "PUT", &format!("{path}?x"), &body).await;
    refused(&good.replace("sig=\"", "sig=\"A"), "PUT", &path, &body).await;
    refused(
        &good.replace("key=\"ed25519:", "key=\"ed25519:x"),
        "PUT",
        &path,
        &body,
    )
    .await;
    let other = Visitor::new(&authority, &server).await;
    let stolen = good.replace(visitor.home.name(), other.home.name());
    refused(&stolen, "PUT", &path, &body).await;
    assert_eq!(texts(&alice, &room).await, Vec::<String>::new());
    visitor.ask_with(&good, "PUT", &path, Some(&body)).await.ok();
    assert_eq!(texts(&alice, &room).await, ["one"]);
}

#[tokio::test]
async fn a_transaction_has_fifty_pdus_and_a_hundred_edus_at_most() {
    let authority = Authority::new().unwrap();
    let server = host(&authority).await;
    let visitor = Visitor::new(&authority, &server).await;
    let pdu = json!({ "room_id": "!nowhere:test.example" });
    let edu = json!({ "edu_type": "m.presence", "content": {} });
    for (pdus, edus, taken) in [(50, 100, true), (51, 0, false), (0, 101, false)] {
        let (path, mut body) = visitor.transaction(&format!("{pdus}"), &vec![pdu.clone(); pdus]);
        body["edus"] = json!(vec![edu.clone(); edus]);
        let answer = visitor.put(&path, &body).await;
        if taken {
            answer.ok();
        } else {
            answer.refused(400, "M_INVALID_PARAM");
        }
    }
    for wrong in [json!([]), json!({ "pdus": {} }), json!({ "pdus": [], "edus": 1 })] {
        let answer = visitor.put("/_matrix/federation/v1/send/wrong", &wrong).await;
        answer.refused(400, "M_BAD_JSON");
    }
}

/// A room with bob of the visitor in it, and who is at home there.
async fn visited<'a>(
    server: &'a TestServer,
    visitor: &Visitor<'a>,
    version: &str,
) -> (User<'a>, String, VisitedRoom) {
    let alice = server.anybody().await;
    let room = public_room(&alice, version).await;
    let visited = visitor.join(&room, &visitor.home.user("bob")).await;
    (alice, room, visited)
}

/// What is done to an event on the way.
type Poison = fn(&mut Value);

#[tokio::test]
async fn r14_one_bad_event_does_not_hold_up_the_others() {
    let authority = Authority::new().unwrap();
    let server = host(&authority).await;
    let visitor = Visitor::new(&authority, &server).await;
    let bob = visitor.home.user("bob");
    let poisons: [(&str, Poison); 9] = [
        ("a depth beyond all numbers", |event| {
            event["depth"] = json!(1_u64 << 60);
        }),
        ("a depth below zero", |event| event["depth"] = json!(-1)),
        ("a fraction", |event| event["content"]["n"] = json!(1.5)),
        ("another sender", |event| {
            event["sender"] = json!("@mallory:elsewhere.example");
        }),
        ("a broken signature", |event| event["origin_server_ts"] = json!(1)),
        ("no signature", |event| event["signatures"] = json!({})),
        ("a key that parsers stumble over", |event| {
            event["content"] = json!({ "$serde_json::private::RawValue": "{}" });
        }),
        ("a nest", |event| {
            let nest = (0..120).fold(json!(1), |inner, _| json!([inner]));
            event["content"] = json!({ "nest": nest });
        }),
        ("no content", |event| event["content"] = json!(null)),
    ];
    for (name, poison) in poisons {
        let (alice, room, mut visited) = self::visited(&server, &visitor, "10").await;
        let mut pdus = Vec::new();
        for number in 0..49 {
            let text = message(&number.to_string());
            pdus.push(visitor.next(&mut visited, &bob, "m.room.message", &text).pdu);
        }
        let mut bad = pdus[20].clone();
        poison(&mut bad);
        pdus.insert(20, bad);
        visitor.send(&pdus).await;
        assert_eq!(texts(&alice, &room).await.len(), 49, "{name}");
        is_healthy(&alice, &room).await;
    }
}

#[tokio::test]
async fn r14_a_fraction_in_an_old_room_does_not_make_the_transaction_unsigned() {
    let authority = Authority::new().unwrap();
    let server = host(&authority).await;
    let visitor = Visitor::new(&authority, &server).await;
    let bob = visitor.home.user("bob");
    let (alice, room, mut visited) = visited(&server, &visitor, "5").await;
    let one = visitor.next(&mut visited, &bob, "m.room.message", &message("one"));
    let mut with_fraction = one.pdu.clone();
    with_fraction["content"]["n"] = json!(1.5);
    let told = visitor.send(&[with_fraction]).await;
    assert_eq!(told, json!({ &one.id: {} }));
    // What cannot be kept is redacted.
    assert_eq!(texts(&alice, &room).await, Vec::<String>::new());
    is_healthy(&alice, &room).await;
}

#[tokio::test]
async fn what_the_rules_do_not_allow_is_not_shown() {
    let authority = Authority::new().unwrap();
    let server = host(&authority).await;
    let visitor = Visitor::new(&authority, &server).await;
    let bob = visitor.home.user("bob");
    for version in ["1", "6", "12"] {
        let (alice, room, mut visited) = self::visited(&server, &visitor, version).await;
        let topic = visitor.build(
            &visited,
            &bob,
            "m.room.topic",
            Some(""),
            &json!({ "topic": "bob's" }),
        );
        let topic = visitor.home.sign(visited.version, &visited.id, &topic).unwrap();
        let told = visitor.send(&[topic.pdu]).await;
        assert_eq!(told[&topic.id], json!({}), "{version}: it was dealt with: {told}");
        assert_eq!(
            alice.state(&room, "m.room.topic", "").await.status,
            404,
            "{version}"
        );
        // Who was never in the room says nothing in it.
        let eve = visitor.home.user("eve");
        let mut event = visitor.build(&visited, &eve, "m.room.message", None, &message("eve's"));
        event["sender"] = eve.as_str().into();
        let event = visitor.home.sign(visited.version, &visited.id, &event).unwrap();
        visitor.send(&[event.pdu]).await;
        let one = visitor.next(&mut visited, &bob, "m.room.message", &message("bob's"));
        visitor.send(&[one.pdu]).await;
        assert_eq!(texts(&alice, &room).await, ["bob's"], "{version}");
        is_healthy(&alice, &room).await;
    }
}

#[tokio::test]
async fn e30_who_is_kept_out_by_the_rooms_acl_is_kept_out_of_everything() {
    let authority = Authority::new().unwrap();
    let server = host(&authority).await;
    let visitor = Visitor::new(&authority, &server).await;
    let bob = visitor.home.user("bob");
    let (alice, room, mut visited) = visited(&server, &visitor, "11").await;
    let at = visited.last.id.clone();
    // Addresses are written in capitals nowhere, so the pattern is one without letters.
    let acl = json!({ "allow": ["*"], "deny": ["127.0.0.?"] });
    alice.set_state(&room, "m.room.server_acl", "", acl).await.ok();
    let one = visitor.next(&mut visited, &bob, "m.room.message", &message("one"));
    let told = visitor.send(&[one.pdu]).await;
    assert!(told[&one.id]["error"].is_string(), "{told}");
    assert_eq!(texts(&alice, &room).await, Vec::<String>::new());
    let room_path = escaped(&room);
    for path in [
        format!("state/{room_path}?event_id={}", escaped(&at)),
        format!("state_ids/{room_path}?event_id={}", escaped(&at)),
        format!("backfill/{room_path}?v={}&limit=5", escaped(&at)),
        format!("event_auth/{room_path}/{}", escaped(&at)),
        format!(
            "make_join/{room_path}/{}?ver=11",
            escaped(&visitor.home.user("carol"))
        ),
        format!("make_leave/{room_path}/{}", escaped(&bob)),
        format!("timestamp_to_event/{room_path}?ts=0&dir=f"),
    ] {
        let answer = visitor.get(&format!("/_matrix/federation/v1/{path}")).await;
        answer.refused(403, "M_FORBIDDEN");
    }
    let body = json!({ "earliest_events": [], "latest_events": [at] });
    let path = format!("/_matrix/federation/v1/get_missing_events/{room_path}");
    visitor
        .ask("POST", &path, Some(&body))
        .await
        .refused(403, "M_FORBIDDEN");
}

#[tokio::test]
async fn e23_redactions_of_themselves_and_of_each_other_end() {
    let authority = Authority::new().unwrap();
    let server = host(&authority).await;
    let visitor = Visitor::new(&authority, &server).await;
    let alice = server.user("alice").await;
    let bob = visitor.home.user("bob");
    let room = public_room(&alice, "1").await;
    let mut visited = visitor.join(&room, &bob).await;
    let id = |name: &str| format!("${name}:{}", visitor.home.name());
    for (event, redacts) in [("self", "self"), ("one", "two"), ("two", "one")] {
        let mut redaction = visitor.build(&visited, &bob, "m.room.redaction", None, &json!({}));
        redaction["event_id"] = id(event).into();
        redaction["redacts"] = id(redacts).into();
        visited.last = visitor
            .home
            .sign(visited.version, &visited.id, &redaction)
            .unwrap();
        let told = visitor.send(std::slice::from_ref(&visited.last.pdu)).await;
        assert_eq!(told, json!({ id(event): {} }));
    }
    alice.sees_event(&room, &id("self")).await;
    alice.sees_event(&room, &id("two")).await;
}
