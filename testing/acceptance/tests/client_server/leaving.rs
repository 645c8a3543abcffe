//! `leaving.yaml`

use gatehouse_testkit::{started, user::escaped};
use serde_json::json;

use crate::snapshot;

#[tokio::test]
async fn one_who_leaves_says_why_and_can_no_longer_speak() {
    let server = started().await;
    let (alice, bob) = (server.anybody().await, server.anybody().await);
    let room = alice.public_room().await;
    bob.join(&room).await.ok();
    let path = format!("/rooms/{}/leave", escaped(&room));
    assert_eq!(
        bob.post(&path, json!({ "reason": "tired" })).await.ok(),
        json!({})
    );
    let member = alice.state(&room, "m.room.member", &bob.id).await.ok();
    assert_eq!(member["membership"], "leave");
    assert_eq!(member["reason"], "tired");
    let send = format!("/rooms/{}/send/m.room.message/1", escaped(&room));
    bob.put(&send, json!({ "body": "x" }))
        .await
        .forbidden("you are not in this room");
}

#[tokio::test]
async fn b13_leaving_twice_writes_once_and_a_stranger_cannot_leave() {
    let server = started().await;
    let (alice, bob, carol) = (
        server.anybody().await,
        server.anybody().await,
        server.anybody().await,
    );
    let room = alice.public_room().await;
    bob.join(&room).await.ok();
    bob.leave(&room).await.ok();
    let before = snapshot::of(&alice, &room).await;
    bob.leave(&room).await.ok();
    carol.leave(&room).await.forbidden("cannot leave");
    carol
        .leave("!nowhere:test.example")
        .await
        .forbidden("cannot leave");
    assert_eq!(snapshot::of(&alice, &room).await, before);
}

#[tokio::test]
async fn b14_the_banned_stay_banned_when_they_leave() {
    let server = started().await;
    let (alice, bob) = (server.anybody().await, server.anybody().await);
    let room = alice.public_room().await;
    alice.act_on("ban", &room, &bob.id).await.ok();
    let before = snapshot::of(&alice, &room).await;
    bob.leave(&room).await.forbidden("banned");
    assert_eq!(snapshot::of(&alice, &room).await, before);
}

#[tokio::test]
async fn leaving_rejects_an_invite() {
    let server = started().await;
    let (alice, bob) = (server.anybody().await, server.anybody().await);
    let room = alice.create_room(json!({ "invite": [bob.id] })).await;
    bob.leave(&room).await.ok();
    assert_eq!(
        alice.state(&room, "m.room.member", &bob.id).await.ok()["membership"],
        "leave"
    );
    bob.join(&room).await.forbidden("not invited");
    assert_eq!(bob.sync("", 0).await["rooms"]["invite"], json!({}));
}

#[tokio::test]
async fn b22_only_a_room_that_one_has_left_can_be_forgotten() {
    let server = started().await;
    let (alice, bob) = (server.anybody().await, server.anybody().await);
    let room = alice.create_room(json!({ "invite": [bob.id] })).await;
    let forget = format!("/rooms/{}/forget", escaped(&room));
    bob.post(&forget, json!({})).await.refused(400, "M_UNKNOWN");
    bob.join(&room).await.ok();
    bob.post(&forget, json!({})).await.refused(400, "M_UNKNOWN");
    bob.leave(&room).await.ok();
    let messages = format!("/rooms/{}/messages?dir=b", escaped(&room));
    bob.get(&messages).await.ok();
    assert_eq!(bob.post(&forget, json!({})).await.ok(), json!({}));
    bob.get(&messages).await.refused(403, "M_FORBIDDEN");
    bob.post(&forget, json!({})).await.ok();
}

#[tokio::test]
async fn one_who_closes_their_account_leaves_all_rooms() {
    let server = started().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let joined = alice.public_room().await;
    bob.join(&joined).await.ok();
    let invited = alice.create_room(json!({ "invite": [bob.id] })).await;
    let auth = json!({
        "type": "m.login.password", "password": "password of bob",
        "identifier": { "type": "m.id.user", "user": "bob" },
    });
    bob.post("/account/deactivate", json!({ "auth": auth }))
        .await
        .ok();
    for room in [joined, invited] {
        assert_eq!(
            alice.state(&room, "m.room.member", &bob.id).await.ok()["membership"],
            "leave"
        );
    }
}
