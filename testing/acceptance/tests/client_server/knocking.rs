//! `knocking.yaml`

use gatehouse_testkit::{TestServer, User, started, user::escaped};
use serde_json::{Value, json};

use crate::snapshot;

/// A room with this join rule.
async fn room_with(alice: &User<'_>, version: &str, rule: &str) -> String {
    let rules = json!({ "type": "m.room.join_rules", "content": { "join_rule": rule } });
    alice
        .create_room(json!({ "room_version": version, "initial_state": [rules] }))
        .await
}

async fn knock(user: &User<'_>, room: &str, body: Value) -> gatehouse_testkit::Answer {
    user.post(&format!("/knock/{}", escaped(room)), body).await
}

async fn two(server: &TestServer) -> (User<'_>, User<'_>) {
    (server.user("alice").await, server.user("bob").await)
}

#[tokio::test]
async fn one_who_knocks_can_be_let_in() {
    let server = started().await;
    let (alice, bob) = two(&server).await;
    let room = room_with(&alice, "12", "knock").await;
    bob.join(&room).await.forbidden("not invited");
    let answer = knock(&bob, &room, json!({ "reason": "please" })).await.ok();
    assert_eq!(answer, json!({ "room_id": room }));
    let member = alice.state(&room, "m.room.member", &bob.id).await.ok();
    assert_eq!(
        (&member["membership"], &member["reason"]),
        (&json!("knock"), &json!("please"))
    );
    let sync = bob.sync("", 0).await;
    assert!(
        !sync["rooms"]["knock"][&room]["knock_state"]["events"].is_null(),
        "{sync}"
    );
    alice.act_on("invite", &room, &bob.id).await.ok();
    bob.join(&room).await.ok();
}

#[tokio::test]
async fn b19_knocking_is_for_rooms_that_take_knocks_and_users_outside() {
    let server = started().await;
    let (alice, bob) = two(&server).await;
    let closed = alice.create_room(json!({})).await;
    let before = snapshot::of(&alice, &closed).await;
    knock(&bob, &closed, json!({})).await.forbidden("knock");
    assert_eq!(snapshot::of(&alice, &closed).await, before);

    let room = room_with(&alice, "12", "knock").await;
    knock(&alice, &room, json!({}))
        .await
        .forbidden("already in this room");
    alice.act_on("invite", &room, &bob.id).await.ok();
    knock(&bob, &room, json!({})).await.forbidden("already invited");
    alice.act_on("ban", &room, &bob.id).await.ok();
    let before = snapshot::of(&alice, &room).await;
    knock(&bob, &room, json!({})).await.forbidden("banned");
    assert_eq!(snapshot::of(&alice, &room).await, before);
}

#[tokio::test]
async fn b19_old_room_versions_have_no_knocks() {
    let server = started().await;
    let (alice, bob) = two(&server).await;
    let room = alice.create_room(json!({ "room_version": "6" })).await;
    knock(&bob, &room, json!({}))
        .await
        .refused(400, "M_UNSUPPORTED_ROOM_VERSION");
}

#[tokio::test]
async fn a_knock_can_be_taken_back_and_turned_down() {
    let server = started().await;
    let (alice, bob) = two(&server).await;
    let room = room_with(&alice, "12", "knock").await;
    knock(&bob, &room, json!({})).await.ok();
    bob.leave(&room).await.ok();
    knock(&bob, &room, json!({})).await.ok();
    alice.act_on("kick", &room, &bob.id).await.ok();
    assert_eq!(
        alice.state(&room, "m.room.member", &bob.id).await.ok()["membership"],
        "leave"
    );
}
