//! `kicking.yaml`

use gatehouse_testkit::{started, user::escaped};
use serde_json::json;

use crate::snapshot;

#[tokio::test]
async fn one_who_is_kicked_is_out_and_may_come_back() {
    let server = started().await;
    let (alice, bob) = (server.anybody().await, server.anybody().await);
    let room = alice.public_room().await;
    bob.join(&room).await.ok();
    let path = format!("/rooms/{}/kick", escaped(&room));
    alice
        .post(&path, json!({ "user_id": bob.id, "reason": "noise" }))
        .await
        .ok();
    let member = alice.state(&room, "m.room.member", &bob.id).await.ok();
    assert_eq!(
        (&member["membership"], &member["reason"]),
        (&json!("leave"), &json!("noise"))
    );
    bob.join(&room).await.ok();
}

#[tokio::test]
async fn b15_kicking_takes_being_there_and_more_power() {
    let server = started().await;
    let (alice, bob, carol) = (
        server.anybody().await,
        server.anybody().await,
        server.anybody().await,
    );
    let room = alice.public_room().await;
    bob.join(&room).await.ok();
    let before = snapshot::of(&alice, &room).await;
    carol
        .act_on("kick", &room, &bob.id)
        .await
        .forbidden("you are not in this room");
    bob.act_on("kick", &room, &alice.id)
        .await
        .forbidden("power level");
    assert_eq!(snapshot::of(&alice, &room).await, before);
}

#[tokio::test]
async fn b15_nobody_kicks_their_equal() {
    let server = started().await;
    let (alice, bob, carol) = (
        server.anybody().await,
        server.anybody().await,
        server.anybody().await,
    );
    let users = json!({ &alice.id: 100, &bob.id: 50, &carol.id: 50 });
    let room = alice
        .create_room(json!({
            "preset": "public_chat", "room_version": "11",
            "power_level_content_override": { "users": users },
        }))
        .await;
    bob.join(&room).await.ok();
    carol.join(&room).await.ok();
    let before = snapshot::of(&alice, &room).await;
    bob.act_on("kick", &room, &carol.id)
        .await
        .forbidden("as much power as you");
    bob.act_on("ban", &room, &carol.id)
        .await
        .forbidden("as much power as you");
    assert_eq!(snapshot::of(&alice, &room).await, before);
}

#[tokio::test]
async fn b16_a_kick_reaches_nobody_outside_and_lifts_no_ban() {
    let server = started().await;
    let (alice, bob, carol) = (
        server.anybody().await,
        server.anybody().await,
        server.anybody().await,
    );
    let room = alice.public_room().await;
    alice.act_on("ban", &room, &bob.id).await.ok();
    let before = snapshot::of(&alice, &room).await;
    alice
        .act_on("kick", &room, &carol.id)
        .await
        .forbidden("not in this room");
    alice.act_on("kick", &room, &bob.id).await.forbidden("banned");
    assert_eq!(snapshot::of(&alice, &room).await, before);
}

#[tokio::test]
async fn a_kick_takes_back_an_invite() {
    let server = started().await;
    let (alice, bob) = (server.anybody().await, server.anybody().await);
    let room = alice.create_room(json!({ "invite": [bob.id] })).await;
    alice.act_on("kick", &room, &bob.id).await.ok();
    bob.join(&room).await.forbidden("not invited");
}
