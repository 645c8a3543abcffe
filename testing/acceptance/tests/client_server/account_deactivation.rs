//! `account_deactivation.yaml`

use gatehouse_testkit::{Answer, User, started, user::escaped};
use serde_json::{Value, json};

use crate::uia::{challenged, password, password_of, within};

async fn deactivate(user: &User<'_>, body: Value) -> Answer {
    user.post("/account/deactivate", body).await
}

#[tokio::test]
async fn an_account_is_closed_by_who_has_its_password() {
    let server = started().await;
    let alice = server.user("alice").await;
    let phone = alice.log_in_again().await;
    let session = challenged(&deactivate(&alice, json!({})).await, &["m.login.password"]);
    let auth = within(&session, password_of(&alice));
    let answer = deactivate(&alice, json!({ "auth": auth })).await.ok();
    assert_eq!(answer, json!({ "id_server_unbind_result": "success" }));
    for session in [&alice, &phone] {
        session
            .get("/account/whoami")
            .await
            .refused(401, "M_UNKNOWN_TOKEN");
    }
}

#[tokio::test]
async fn w03_nothing_but_the_password_of_the_user_closes_an_account() {
    let server = started().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    for auth in [
        Value::Null,
        json!([]),
        json!("x"),
        json!({ "type": "m.login.dummy" }),
        password(&alice.id, "wrong"),
    ] {
        let answer = deactivate(&alice, json!({ "auth": auth })).await;
        challenged(&answer, &["m.login.password"]);
    }
    deactivate(&alice, json!({ "auth": password_of(&bob) }))
        .await
        .refused(403, "M_FORBIDDEN");
    let path = "/_matrix/client/v3/account/deactivate";
    let body = json!({ "auth": password_of(&alice) });
    server
        .request("POST", path, Some(&body))
        .await
        .refused(401, "M_MISSING_TOKEN");
    alice.log_in_again().await;
}

#[tokio::test]
async fn w02_who_is_gone_neither_logs_in_nor_refreshes() {
    let server = started().await;
    let alice = server.user("alice").await;
    let login = json!({
        "type": "m.login.password", "user": "alice", "password": "password of alice", "refresh_token": true,
    });
    let path = "/_matrix/client/v3/login";
    let tokens = server.request("POST", path, Some(&login)).await.ok();
    deactivate(&alice, json!({ "auth": password_of(&alice) }))
        .await
        .ok();
    server
        .request("POST", path, Some(&login))
        .await
        .refused(403, "M_FORBIDDEN");
    let refresh = json!({ "refresh_token": tokens["refresh_token"] });
    server
        .request("POST", "/_matrix/client/v3/refresh", Some(&refresh))
        .await
        .refused(401, "M_UNKNOWN_TOKEN");
}

#[tokio::test]
async fn who_is_gone_has_left_their_rooms_and_declined_their_invites() {
    let server = started().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let (joined, invited) = (alice.public_room().await, alice.public_room().await);
    bob.join(&joined).await.ok();
    alice.act_on("invite", &invited, &bob.id).await.ok();
    deactivate(&bob, json!({ "auth": password_of(&bob) })).await.ok();
    for room in [joined, invited] {
        let member = alice.state(&room, "m.room.member", &bob.id).await.ok();
        assert_eq!(member["membership"], "leave", "{member}");
    }
}

#[tokio::test]
async fn a_name_is_never_given_again() {
    let server = started().await;
    let alice = server.user("alice").await;
    deactivate(&alice, json!({ "auth": password_of(&alice) }))
        .await
        .ok();
    let register = json!({ "username": "alice", "password": "x", "auth": { "type": "m.login.dummy" } });
    server
        .request("POST", "/_matrix/client/v3/register", Some(&register))
        .await
        .refused(400, "M_USER_IN_USE");
    let available = "/_matrix/client/v3/register/available?username=alice";
    server
        .request("GET", available, None)
        .await
        .refused(400, "M_USER_IN_USE");
}

#[tokio::test]
async fn who_wants_to_be_erased_leaves_no_profile() {
    let server = started().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let profile = format!("/profile/{}", escaped(&alice.id));
    let name = json!({ "displayname": "Alice of old" });
    alice.put(&format!("{profile}/displayname"), name).await.ok();
    let body = json!({ "auth": password_of(&alice), "erase": true });
    deactivate(&alice, body).await.ok();
    let left = bob.get(&profile).await;
    assert!(!left.body.to_string().contains("of old"), "{left:?}");
    left.refused(404, "M_NOT_FOUND");
    let search = bob
        .post("/user_directory/search", json!({ "search_term": "of old" }))
        .await;
    assert!(!search.body.to_string().contains("of old"), "{search:?}");
}

/// The content of every event of this type that the user finds in a room, by event id.
async fn found(user: &User<'_>, room: &str, kind: &str) -> Vec<Value> {
    let path = format!("/rooms/{}/messages?dir=f&limit=100", escaped(room));
    let page = user.get(&path).await.ok();
    let events = page["chunk"].as_array().unwrap();
    let events = events.iter().filter(|event| event["type"] == kind);
    events.map(|event| event["content"].clone()).collect()
}

#[tokio::test]
async fn messages_of_the_erased_are_full_only_to_those_who_were_there() {
    let server = started().await;
    let (alice, bob, eve) = (
        server.user("alice").await,
        server.user("bob").await,
        server.user("eve").await,
    );
    let room = bob.public_room().await;
    alice.join(&room).await.ok();
    let secret = alice.say(&room, "1", "my secret").await;
    bob.say(&room, "1", "hello").await;
    let topic = json!({ "topic": "tea" });
    bob.set_state(&room, "m.room.topic", "", topic).await.ok();
    let body = json!({ "auth": password_of(&alice), "erase": true });
    deactivate(&alice, body).await.ok();
    eve.join(&room).await.ok();

    let there = found(&bob, &room, "m.room.message").await;
    assert_eq!(there[0]["body"], "my secret", "{there:?}");
    let later = found(&eve, &room, "m.room.message").await;
    assert_eq!(later[0], json!({}), "{later:?}");
    assert_eq!(later[1]["body"], "hello", "{later:?}");

    let one = format!("/rooms/{}/event/{}", escaped(&room), escaped(&secret));
    assert_eq!(eve.get(&one).await.ok()["content"], json!({}));
    assert_eq!(bob.get(&one).await.ok()["content"]["body"], "my secret");
    for filter in ["{}", r#"{"event_format":"federation"}"#] {
        let path = format!("/sync?filter={}", escaped(filter));
        let sync = eve.get(&path).await.ok().to_string();
        assert!(sync.contains(&secret) && sync.contains("tea"), "{sync}");
        assert!(!sync.contains("my secret"), "{sync}");
        assert!(bob.get(&path).await.ok().to_string().contains("my secret"));
    }
    let context = format!("/rooms/{}/context/{}", escaped(&room), escaped(&secret));
    let context = eve.get(&context).await.ok().to_string();
    assert!(!context.contains("my secret"), "{context}");
}

#[tokio::test]
async fn names_of_the_erased_are_not_in_the_history_of_those_who_come_later() {
    let server = started().await;
    let (alice, bob, eve) = (
        server.user("alice").await,
        server.user("bob").await,
        server.user("eve").await,
    );
    let profile = format!("/profile/{}/displayname", escaped(&alice.id));
    let name = json!({ "displayname": "Alice of old" });
    alice.put(&profile, name).await.ok();
    let room = bob.public_room().await;
    alice.join(&room).await.ok();
    let body = json!({ "auth": password_of(&alice), "erase": true });
    deactivate(&alice, body).await.ok();
    eve.join(&room).await.ok();
    let there = found(&bob, &room, "m.room.member").await;
    let name = json!({ "membership": "join", "displayname": "Alice of old" });
    assert!(there.contains(&name), "{there:?}");
    let members = found(&eve, &room, "m.room.member").await;
    assert!(members.contains(&json!({ "membership": "join" })), "{members:?}");
    for path in [
        "/sync".to_owned(),
        format!("/rooms/{}/messages?dir=b&limit=100", escaped(&room)),
        format!("/rooms/{}/members", escaped(&room)),
    ] {
        let shown = eve.get(&path).await.ok().to_string();
        assert!(!shown.contains("of old"), "{path}: {shown}");
    }
}

#[tokio::test]
async fn who_only_leaves_keeps_what_they_said() {
    let server = started().await;
    let (alice, bob, eve) = (
        server.user("alice").await,
        server.user("bob").await,
        server.user("eve").await,
    );
    let room = bob.public_room().await;
    alice.join(&room).await.ok();
    alice.say(&room, "1", "no secret").await;
    deactivate(&alice, json!({ "auth": password_of(&alice), "erase": false }))
        .await
        .ok();
    eve.join(&room).await.ok();
    let later = found(&eve, &room, "m.room.message").await;
    assert_eq!(later[0]["body"], "no secret", "{later:?}");
}

#[tokio::test]
async fn erasing_is_a_boolean() {
    let server = started().await;
    let alice = server.user("alice").await;
    let body = json!({ "auth": password_of(&alice), "erase": "yes" });
    deactivate(&alice, body).await.refused(400, "M_BAD_JSON");
    alice.get("/account/whoami").await.ok();
}
