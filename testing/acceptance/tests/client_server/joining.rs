//! `joining.yaml`

use gatehouse_testkit::started;
use serde_json::json;

#[tokio::test]
async fn b01_an_invite_only_room_lets_in_the_invited_only() {
    let server = started().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let room = alice.create_room(json!({ "preset": "private_chat" })).await;
    let before = alice.whole_state(&room).await;
    bob.join(&room).await.forbidden("not invited");
    assert_eq!(alice.whole_state(&room).await, before, "nothing is written");
    alice.act_on("invite", &room, &bob.id).await.ok();
    assert_eq!(bob.join(&room).await.ok(), json!({ "room_id": room }));
}

#[tokio::test]
async fn b02_the_banned_stay_out() {
    let server = started().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let room = alice.public_room().await;
    bob.join(&room).await.ok();
    alice.act_on("ban", &room, &bob.id).await.ok();
    let before = alice.whole_state(&room).await;
    bob.join(&room).await.forbidden("banned");
    bob.leave(&room).await.forbidden("banned");
    assert_eq!(alice.whole_state(&room).await, before, "nothing is written");
}
