//! `joining.yaml`

use gatehouse_testkit::{User, configured, started, user::escaped};
use serde_json::json;

use crate::snapshot;

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

#[tokio::test]
async fn b03_nobody_joins_for_another() {
    let server = started().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let room = alice.public_room().await;
    let before = snapshot::of(&alice, &room).await;
    let join = json!({ "membership": "join" });
    alice
        .set_state(&room, "m.room.member", &bob.id, join)
        .await
        .refused(403, "M_FORBIDDEN");
    assert_eq!(snapshot::of(&alice, &room).await, before);
}

#[tokio::test]
async fn joining_twice_writes_once() {
    let server = started().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let room = alice.public_room().await;
    bob.join(&room).await.ok();
    let before = snapshot::of(&alice, &room).await;
    assert_eq!(bob.join(&room).await.ok(), json!({ "room_id": room }));
    assert_eq!(snapshot::of(&alice, &room).await, before);
}

#[tokio::test]
async fn an_alias_leads_to_its_room() {
    let server = started().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let room = alice
        .create_room(json!({ "preset": "public_chat", "room_alias_name": "tea" }))
        .await;
    let path = format!("/join/{}?via=other.example", escaped("#tea:test.example"));
    assert_eq!(
        bob.post(&path, json!({ "reason": "thirst" })).await.ok(),
        json!({ "room_id": room })
    );
    let member = alice.state(&room, "m.room.member", &bob.id).await.ok();
    assert_eq!(
        (&member["membership"], &member["reason"]),
        (&json!("join"), &json!("thirst"))
    );
    let nowhere = format!("/join/{}", escaped("#coffee:test.example"));
    bob.post(&nowhere, json!({})).await.refused(404, "M_NOT_FOUND");
    bob.post("/join/tea", json!({}))
        .await
        .refused(400, "M_INVALID_PARAM");
    bob.join("!nowhere:test.example")
        .await
        .refused(404, "M_NOT_FOUND");
}

#[tokio::test]
async fn name_and_picture_come_along_and_change_with_the_profile() {
    let server = started().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let name = format!("/profile/{}/displayname", escaped(&bob.id));
    bob.put(&name, json!({ "displayname": "Bob" })).await.ok();
    let room = alice.public_room().await;
    bob.join(&room).await.ok();
    assert_eq!(
        alice.state(&room, "m.room.member", &bob.id).await.ok()["displayname"],
        "Bob"
    );
    bob.put(&name, json!({ "displayname": "Robert" })).await.ok();
    let member = alice.state(&room, "m.room.member", &bob.id).await.ok();
    assert_eq!(
        (&member["displayname"], &member["membership"]),
        (&json!("Robert"), &json!("join"))
    );
}

/// A room of alice's that lets in the members of another.
async fn restricted(alice: &User<'_>, allowed: &str) -> String {
    let allow = json!([{ "type": "m.room_membership", "room_id": allowed }]);
    let rules =
        json!({ "type": "m.room.join_rules", "content": { "join_rule": "restricted", "allow": allow } });
    alice.create_room(json!({ "initial_state": [rules] })).await
}

#[tokio::test]
async fn b04_a_restricted_room_lets_in_members_of_the_other_room() {
    let server = started().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let club = alice.public_room().await;
    let room = restricted(&alice, &club).await;
    let before = snapshot::of(&alice, &room).await;
    bob.join(&room).await.forbidden("certain other rooms");
    assert_eq!(snapshot::of(&alice, &room).await, before);
    bob.join(&club).await.ok();
    bob.join(&room).await.ok();
    let member = alice.state(&room, "m.room.member", &bob.id).await.ok();
    assert_eq!(member["join_authorised_via_users_server"], alice.id.as_str());
}

#[tokio::test]
async fn b04_nobody_vouches_where_nobody_here_may_invite() {
    let server = started().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let club = alice.public_room().await;
    bob.join(&club).await.ok();
    let room = restricted(&alice, &club).await;
    alice.leave(&room).await.ok();
    bob.join(&room).await.refused(400, "M_UNABLE_TO_GRANT_JOIN");
}

#[tokio::test]
async fn b05_a_client_does_not_say_who_let_it_in() {
    let server = started().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let club = alice.public_room().await;
    let room = restricted(&alice, &club).await;
    let forged = json!({ "membership": "join", "join_authorised_via_users_server": alice.id });
    bob.set_state(&room, "m.room.member", &bob.id, forged.clone())
        .await
        .refused(403, "M_FORBIDDEN");
    let open = alice.public_room().await;
    bob.set_state(&open, "m.room.member", &bob.id, forged).await.ok();
    let member = alice.state(&open, "m.room.member", &bob.id).await.ok();
    assert!(member["join_authorised_via_users_server"].is_null(), "{member}");
}

#[tokio::test]
async fn guests_come_into_rooms_that_welcome_them() {
    let server = started().await;
    let (alice, guest) = (server.user("alice").await, server.guest().await);
    let closed = alice.public_room().await;
    guest.join(&closed).await.refused(403, "M_GUEST_ACCESS_FORBIDDEN");
    let welcome = json!({ "type": "m.room.guest_access", "content": { "guest_access": "can_join" } });
    let open = alice
        .create_room(json!({ "preset": "public_chat", "initial_state": [welcome] }))
        .await;
    guest.join(&open).await.ok();
    guest.say(&open, "1", "hello").await;
}

#[tokio::test]
async fn t29_joins_are_limited_by_user_and_whoever_waits_is_let_in() {
    let server = configured(|config| {
        config.rate_limits.enabled = true;
    })
    .await;
    let alice = server.user("alice").await;
    let mut refused = None;
    let room = alice.public_room().await;
    for _ in 0..30 {
        let answer = alice.join(&room).await;
        if answer.status == 429 {
            refused = Some(answer);
            break;
        }
        answer.ok();
    }
    let refused = refused.expect("30 joins at once are too many");
    assert!(refused.headers.contains_key("retry-after"));
    let body = refused.refused(429, "M_LIMIT_EXCEEDED");
    assert!(body["retry_after_ms"].as_u64().unwrap() > 0);
    // T32: the legacy path has no bucket of its own.
    let path = format!("/_matrix/client/api/v1/rooms/{}/join", escaped(&room));
    alice
        .request("POST", &path, Some(&json!({})))
        .await
        .refused(429, "M_LIMIT_EXCEEDED");
}
