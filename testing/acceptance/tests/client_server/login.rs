//! `login.yaml`

use std::collections::BTreeSet;

use gatehouse_testkit::{Answer, TestServer, User, started, user::escaped};
use serde_json::{Value, json};

use crate::{shared_secret::administrator, uia::password_of};

const PATH: &str = "/_matrix/client/v3/login";

async fn post(server: &TestServer, body: Value) -> Answer {
    server.request("POST", PATH, Some(&body)).await
}

fn named(user: &str, password: &str) -> Value {
    json!({
        "type": "m.login.password", "identifier": { "type": "m.id.user", "user": user }, "password": password,
    })
}

fn alice() -> Value {
    named("alice", "password of alice")
}

#[tokio::test]
async fn the_flows_are_those_that_work() {
    let server = started().await;
    let flows = server.request("GET", PATH, None).await.ok();
    assert_eq!(flows, json!({ "flows": [{ "type": "m.login.password" }] }));
    let token = json!({ "type": "m.login.token", "token": "x" });
    post(&server, token).await.refused(400, "M_UNKNOWN");
}

#[tokio::test]
async fn a_user_may_be_named_in_any_way_that_clients_have_used() {
    let server = started().await;
    server.user("alice").await;
    for name in ["alice", "@alice:test.example", "Alice"] {
        let old = json!({ "type": "m.login.password", "user": name, "password": "password of alice" });
        for body in [named(name, "password of alice"), old] {
            for path in [PATH, "/_matrix/client/r0/login"] {
                let answer = server.request("POST", path, Some(&body)).await.ok();
                assert_eq!(answer["user_id"], "@alice:test.example", "{body}");
                let whoami = User::from_login(&server, &answer).get("/account/whoami").await;
                assert_eq!(whoami.ok()["device_id"], answer["device_id"]);
            }
        }
    }
}

#[tokio::test]
async fn nobody_learns_from_a_refusal_who_has_an_account() {
    let server = started().await;
    server.user("alice").await;
    let guest = server.guest().await;
    let gone = server.user("gone").await;
    gone.post("/account/deactivate", json!({ "auth": password_of(&gone) }))
        .await
        .ok();
    let wrong = post(&server, named("alice", "wrong"))
        .await
        .refused(403, "M_FORBIDDEN");
    for body in [
        named("alice", ""),
        named("alice", &"x".repeat(600)),
        named("nobody", "password of alice"),
        named("", "password of alice"),
        named("@alice:elsewhere.example", "password of alice"),
        named("not a user", "password of alice"),
        // E09: who has no password cannot be logged in by an empty one.
        named(&guest.id, ""),
        // W02
        named("gone", "password of gone"),
        named("gone", ""),
        json!({
            "type": "m.login.password", "password": "password of alice",
            "identifier": { "type": "m.id.thirdparty", "medium": "email", "address": "a@b.example" },
        }),
    ] {
        let refused = post(&server, body.clone()).await.refused(403, "M_FORBIDDEN");
        assert_eq!(refused, wrong, "{body}");
    }
}

#[tokio::test]
async fn w02_only_who_has_the_password_learns_that_an_account_is_locked() {
    let server = started().await;
    let (root, locked) = (administrator(&server).await, server.user("alice").await);
    let path = format!("/_matrix/client/v1/admin/lock/{}", escaped(&locked.id));
    root.request("PUT", &path, Some(&json!({ "locked": true })))
        .await
        .ok();
    let refused = post(&server, alice()).await.refused(401, "M_USER_LOCKED");
    assert_eq!(refused["soft_logout"], true);
    post(&server, named("alice", "wrong"))
        .await
        .refused(403, "M_FORBIDDEN");
    root.request("PUT", &path, Some(&json!({ "locked": false })))
        .await
        .ok();
    post(&server, alice()).await.ok();
}

#[tokio::test]
async fn what_is_missing_is_said() {
    let server = started().await;
    server.user("alice").await;
    let without = |key: &str| {
        let mut body = alice();
        body.as_object_mut().unwrap().remove(key);
        body
    };
    for (body, errcode) in [
        (without("password"), "M_MISSING_PARAM"),
        (without("identifier"), "M_MISSING_PARAM"),
        (
            json!({ "type": "m.login.password", "identifier": { "type": "m.id.user" }, "password": "x" }),
            "M_MISSING_PARAM",
        ),
        (
            json!({ "type": "m.login.password", "identifier": { "type": "org.x" }, "password": "x" }),
            "M_UNKNOWN",
        ),
        (
            json!({ "type": "m.login.password", "user": "alice", "password": 5 }),
            "M_BAD_JSON",
        ),
        (without("type"), "M_MISSING_PARAM"),
    ] {
        post(&server, body).await.refused(400, errcode);
    }
}

#[tokio::test]
async fn a_device_that_logs_in_again_keeps_its_name_and_loses_its_old_tokens() {
    let server = started().await;
    server.user("alice").await;
    let mut body = alice();
    body["device_id"] = "PHONE".into();
    body["refresh_token"] = true.into();
    body["initial_device_display_name"] = "Phone".into();
    let first = post(&server, body.clone()).await.ok();
    body["initial_device_display_name"] = "Another".into();
    let second = post(&server, body).await.ok();
    assert_eq!(
        (&first["device_id"], &second["device_id"]),
        (&json!("PHONE"), &json!("PHONE"))
    );
    User::from_login(&server, &first)
        .get("/account/whoami")
        .await
        .refused(401, "M_UNKNOWN_TOKEN");
    let spent = json!({ "refresh_token": first["refresh_token"] });
    server
        .request("POST", "/_matrix/client/v3/refresh", Some(&spent))
        .await
        .refused(401, "M_UNKNOWN_TOKEN");
    let now = User::from_login(&server, &second);
    let device = now.get("/devices/PHONE").await.ok();
    assert_eq!(device["display_name"], "Phone", "as when it was new");
}

#[tokio::test]
async fn a_device_id_of_one_user_is_nothing_to_another() {
    let server = started().await;
    let (bob, _) = (server.user("bob").await, server.user("alice").await);
    let mut body = alice();
    body["device_id"] = bob.device.clone().into();
    let answer = post(&server, body).await.ok();
    assert_eq!(answer["device_id"], bob.device.as_str());
    let whoami = bob.get("/account/whoami").await.ok();
    assert_eq!(whoami["user_id"], bob.id.as_str());
    for id in [String::new(), "x".repeat(256)] {
        let mut body = alice();
        body["device_id"] = id.into();
        post(&server, body).await.refused(400, "M_INVALID_PARAM");
    }
}

#[tokio::test]
async fn a_refresh_token_comes_to_those_who_ask() {
    let server = started().await;
    server.user("alice").await;
    let plain = post(&server, alice()).await.ok();
    assert!(
        plain.get("refresh_token").is_none() && plain.get("expires_in_ms").is_none(),
        "{plain}"
    );
    let mut body = alice();
    body["refresh_token"] = true.into();
    let asked = post(&server, body).await.ok();
    assert!(asked["refresh_token"].is_string(), "{asked}");
    assert_eq!(asked["expires_in_ms"], 300_000);
}

#[tokio::test]
async fn e10_no_two_logins_share_a_token_or_a_device() {
    let server = started().await;
    server.user("alice").await;
    let mut body = alice();
    body["refresh_token"] = true.into();
    let mut secrets = BTreeSet::new();
    for _ in 0..20 {
        let answer = post(&server, body.clone()).await.ok();
        for key in ["access_token", "refresh_token", "device_id"] {
            let secret = answer[key].as_str().unwrap().to_owned();
            assert!(key == "device_id" || secret.len() >= 43, "256 bits: {secret}");
            assert!(!secret.contains("alice"), "{secret}");
            secrets.insert(secret);
        }
    }
    assert_eq!(secrets.len(), 60);
}
