//! Accounts that an administrator has suspended, locked or closed, and what they may still change (T34).

use gatehouse_testkit::{Answer, User, started, user::escaped};
use serde_json::{Value, json};

use crate::shared_secret::administrator;

/// Every request that changes a room, but for leaving it and for redacting what one sent oneself.
async fn writes(user: &User<'_>, room: &str, event: &str) -> Vec<Answer> {
    let room = escaped(room);
    let target = json!({ "user_id": "@nobody:test.example" });
    let post = async |path: String, body: &Value| user.post(&path, body.clone()).await;
    let put = async |path: String| user.put(&path, json!({})).await;
    vec![
        post(format!("/rooms/{room}/join"), &json!({})).await,
        post(format!("/join/{room}"), &json!({})).await,
        post(format!("/knock/{room}"), &json!({})).await,
        post(format!("/rooms/{room}/invite"), &target).await,
        post(format!("/rooms/{room}/kick"), &target).await,
        post(format!("/rooms/{room}/ban"), &target).await,
        post(format!("/rooms/{room}/unban"), &target).await,
        post(format!("/rooms/{room}/upgrade"), &json!({ "new_version": "12" })).await,
        post("/createRoom".to_owned(), &json!({})).await,
        post(format!("/rooms/{room}/send/m.room.message"), &json!({})).await,
        put(format!("/rooms/{room}/send/m.room.message/1")).await,
        put(format!("/rooms/{room}/state/org.example")).await,
        put(format!("/rooms/{room}/redact/{}/2", escaped(event))).await,
    ]
}

#[tokio::test]
async fn t34_the_suspended_may_read_and_leave_and_take_back_what_they_said() {
    let server = started().await;
    let administrator = administrator(&server).await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let room = alice.public_room().await;
    bob.join(&room).await.ok();
    let (hers, his) = (
        alice.say(&room, "1", "hers").await,
        bob.say(&room, "1", "his").await,
    );
    let suspend = format!("/_synapse/admin/v1/suspend/{}", escaped(&bob.id));
    administrator
        .request("PUT", &suspend, Some(&json!({ "suspend": true })))
        .await
        .ok();
    for answer in writes(&bob, &room, &hers).await {
        answer.refused(403, "M_USER_SUSPENDED");
    }
    bob.sync("", 0).await;
    let redact = format!("/rooms/{}/redact/{}/3", escaped(&room), escaped(&his));
    bob.put(&redact, json!({})).await.ok();
    bob.set_state(&room, "m.room.member", &bob.id, json!({ "membership": "leave" }))
        .await
        .ok();
    bob.leave(&room).await.ok();
}

#[tokio::test]
async fn t34_the_locked_may_do_nothing_and_are_not_logged_out() {
    let server = started().await;
    let administrator = administrator(&server).await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let room = alice.public_room().await;
    bob.join(&room).await.ok();
    let said = bob.say(&room, "1", "his").await;
    let path = format!("/_synapse/admin/v2/users/{}", escaped(&bob.id));
    administrator
        .request("PUT", &path, Some(&json!({ "locked": true })))
        .await
        .ok();
    for answer in writes(&bob, &room, &said).await {
        assert_eq!(answer.refused(401, "M_USER_LOCKED")["soft_logout"], true);
    }
    administrator
        .request("PUT", &path, Some(&json!({ "locked": false })))
        .await
        .ok();
    bob.say(&room, "2", "free again").await;
}

#[tokio::test]
async fn an_administrator_may_have_what_a_user_wrote_forgotten() {
    let server = started().await;
    let administrator = administrator(&server).await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let room = alice.public_room().await;
    bob.join(&room).await.ok();
    let said = bob.say(&room, "1", "his secret").await;
    let path = format!("/_synapse/admin/v1/deactivate/{}", escaped(&bob.id));
    administrator
        .request("POST", &path, Some(&json!({ "erase": true })))
        .await
        .ok();
    let later = server.user("carol").await;
    later.join(&room).await.ok();
    let event = format!("/rooms/{}/event/{}", escaped(&room), escaped(&said));
    assert_eq!(later.get(&event).await.ok()["content"], json!({}));
}
