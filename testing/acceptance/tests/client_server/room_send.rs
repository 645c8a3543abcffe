//! `room_send.yaml`

use gatehouse_testkit::{started, user::escaped};
use serde_json::json;

use crate::snapshot;

#[tokio::test]
async fn what_is_sent_reaches_the_others() {
    let server = started().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let room = alice.public_room().await;
    bob.join(&room).await.ok();
    let since = bob.sync("", 0).await["next_batch"].as_str().unwrap().to_owned();
    let event_id = alice.say(&room, "1", "hello").await;
    let sync = bob.sync(&since, 0).await;
    let event = &sync["rooms"]["join"][&room]["timeline"]["events"][0];
    assert_eq!(event["event_id"], event_id.as_str());
    assert_eq!(event["content"]["body"], "hello");
    assert_eq!(event["sender"], alice.id.as_str());
    assert!(
        event["unsigned"]["transaction_id"].is_null(),
        "only the sender's device sees that"
    );
}

#[tokio::test]
async fn a_repeated_request_sends_once_also_after_a_restart() {
    let mut server = started().await;
    let (token, id, room, first) = {
        let alice = server.user("alice").await;
        let room = alice.public_room().await;
        let first = alice.say(&room, "once", "hello").await;
        let before = snapshot::of(&alice, &room).await;
        assert_eq!(alice.say(&room, "once", "hello").await, first);
        assert_eq!(
            alice.say(&room, "once", "something else").await,
            first,
            "the id decides"
        );
        assert_eq!(snapshot::of(&alice, &room).await, before);
        let r0 = format!(
            "/_matrix/client/r0/rooms/{}/send/m.room.message/once",
            escaped(&room)
        );
        let answer = alice.request("PUT", &r0, Some(&json!({}))).await.ok();
        assert_eq!(answer["event_id"], first.as_str(), "whatever the prefix");
        (alice.token.clone(), alice.id.clone(), room, first)
    };
    server.restart().await.unwrap();
    let login = json!({ "user_id": id, "access_token": token });
    let alice = gatehouse_testkit::User::from_login(&server, &login);
    assert_eq!(alice.say(&room, "once", "hello").await, first);
    let page = alice
        .get(&format!("/rooms/{}/messages?dir=b&limit=50", escaped(&room)))
        .await
        .ok();
    let sent = page["chunk"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|event| event["type"] == "m.room.message");
    assert_eq!(sent.count(), 1);
}

#[tokio::test]
async fn a_transaction_id_belongs_to_a_device_and_a_path() {
    let server = started().await;
    let alice = server.user("alice").await;
    let room = alice.public_room().await;
    let other_room = alice.public_room().await;
    let first = alice.say(&room, "1", "hello").await;
    let other_device = alice.log_in_again().await;
    assert_ne!(other_device.say(&room, "1", "hello").await, first);
    assert_ne!(alice.say(&other_room, "1", "hello").await, first);
    let other_kind = format!("/rooms/{}/send/org.example/1", escaped(&room));
    assert_ne!(
        alice.put(&other_kind, json!({})).await.ok()["event_id"],
        first.as_str()
    );
}

#[tokio::test]
async fn one_transaction_at_once_many_times_sends_once() {
    let server = started().await;
    let alice = server.user("alice").await;
    let room = alice.public_room().await;
    let sent = futures_util::future::join_all((0..20).map(|_| alice.say(&room, "1", "hello"))).await;
    assert!(sent.iter().all(|event_id| *event_id == sent[0]), "{sent:?}");
}

#[tokio::test]
async fn without_a_transaction_id_each_request_sends() {
    let server = started().await;
    let alice = server.user("alice").await;
    let room = alice.public_room().await;
    let path = format!("/rooms/{}/send/m.room.message", escaped(&room));
    let first = alice.post(&path, json!({ "body": "x" })).await.ok();
    assert_ne!(alice.post(&path, json!({ "body": "x" })).await.ok(), first);
}

#[tokio::test]
async fn only_members_with_the_power_to_speak_speak() {
    let server = started().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let levels = json!({ "events_default": 10 });
    let room = alice
        .create_room(json!({ "preset": "public_chat", "power_level_content_override": levels }))
        .await;
    let before = snapshot::of(&alice, &room).await;
    let send = |room: &str| format!("/rooms/{}/send/m.room.message/1", escaped(room));
    let outside = bob.put(&send(&room), json!({ "body": "x" })).await;
    let nowhere = bob
        .put(&send("!nowhere:test.example"), json!({ "body": "x" }))
        .await;
    assert_eq!(outside.body, nowhere.body);
    outside.forbidden("you are not in this room");
    assert_eq!(snapshot::of(&alice, &room).await, before);
    bob.join(&room).await.ok();
    let before = snapshot::of(&alice, &room).await;
    bob.put(&send(&room), json!({ "body": "x" }))
        .await
        .forbidden("power level");
    assert_eq!(snapshot::of(&alice, &room).await, before);
}

#[tokio::test]
async fn e27_what_events_cannot_hold_is_refused() {
    let server = started().await;
    let alice = server.user("alice").await;
    let room = alice.public_room().await;
    let path = format!(
        "{}/_matrix/client/v3/rooms/{}/send/m.room.message/",
        server.base(),
        escaped(&room)
    );
    let before = snapshot::of(&alice, &room).await;
    let long = format!(r#"{{"body":"{}"}}"#, "x".repeat(70_000));
    let huge = format!(r#"{{"body":"{}"}}"#, "x".repeat(200_000));
    let deep = format!("{}1{}", r#"{"a":"#.repeat(200), "}".repeat(200));
    let cases = [
        (r#"{"n":1.5}"#, 400, "M_BAD_JSON"),
        (r#"{"n":1e3}"#, 400, "M_BAD_JSON"),
        (r#"{"n":9007199254740992}"#, 400, "M_BAD_JSON"),
        (r#"{"n":NaN}"#, 400, "M_NOT_JSON"),
        (r#"{"n":"\ud800"}"#, 400, "M_NOT_JSON"),
        ("[]", 400, "M_BAD_JSON"),
        ("", 400, "M_NOT_JSON"),
        (&deep, 400, "M_BAD_JSON"),
        (&long, 413, "M_TOO_LARGE"),
        (&huge, 413, "M_TOO_LARGE"),
    ];
    for (n, (body, status, code)) in cases.into_iter().enumerate() {
        let request = server
            .http()
            .put(format!("{path}{n}"))
            .bearer_auth(&alice.token)
            .body(body.to_owned());
        let response = request.send().await.unwrap();
        assert_eq!(response.status().as_u16(), status, "{code} {n}");
        let answer: serde_json::Value = response.json().await.unwrap();
        assert_eq!(answer["errcode"], code, "{n}");
    }
    let kind = "k".repeat(256);
    let long_kind = format!("/rooms/{}/send/{kind}/1", escaped(&room));
    alice.put(&long_kind, json!({})).await.refused(413, "M_TOO_LARGE");
    assert_eq!(snapshot::of(&alice, &room).await, before);
}
