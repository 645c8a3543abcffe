//! `redaction.yaml`

use gatehouse_testkit::{User, started, user::escaped};
use serde_json::{Value, json};

use crate::snapshot;

async fn redact(user: &User<'_>, room: &str, event: &str, transaction: &str) -> gatehouse_testkit::Answer {
    let path = format!("/rooms/{}/redact/{}/{transaction}", escaped(room), escaped(event));
    user.put(&path, json!({ "reason": "spam" })).await
}

async fn event(user: &User<'_>, room: &str, event: &str) -> Value {
    user.get(&format!("/rooms/{}/event/{}", escaped(room), escaped(event)))
        .await
        .ok()
}

#[tokio::test]
async fn what_is_redacted_is_gone_and_says_why() {
    let server = started().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    for version in ["10", "11", "12"] {
        let room = alice
            .create_room(json!({ "preset": "public_chat", "room_version": version }))
            .await;
        bob.join(&room).await.ok();
        let said = bob.say(&room, &format!("1{version}"), "nonsense").await;
        let redaction = redact(&alice, &room, &said, &format!("2{version}")).await.ok();
        let shown = event(&bob, &room, &said).await;
        assert_eq!(shown["content"], json!({}));
        let because = &shown["unsigned"]["redacted_because"];
        assert_eq!(because["event_id"], redaction["event_id"]);
        assert_eq!(shown["unsigned"]["redacted_by"], redaction["event_id"]);
        assert_eq!(because["content"]["reason"], "spam");
        assert_eq!(because["content"]["redacts"], said.as_str());
        assert_eq!(because["redacts"], said.as_str());
        let page = bob
            .get(&format!("/rooms/{}/messages?dir=b", escaped(&room)))
            .await
            .ok();
        assert!(!page.to_string().contains("nonsense"), "{page}");
    }
}

#[tokio::test]
async fn e22_ones_own_events_need_no_power_and_those_of_others_do() {
    let server = started().await;
    let (alice, bob, carol) = (
        server.user("alice").await,
        server.user("bob").await,
        server.user("carol").await,
    );
    let room = alice.public_room().await;
    bob.join(&room).await.ok();
    carol.join(&room).await.ok();
    let said = bob.say(&room, "1", "hello").await;
    let before = snapshot::of(&alice, &room).await;
    redact(&carol, &room, &said, "2").await.forbidden("power level");
    carol.leave(&room).await.ok();
    redact(&carol, &room, &said, "3")
        .await
        .forbidden("you are not in this room");
    assert_eq!(event(&alice, &room, &said).await["content"]["body"], "hello");
    assert_ne!(snapshot::of(&alice, &room).await, before, "she left");
    redact(&bob, &room, &said, "4").await.ok();
}

#[tokio::test]
async fn an_event_of_another_room_is_as_good_as_none() {
    let server = started().await;
    let alice = server.user("alice").await;
    let (room, other) = (alice.public_room().await, alice.public_room().await);
    let said = alice.say(&other, "1", "hello").await;
    let elsewhere = redact(&alice, &room, &said, "2").await;
    let nowhere = redact(&alice, &room, "$nowhere", "3").await;
    assert_eq!(elsewhere.body, nowhere.body);
    elsewhere.refused(400, "M_INVALID_PARAM");
    assert_eq!(event(&alice, &other, &said).await["content"]["body"], "hello");
}

#[tokio::test]
async fn a_repeated_redaction_is_one() {
    let server = started().await;
    let alice = server.user("alice").await;
    let room = alice.public_room().await;
    let said = alice.say(&room, "1", "hello").await;
    let first = redact(&alice, &room, &said, "2").await.ok();
    assert_eq!(redact(&alice, &room, &said, "2").await.ok(), first);
    assert_ne!(redact(&alice, &room, &said, "3").await.ok(), first);
}

#[tokio::test]
async fn old_clients_redact_without_a_transaction() {
    let server = started().await;
    let alice = server.user("alice").await;
    let room = alice.public_room().await;
    for version in ["api/v1", "r0", "v3"] {
        let said = alice
            .say(&room, version.trim_start_matches("api/"), "hello")
            .await;
        let path = format!(
            "/_matrix/client/{version}/rooms/{}/redact/{}",
            escaped(&room),
            escaped(&said)
        );
        let redacted = alice.request("POST", &path, Some(&json!({}))).await.ok();
        assert!(redacted["event_id"].is_string(), "{version}");
        assert_eq!(
            event(&alice, &room, &said).await["content"],
            json!({}),
            "{version}"
        );
    }
}

#[tokio::test]
async fn e21_a_redacted_create_event_keeps_the_rooms_version() {
    let server = started().await;
    let alice = server.user("alice").await;
    let room = alice.create_room(json!({ "room_version": "6" })).await;
    let state = alice.whole_state(&room).await;
    let create = state
        .as_array()
        .unwrap()
        .iter()
        .find(|event| event["type"] == "m.room.create")
        .unwrap();
    let answer = redact(&alice, &room, create["event_id"].as_str().unwrap(), "1").await;
    assert!(matches!(answer.status, 200 | 403), "{}", answer.body);
    alice.say(&room, "2", "still of version 6").await;
    let members = alice
        .get(&format!("/rooms/{}/joined_members", escaped(&room)))
        .await
        .ok();
    assert!(!members["joined"][&alice.id].is_null());
}
