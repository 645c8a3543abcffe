//! `pusher.yaml`

use gatehouse_testkit::{TestServer, User, started};
use serde_json::{Value, json};

use crate::uia::password_of;

const GATEWAY: &str = "https://push.example/_matrix/push/v1/notify";

fn pusher(pushkey: &str) -> Value {
    json!({
        "app_id": "com.example.app", "pushkey": pushkey, "kind": "http", "app_display_name": "App",
        "device_display_name": "Phone", "profile_tag": "tag", "lang": "en",
        "data": { "url": GATEWAY, "format": "event_id_only", "own": [1] },
    })
}

async fn set(user: &User<'_>, pusher: Value) {
    assert_eq!(user.post("/pushers/set", pusher).await.ok(), json!({}));
}

/// Alice, when her sessions are over or forgotten.
async fn logged_in(server: &TestServer) -> User<'_> {
    let identifier = json!({ "type": "m.id.user", "user": "alice" });
    let body = json!({
        "type": "m.login.password", "identifier": identifier, "password": "password of alice",
    });
    let answer = server
        .request("POST", "/_matrix/client/v3/login", Some(&body))
        .await
        .ok();
    User::from_login(server, &answer)
}

async fn pushkeys(user: &User<'_>) -> Vec<String> {
    let listed = user.get("/pushers").await.ok();
    let pushers = listed["pushers"].as_array().unwrap();
    let mut keys: Vec<String> = pushers
        .iter()
        .map(|pusher| pusher["pushkey"].as_str().unwrap().to_owned())
        .collect();
    keys.sort_unstable();
    keys
}

#[tokio::test]
async fn pushers_are_set_listed_changed_and_deleted() {
    let mut server = started().await;
    {
        let alice = server.user("alice").await;
        assert_eq!(alice.get("/pushers").await.ok(), json!({ "pushers": [] }));
        set(&alice, pusher("key")).await;
        assert_eq!(
            alice.get("/pushers").await.ok(),
            json!({ "pushers": [pusher("key")] })
        );
        let mut changed = pusher("key");
        changed["lang"] = "de".into();
        changed.as_object_mut().unwrap().remove("profile_tag");
        set(&alice, changed.clone()).await;
        assert_eq!(alice.get("/pushers").await.ok(), json!({ "pushers": [changed] }));
        set(&alice, pusher("other")).await;
    }
    server.restart().await.unwrap();
    let alice = logged_in(&server).await;
    let deletion = json!({ "app_id": "com.example.app", "pushkey": "key", "kind": null });
    set(&alice, deletion.clone()).await;
    assert_eq!(pushkeys(&alice).await, ["other"]);
    // Of one that is not there, nothing is left to do.
    set(&alice, deletion).await;
}

#[tokio::test]
async fn a_pusher_that_is_none_is_refused_with_what_is_wrong() {
    let server = started().await;
    let alice = server.user("alice").await;
    for field in [
        "app_id",
        "pushkey",
        "kind",
        "app_display_name",
        "device_display_name",
        "lang",
        "data",
    ] {
        let mut lacking = pusher("key");
        lacking.as_object_mut().unwrap().remove(field);
        let refused = alice
            .post("/pushers/set", lacking)
            .await
            .refused(400, "M_MISSING_PARAM");
        assert!(refused["error"].as_str().unwrap().contains(field), "{refused}");
    }
    let deletion = json!({ "app_id": "app", "kind": null });
    alice
        .post("/pushers/set", deletion)
        .await
        .refused(400, "M_MISSING_PARAM");
    for (field, value, errcode) in [
        ("kind", json!("email"), "M_INVALID_PARAM"),
        ("kind", json!("carrier pigeon"), "M_INVALID_PARAM"),
        ("kind", json!(1), "M_BAD_JSON"),
        ("app_id", json!("a".repeat(65)), "M_INVALID_PARAM"),
        ("app_id", json!(""), "M_INVALID_PARAM"),
        ("app_id", json!(1), "M_BAD_JSON"),
        ("pushkey", json!("a".repeat(513)), "M_INVALID_PARAM"),
        ("pushkey", json!(""), "M_INVALID_PARAM"),
        ("lang", json!("a".repeat(256)), "M_INVALID_PARAM"),
        ("profile_tag", json!("a".repeat(256)), "M_INVALID_PARAM"),
        ("append", json!("yes"), "M_BAD_JSON"),
        ("data", json!(GATEWAY), "M_BAD_JSON"),
        ("data", json!({}), "M_INVALID_PARAM"),
        ("data", json!({ "url": 1 }), "M_INVALID_PARAM"),
        (
            "data",
            json!({ "url": "http://push.example/_matrix/push/v1/notify" }),
            "M_INVALID_PARAM",
        ),
        (
            "data",
            json!({ "url": "https://push.example/admin" }),
            "M_INVALID_PARAM",
        ),
        (
            "data",
            json!({ "url": GATEWAY, "x": "a".repeat(4_096) }),
            "M_INVALID_PARAM",
        ),
    ] {
        let mut wrong = pusher("key");
        wrong[field] = value;
        alice.post("/pushers/set", wrong).await.refused(400, errcode);
    }
    assert!(pushkeys(&alice).await.is_empty());
    let mut longest = pusher(&"a".repeat(512));
    longest["app_id"] = "ü".repeat(64).into();
    set(&alice, longest).await;
}

#[tokio::test]
async fn a_pushkey_moves_to_whoever_has_the_device_now() {
    let server = started().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    set(&alice, pusher("key")).await;
    let mut too = pusher("key");
    too["append"] = true.into();
    set(&bob, too).await;
    assert_eq!(pushkeys(&alice).await, ["key"], "both use the phone");
    set(&bob, pusher("key")).await;
    assert!(pushkeys(&alice).await.is_empty(), "now it is bob's");
    assert_eq!(pushkeys(&bob).await, ["key"]);
    // Nobody deletes what is another's.
    let deletion = json!({ "app_id": "com.example.app", "pushkey": "key", "kind": null });
    set(&alice, deletion).await;
    assert_eq!(pushkeys(&bob).await, ["key"]);
}

#[tokio::test]
async fn a_pusher_goes_with_the_session_that_set_it() {
    let server = started().await;
    let alice = server.user("alice").await;
    let (second, third) = (alice.log_in_again().await, alice.log_in_again().await);
    for (user, key) in [(&alice, "1"), (&second, "2"), (&third, "3")] {
        set(user, pusher(key)).await;
    }
    assert_eq!(pushkeys(&alice).await, ["1", "2", "3"]);
    second.post("/logout", json!({})).await.ok();
    assert_eq!(pushkeys(&alice).await, ["1", "3"]);
    let auth = json!({ "auth": password_of(&alice) });
    let path = format!("/_matrix/client/v3/devices/{}", third.device);
    alice.request("DELETE", &path, Some(&auth)).await.ok();
    assert_eq!(pushkeys(&alice).await, ["1"]);
    alice.post("/logout/all", json!({})).await.ok();
    let again = logged_in(&server).await;
    assert!(pushkeys(&again).await.is_empty());
}

#[tokio::test]
async fn a_new_password_leaves_the_pushers_of_the_session_that_set_it() {
    let server = started().await;
    let alice = server.user("alice").await;
    let other = alice.log_in_again().await;
    for (user, key) in [(&alice, "mine"), (&other, "other")] {
        set(user, pusher(key)).await;
    }
    let change = |logs_out: bool, old: Value, new: &str| json!({ "auth": old, "new_password": new, "logout_devices": logs_out });
    let kept = change(false, password_of(&alice), "a second password");
    alice.post("/account/password", kept).await.ok();
    assert_eq!(pushkeys(&alice).await, ["mine", "other"]);
    let second = crate::uia::password(&alice.id, "a second password");
    let ended = change(true, second, "a third password");
    alice.post("/account/password", ended).await.ok();
    assert_eq!(pushkeys(&alice).await, ["mine"]);
}

#[tokio::test]
async fn only_users_have_pushers() {
    let server = started().await;
    for (method, path) in [("GET", "/pushers"), ("POST", "/pushers/set")] {
        let path = format!("/_matrix/client/v3{path}");
        let body = (method == "POST").then(|| pusher("key"));
        server
            .request(method, &path, body.as_ref())
            .await
            .refused(401, "M_MISSING_TOKEN");
        let guest = server.guest().await;
        guest
            .request(method, &path, body.as_ref())
            .await
            .refused(403, "M_GUEST_ACCESS_FORBIDDEN");
    }
}
