//! "Guest access": what becomes of a guest.

use gatehouse_testkit::{Answer, TestServer, User, started};
use serde_json::{Value, json};

fn localpart<'a>(user: &'a User<'_>) -> &'a str {
    user.id.trim_start_matches('@').split(':').next().unwrap()
}

async fn register(server: &TestServer, body: Value) -> Answer {
    server
        .request("POST", "/_matrix/client/v3/register", Some(&body))
        .await
}

fn upgrade(name: &str, token: &str) -> Value {
    json!({
        "username": name,
        "password": "no longer a guest",
        "guest_access_token": token,
        "auth": { "type": "m.login.dummy" },
    })
}

#[tokio::test]
async fn guest_becomes_a_user_with_the_same_id_and_rooms() {
    let server = started().await;
    let (alice, guest) = (server.user("alice").await, server.guest().await);
    let closed = alice.public_room().await;
    let welcome = json!({ "type": "m.room.guest_access", "content": { "guest_access": "can_join" } });
    let open = alice
        .create_room(json!({ "preset": "public_chat", "initial_state": [welcome] }))
        .await;
    guest.join(&open).await.ok();
    guest.join(&closed).await.refused(403, "M_GUEST_ACCESS_FORBIDDEN");

    let answer = register(&server, upgrade(localpart(&guest), &guest.token))
        .await
        .ok();
    let user = User::from_login(&server, &answer);
    assert_eq!(user.id, guest.id);
    user.join(&closed).await.ok();
    user.say(&open, "1", "still here").await;
    let login = json!({
        "type": "m.login.password",
        "identifier": { "type": "m.id.user", "user": user.id },
        "password": "no longer a guest",
    });
    server
        .request("POST", "/_matrix/client/v3/login", Some(&login))
        .await
        .ok();
    // Nobody proved anything for the guest's token.
    guest.get("/account/whoami").await.refused(401, "M_UNKNOWN_TOKEN");
}

#[tokio::test]
async fn guest_may_finish_the_upgrade_with_nothing_but_the_session() {
    let server = started().await;
    let guest = server.guest().await;
    let mut first = upgrade(localpart(&guest), &guest.token);
    first.as_object_mut().unwrap().remove("auth");
    let challenge = register(&server, first).await;
    assert_eq!(challenge.status, 401);
    let second = json!({ "auth": { "type": "m.login.dummy", "session": challenge.body["session"] } });
    let answer = register(&server, second).await.ok();
    assert_eq!(answer["user_id"], guest.id);
}

#[tokio::test]
async fn guest_keeps_the_device_that_the_upgrade_names() {
    let server = started().await;
    let guest = server.guest().await;
    let mut body = upgrade(localpart(&guest), &guest.token);
    body["device_id"] = guest.device.as_str().into();
    let user = User::from_login(&server, &register(&server, body).await.ok());
    assert_eq!(user.device, guest.device);
    let devices = user.get("/devices").await.ok();
    assert_eq!(devices["devices"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn only_the_guest_can_take_the_guests_name() {
    let server = started().await;
    let (alice, guest, other) = (
        server.user("alice").await,
        server.guest().await,
        server.guest().await,
    );
    for token in [other.token.as_str(), alice.token.as_str(), "", "gh_nothing"] {
        register(&server, upgrade(localpart(&guest), token))
            .await
            .forbidden("is not its owner's");
    }
    register(&server, upgrade("alice", &alice.token))
        .await
        .forbidden("is not its owner's");
    register(&server, upgrade("alice", &guest.token))
        .await
        .forbidden("is not its owner's");
    let mut without = upgrade(localpart(&guest), "");
    without.as_object_mut().unwrap().remove("guest_access_token");
    register(&server, without).await.refused(400, "M_USER_IN_USE");
    guest.get("/account/whoami").await.ok();
}

#[tokio::test]
async fn session_of_a_guests_upgrade_gives_no_other_name() {
    let server = started().await;
    let (alice, guest) = (server.user("alice").await, server.guest().await);
    let mut first = upgrade(localpart(&guest), &guest.token);
    first.as_object_mut().unwrap().remove("auth");
    let challenge = register(&server, first).await;
    let second = json!({
        "username": "alice",
        "password": "mine now",
        "auth": { "type": "m.login.dummy", "session": challenge.body["session"] },
    });
    register(&server, second).await.refused(400, "M_USER_IN_USE");
    alice.get("/account/whoami").await.ok();
}

#[tokio::test]
async fn t33_guests_make_no_rooms_and_invite_nobody() {
    let server = started().await;
    let (alice, guest) = (server.user("alice").await, server.guest().await);
    let welcome = json!({ "type": "m.room.guest_access", "content": { "guest_access": "can_join" } });
    let room = alice
        .create_room(json!({ "preset": "public_chat", "initial_state": [welcome] }))
        .await;
    guest.join(&room).await.ok();
    guest
        .post("/createRoom", json!({}))
        .await
        .refused(403, "M_GUEST_ACCESS_FORBIDDEN");
    for action in ["invite", "kick", "ban", "unban"] {
        guest
            .act_on(action, &room, &alice.id)
            .await
            .refused(403, "M_GUEST_ACCESS_FORBIDDEN");
    }
    let escaped = gatehouse_testkit::user::escaped(&room);
    let by_address = json!({
        "id_server": "id.example", "id_access_token": "x", "medium": "email", "address": "a@b.example",
    });
    guest
        .post(&format!("/rooms/{escaped}/invite"), by_address.clone())
        .await
        .refused(403, "M_GUEST_ACCESS_FORBIDDEN");
    guest
        .post("/createRoom", json!({ "invite_3pid": [by_address] }))
        .await
        .refused(403, "M_GUEST_ACCESS_FORBIDDEN");
    guest
        .set_state(&room, "m.room.topic", "", json!({ "topic": "mine" }))
        .await
        .refused(403, "M_GUEST_ACCESS_FORBIDDEN");
    assert_eq!(
        guest.get("/joined_rooms").await.ok(),
        json!({ "joined_rooms": [room] })
    );
}

#[tokio::test]
async fn guests_speak_and_read_and_call_themselves_something_in_rooms_open_to_them() {
    let server = started().await;
    let (alice, guest) = (server.user("alice").await, server.guest().await);
    let welcome = json!({ "type": "m.room.guest_access", "content": { "guest_access": "can_join" } });
    let room = alice
        .create_room(json!({ "preset": "public_chat", "initial_state": [welcome] }))
        .await;
    guest.join(&room).await.ok();
    let said = guest.say(&room, "1", "hello").await;
    let path = format!("/rooms/{}", gatehouse_testkit::user::escaped(&room));
    guest.get(&format!("{path}/messages?dir=b")).await.ok();
    guest.get(&format!("{path}/members")).await.ok();
    guest.whole_state(&room).await;
    let profile = format!(
        "/profile/{}/displayname",
        gatehouse_testkit::user::escaped(&guest.id)
    );
    guest
        .put(&profile, json!({ "displayname": "A guest" }))
        .await
        .ok();
    let sync = alice.sync("", 0).await;
    let timeline = sync["rooms"]["join"][&room]["timeline"]["events"]
        .as_array()
        .unwrap();
    assert!(timeline.iter().any(|event| event["event_id"] == said), "{sync}");
    guest.leave(&room).await.ok();
}

#[tokio::test]
async fn guests_leave_when_a_room_closes_to_them() {
    let server = started().await;
    let (alice, guest) = (server.user("alice").await, server.guest().await);
    let welcome = json!({ "type": "m.room.guest_access", "content": { "guest_access": "can_join" } });
    let room = alice
        .create_room(json!({ "preset": "public_chat", "initial_state": [welcome] }))
        .await;
    guest.join(&room).await.ok();
    alice
        .set_state(
            &room,
            "m.room.guest_access",
            "",
            json!({ "guest_access": "forbidden" }),
        )
        .await
        .ok();
    let member = alice.state(&room, "m.room.member", &guest.id).await.ok();
    assert_eq!(member["membership"], "leave");
    guest.join(&room).await.refused(403, "M_GUEST_ACCESS_FORBIDDEN");
}
