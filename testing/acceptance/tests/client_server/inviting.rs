//! `inviting.yaml`, `third_party_membership.yaml`

use gatehouse_testkit::{configured, started, user::escaped};
use serde_json::json;

use crate::snapshot;

#[tokio::test]
async fn somebody_invited_hears_of_it_and_may_join() {
    let server = started().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let room = alice.create_room(json!({ "name": "Tea" })).await;
    let path = format!("/rooms/{}/invite", escaped(&room));
    let body = json!({ "user_id": bob.id, "reason": "come" });
    assert_eq!(alice.post(&path, body).await.ok(), json!({}));
    let sync = bob.sync("", 0).await;
    let events = sync["rooms"]["invite"][&room]["invite_state"]["events"]
        .as_array()
        .unwrap();
    assert!(
        events.iter().any(|event| event["content"]["name"] == "Tea"),
        "{sync}"
    );
    let own = events
        .iter()
        .find(|event| event["state_key"] == bob.id.as_str())
        .unwrap();
    assert_eq!(own["content"]["membership"], "invite");
    assert_eq!(own["content"]["reason"], "come");
    assert_eq!(own["sender"], alice.id.as_str());
    bob.join(&room).await.ok();
}

#[tokio::test]
async fn b06_only_those_in_the_room_invite() {
    let server = started().await;
    let (alice, bob, carol) = (
        server.anybody().await,
        server.anybody().await,
        server.anybody().await,
    );
    let room = alice.public_room().await;
    let before = snapshot::of(&alice, &room).await;
    bob.act_on("invite", &room, &carol.id)
        .await
        .forbidden("you are not in this room");
    // Nor does a room that is not there answer anything else.
    bob.act_on("invite", "!nowhere:test.example", &carol.id)
        .await
        .forbidden("you are not in this room");
    assert_eq!(snapshot::of(&alice, &room).await, before);
}

#[tokio::test]
async fn b07_b10_nobody_is_invited_to_where_they_are() {
    let server = started().await;
    let (alice, bob) = (server.anybody().await, server.anybody().await);
    let room = alice.public_room().await;
    bob.join(&room).await.ok();
    let before = snapshot::of(&alice, &room).await;
    alice
        .act_on("invite", &room, &bob.id)
        .await
        .forbidden("already in this room");
    alice
        .act_on("invite", &room, &alice.id)
        .await
        .forbidden("already in this room");
    assert_eq!(snapshot::of(&alice, &room).await, before);
}

#[tokio::test]
async fn b08_the_banned_are_not_invited() {
    let server = started().await;
    let (alice, bob) = (server.anybody().await, server.anybody().await);
    let room = alice.public_room().await;
    alice.act_on("ban", &room, &bob.id).await.ok();
    let before = snapshot::of(&alice, &room).await;
    alice
        .act_on("invite", &room, &bob.id)
        .await
        .forbidden("is banned");
    assert_eq!(snapshot::of(&alice, &room).await, before);
}

#[tokio::test]
async fn b09_inviting_takes_the_power_to_invite() {
    let server = started().await;
    let (alice, bob, carol) = (
        server.anybody().await,
        server.anybody().await,
        server.anybody().await,
    );
    let room = alice
        .create_room(json!({ "preset": "public_chat", "power_level_content_override": { "invite": 10 } }))
        .await;
    bob.join(&room).await.ok();
    let before = snapshot::of(&alice, &room).await;
    bob.act_on("invite", &room, &carol.id)
        .await
        .forbidden("power level");
    assert_eq!(snapshot::of(&alice, &room).await, before);
}

#[tokio::test]
async fn b11_inviting_twice_writes_once() {
    let server = started().await;
    let (alice, bob) = (server.anybody().await, server.anybody().await);
    let room = alice.create_room(json!({})).await;
    alice.act_on("invite", &room, &bob.id).await.ok();
    let before = snapshot::of(&alice, &room).await;
    alice.act_on("invite", &room, &bob.id).await.ok();
    assert_eq!(snapshot::of(&alice, &room).await, before);
}

#[tokio::test]
async fn b12_an_invite_tells_nobody_which_users_there_are() {
    let server = started().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let room = alice.create_room(json!({})).await;
    let there = alice.act_on("invite", &room, &bob.id).await.ok();
    let not_there = alice.act_on("invite", &room, "@nobody:test.example").await.ok();
    assert_eq!(there, not_there);
    let available = server
        .request(
            "GET",
            "/_matrix/client/v3/register/available?username=nobody",
            None,
        )
        .await;
    assert_eq!(available.ok()["available"], true, "inviting makes no account");
}

#[tokio::test]
async fn bodies_that_name_nobody_are_refused_with_a_code_each() {
    let server = started().await;
    let alice = server.anybody().await;
    let room = alice.create_room(json!({})).await;
    let path = format!("/rooms/{}/invite", escaped(&room));
    alice.post(&path, json!({})).await.refused(400, "M_MISSING_PARAM");
    alice
        .post(&path, json!({ "user_id": "bob" }))
        .await
        .refused(400, "M_INVALID_PARAM");
    alice
        .post(&path, json!({ "user_id": 5 }))
        .await
        .refused(400, "M_BAD_JSON");
    alice.post(&path, json!([])).await.refused(400, "M_BAD_JSON");
}

#[tokio::test]
async fn t17_an_identity_server_that_is_not_trusted_is_not_asked() {
    let server = configured(|config| config.identity_servers.trusted = Vec::new()).await;
    let (alice, bob) = (server.anybody().await, server.anybody().await);
    let room = alice.create_room(json!({})).await;
    let path = format!("/rooms/{}/invite", escaped(&room));
    let body =
        json!({ "id_server": "127.0.0.1", "id_access_token": "x", "medium": "email", "address": "a@b.c" });
    let before = snapshot::of(&alice, &room).await;
    alice
        .post(&path, body.clone())
        .await
        .refused(403, "M_SERVER_NOT_TRUSTED");
    // Whoever could not invite at all learns that first.
    bob.post(&path, body).await.forbidden("you are not in this room");
    alice
        .post(&path, json!({ "medium": "email", "address": "a@b.c" }))
        .await
        .refused(400, "M_MISSING_PARAM");
    let creation = json!({ "invite_3pid": [{ "id_server": "x", "medium": "email", "address": "a@b.c" }] });
    alice
        .post("/createRoom", creation)
        .await
        .refused(403, "M_SERVER_NOT_TRUSTED");
    assert_eq!(snapshot::of(&alice, &room).await, before);
}

#[tokio::test]
async fn t33_guests_neither_invite_nor_make_rooms() {
    let server = started().await;
    let (alice, guest) = (server.anybody().await, server.guest().await);
    let room = alice.public_room().await;
    guest
        .act_on("invite", &room, &alice.id)
        .await
        .refused(403, "M_GUEST_ACCESS_FORBIDDEN");
    guest
        .post("/createRoom", json!({}))
        .await
        .refused(403, "M_GUEST_ACCESS_FORBIDDEN");
}

#[tokio::test]
async fn t02_whoever_wants_no_invites_gets_none() {
    let server = started().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let room = alice.create_room(json!({})).await;
    let config = format!(
        "/user/{}/account_data/m.invite_permission_config",
        escaped(&bob.id)
    );
    bob.put(&config, json!({ "default_action": "block" })).await.ok();
    let before = snapshot::of(&alice, &room).await;
    let invite = json!({ "membership": "invite" });
    alice
        .act_on("invite", &room, &bob.id)
        .await
        .refused(403, "M_INVITE_BLOCKED");
    alice
        .set_state(&room, "m.room.member", &bob.id, invite)
        .await
        .refused(403, "M_INVITE_BLOCKED");
    alice
        .post("/createRoom", json!({ "invite": [bob.id] }))
        .await
        .refused(403, "M_INVITE_BLOCKED");
    assert_eq!(snapshot::of(&alice, &room).await, before);
    assert_eq!(
        alice.get("/joined_rooms").await.ok()["joined_rooms"],
        json!([room]),
        "no half-made room"
    );
    // Anything but a clear no is a yes.
    bob.put(&config, json!({ "default_action": ["block"] }))
        .await
        .ok();
    alice.act_on("invite", &room, &bob.id).await.ok();
}
