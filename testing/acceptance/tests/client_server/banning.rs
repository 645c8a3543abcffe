//! `banning.yaml`

use gatehouse_testkit::{started, user::escaped};
use serde_json::json;

use crate::snapshot;

#[tokio::test]
async fn a_ban_keeps_somebody_out_until_it_is_lifted() {
    let server = started().await;
    let (alice, bob) = (server.anybody().await, server.anybody().await);
    let room = alice.public_room().await;
    bob.join(&room).await.ok();
    let path = format!("/rooms/{}/ban", escaped(&room));
    alice
        .post(&path, json!({ "user_id": bob.id, "reason": "spam" }))
        .await
        .ok();
    let member = alice.state(&room, "m.room.member", &bob.id).await.ok();
    assert_eq!(
        (&member["membership"], &member["reason"]),
        (&json!("ban"), &json!("spam"))
    );
    bob.join(&room).await.forbidden("banned");
    alice.act_on("unban", &room, &bob.id).await.ok();
    assert_eq!(
        alice.state(&room, "m.room.member", &bob.id).await.ok()["membership"],
        "leave"
    );
    bob.join(&room).await.ok();
}

#[tokio::test]
async fn b17_only_a_ban_is_lifted_and_only_by_those_who_may_ban() {
    let server = started().await;
    let (alice, bob, carol) = (
        server.anybody().await,
        server.anybody().await,
        server.anybody().await,
    );
    let room = alice.public_room().await;
    bob.join(&room).await.ok();
    alice.act_on("ban", &room, &carol.id).await.ok();
    let before = snapshot::of(&alice, &room).await;
    bob.act_on("unban", &room, &carol.id)
        .await
        .forbidden("power level");
    alice
        .act_on("unban", &room, &bob.id)
        .await
        .forbidden("not banned");
    alice
        .act_on("unban", &room, "@stranger:test.example")
        .await
        .forbidden("not banned");
    assert_eq!(snapshot::of(&alice, &room).await, before);
}

#[tokio::test]
async fn b18_banning_takes_more_power() {
    let server = started().await;
    let (alice, bob, carol) = (
        server.anybody().await,
        server.anybody().await,
        server.anybody().await,
    );
    let room = alice.public_room().await;
    bob.join(&room).await.ok();
    let before = snapshot::of(&alice, &room).await;
    bob.act_on("ban", &room, &alice.id).await.forbidden("power level");
    carol
        .act_on("ban", &room, &bob.id)
        .await
        .forbidden("you are not in this room");
    assert_eq!(snapshot::of(&alice, &room).await, before);
}

#[tokio::test]
async fn the_banned_see_nothing_that_comes_later() {
    let server = started().await;
    let (alice, bob) = (server.anybody().await, server.anybody().await);
    let room = alice.public_room().await;
    bob.join(&room).await.ok();
    let since = bob.sync("", 0).await["next_batch"].as_str().unwrap().to_owned();
    alice.act_on("ban", &room, &bob.id).await.ok();
    alice.say(&room, "1", "now that he is gone").await;
    let sync = bob.sync(&since, 0).await;
    assert!(!sync["rooms"]["leave"][&room].is_null(), "{sync}");
    assert!(!sync.to_string().contains("now that he is gone"), "{sync}");
}
