//! `registration.yaml` and `registration_tokens.yaml`

use gatehouse_testkit::{Answer, TestServer, User, configured, started};
use serde_json::{Value, json};

use crate::{shared_secret::administrator, uia::challenged};

const DUMMY: &str = "m.login.dummy";
const TOKEN: &str = "m.login.registration_token";

async fn register(server: &TestServer, body: Value) -> Answer {
    server
        .request("POST", "/_matrix/client/v3/register", Some(&body))
        .await
}

/// A registration that needs no more than this.
fn whole(name: &str) -> Value {
    json!({ "username": name, "password": "a password", "auth": { "type": DUMMY } })
}

async fn available(server: &TestServer, query: &str) -> Answer {
    server
        .request(
            "GET",
            &format!("/_matrix/client/v3/register/available{query}"),
            None,
        )
        .await
}

async fn log_in(server: &TestServer, name: &str, password: &str) -> Answer {
    let body = json!({
        "type": "m.login.password", "identifier": { "type": "m.id.user", "user": name }, "password": password,
    });
    server
        .request("POST", "/_matrix/client/v3/login", Some(&body))
        .await
}

#[tokio::test]
async fn who_registers_is_told_the_flows_and_logged_in_after_one() {
    let server = started().await;
    let mut body = json!({ "username": "alice", "password": "a password" });
    let session = challenged(&register(&server, body.clone()).await, &[DUMMY]);
    available(&server, "?username=alice").await.ok();
    body["auth"] = json!({ "type": DUMMY, "session": session });
    let answer = register(&server, body).await.ok();
    assert_eq!(answer["user_id"], "@alice:test.example");
    let whoami = User::from_login(&server, &answer)
        .get("/account/whoami")
        .await
        .ok();
    assert_eq!(whoami["user_id"], answer["user_id"]);
    assert_eq!(whoami["device_id"], answer["device_id"]);
    assert!(answer.get("refresh_token").is_none(), "nobody asked for one");
}

#[tokio::test]
async fn the_session_remembers_what_was_asked_for() {
    let server = started().await;
    let first = json!({ "username": "alice", "password": "a password", "device_id": "PHONE" });
    let session = challenged(&register(&server, first).await, &[DUMMY]);
    let auth = json!({ "auth": { "type": DUMMY, "session": session } });
    let answer = register(&server, auth).await.ok();
    assert_eq!(
        (&answer["user_id"], &answer["device_id"]),
        (&json!("@alice:test.example"), &json!("PHONE"))
    );
    log_in(&server, "alice", "a password").await.ok();
}

#[tokio::test]
async fn w03_auth_that_proves_nothing_makes_nobody() {
    let server = started().await;
    for (auth, errcode) in [
        (Value::Null, Value::Null),
        (json!([]), Value::Null),
        (json!("x"), Value::Null),
        (json!({}), Value::Null),
        (json!({ "type": 5 }), Value::Null),
        (json!({ "type": TOKEN, "token": "x" }), json!("M_UNRECOGNIZED")),
        (json!({ "type": "m.login.password" }), json!("M_UNRECOGNIZED")),
        (json!({ "type": DUMMY, "session": "guessed" }), json!("M_UNKNOWN")),
    ] {
        let mut body = whole("alice");
        body["auth"] = auth;
        let answer = register(&server, body).await;
        challenged(&answer, &[DUMMY]);
        assert_eq!(answer.body["errcode"], errcode, "{}", answer.body);
    }
    available(&server, "?username=alice").await.ok();
}

#[tokio::test]
async fn w03_a_session_makes_one_user_however_often_it_is_sent() {
    let server = started().await;
    let session = challenged(
        &register(&server, json!({ "password": "a password" })).await,
        &[DUMMY],
    );
    let mut body = whole("alice");
    body["auth"]["session"] = session.into();
    let first = register(&server, body.clone()).await.ok();
    let again = register(&server, body.clone()).await.ok();
    assert_eq!(again["user_id"], first["user_id"], "the first answer was lost");
    for (key, value) in [("username", "bob"), ("password", "another password")] {
        let mut other = body.clone();
        other[key] = value.into();
        let answer = register(&server, other).await;
        assert!(matches!(answer.status, 400 | 401 | 403), "{answer:?}");
        assert!(answer.body.get("access_token").is_none(), "{answer:?}");
    }
    available(&server, "?username=bob").await.ok();
}

#[tokio::test]
async fn w08_of_many_registrations_of_a_name_one_succeeds() {
    let server = started().await;
    let all = futures_util::future::join_all((0..30).map(|_| register(&server, whole("alice")))).await;
    let (made, refused): (Vec<_>, Vec<_>) = all.into_iter().partition(|answer| answer.status == 200);
    assert_eq!(made.len(), 1);
    for answer in refused {
        answer.refused(400, "M_USER_IN_USE");
    }
}

#[tokio::test]
async fn a_registration_token_is_good_for_as_many_as_it_says() {
    let server = configured(|config| config.registration.token_required = true).await;
    let root = administrator(&server).await;
    let new = json!({ "token": "welcome", "uses_allowed": 1 });
    root.request("POST", "/_synapse/admin/v1/registration_tokens/new", Some(&new))
        .await
        .ok();
    let valid = async |token: &str| {
        let path = format!("/_matrix/client/v1/register/m.login.registration_token/validity?token={token}");
        server.request("GET", &path, None).await.ok()["valid"]
            .as_bool()
            .unwrap()
    };
    let with = |name: &str, token: &str| {
        let mut body = whole(name);
        body["auth"] = json!({ "type": TOKEN, "token": token });
        body
    };
    assert!(valid("welcome").await && !valid("wrong").await);
    let dummy = register(&server, whole("alice")).await;
    challenged(&dummy, &[TOKEN]);
    dummy.refused(401, "M_UNRECOGNIZED");
    let wrong = register(&server, with("alice", "wrong")).await;
    challenged(&wrong, &[TOKEN]);
    wrong.refused(401, "M_FORBIDDEN");
    register(&server, with("alice", "welcome")).await.ok();
    assert!(!valid("welcome").await, "it is used up");
    let late = register(&server, with("bob", "welcome")).await;
    late.refused(401, "M_FORBIDDEN");
    available(&server, "?username=bob").await.ok();
}

#[tokio::test]
async fn validity_is_said_only_of_a_token_and_only_where_tokens_are_used() {
    let path = "/_matrix/client/v1/register/m.login.registration_token/validity";
    let server = started().await;
    let asked = server.request("GET", &format!("{path}?token=x"), None).await;
    asked.refused(403, "M_FORBIDDEN");
    server
        .request("GET", path, None)
        .await
        .refused(400, "M_MISSING_PARAM");
}

#[tokio::test]
async fn guests_get_a_number_and_a_device_of_the_server_s_choice() {
    let server = started().await;
    let body = json!({ "username": "alice", "device_id": "PHONE" });
    let path = "/_matrix/client/v3/register?kind=guest";
    let answer = server.request("POST", path, Some(&body)).await.ok();
    assert_ne!(answer["device_id"], "PHONE");
    let guest = User::from_login(&server, &answer);
    let name = guest.id.trim_start_matches('@').trim_end_matches(":test.example");
    assert!(name.bytes().all(|byte| byte.is_ascii_digit()), "{name}");
    assert_eq!(guest.get("/account/whoami").await.ok()["is_guest"], true);
    available(&server, "?username=alice").await.ok();
}

#[tokio::test]
async fn a_closed_server_takes_neither_users_nor_guests() {
    let server = configured(|config| {
        config.registration.open = Some(false);
        config.registration.guests = false;
    })
    .await;
    register(&server, whole("alice"))
        .await
        .refused(403, "M_FORBIDDEN");
    let guest = "/_matrix/client/v3/register?kind=guest";
    server
        .request("POST", guest, Some(&json!({})))
        .await
        .refused(403, "M_GUEST_ACCESS_FORBIDDEN");
    let bridge = "/_matrix/client/v3/register?kind=bridge";
    server
        .request("POST", bridge, Some(&json!({})))
        .await
        .refused(400, "M_INVALID_PARAM");
}

#[tokio::test]
async fn available_says_which_names_can_be_had() {
    let server = started().await;
    server.user("alice").await;
    let free = available(&server, "?username=bob").await.ok();
    assert_eq!(free, json!({ "available": true }));
    for (query, errcode) in [
        ("?username=alice", "M_USER_IN_USE"),
        ("?username=ALICE", "M_USER_IN_USE"),
        ("?username=al%20ice", "M_INVALID_USERNAME"),
        ("?username=", "M_INVALID_USERNAME"),
        ("", "M_MISSING_PARAM"),
    ] {
        available(&server, query).await.refused(400, errcode);
    }
}

#[tokio::test]
async fn names_are_refused_before_anything_is_proved() {
    let server = started().await;
    server.user("alice").await;
    let long = "a".repeat(255);
    for (name, errcode) in [
        ("alice", "M_USER_IN_USE"),
        ("Alice", "M_USER_IN_USE"),
        ("", "M_INVALID_USERNAME"),
        ("al ice", "M_INVALID_USERNAME"),
        ("álice", "M_INVALID_USERNAME"),
        ("a:b", "M_INVALID_USERNAME"),
        ("@bob:elsewhere.example", "M_INVALID_USERNAME"),
        (&long, "M_INVALID_USERNAME"),
    ] {
        let mut body = whole(name);
        register(&server, body.clone()).await.refused(400, errcode);
        body.as_object_mut().unwrap().remove("auth");
        register(&server, body).await.refused(400, errcode);
    }
}

#[tokio::test]
async fn passwords_have_1_to_512_bytes() {
    let server = started().await;
    let with = |name: &str, password: Value| {
        let mut body = whole(name);
        body["password"] = password;
        body
    };
    for (password, errcode) in [
        (json!(""), "M_INVALID_PARAM"),
        (json!("x".repeat(513)), "M_INVALID_PARAM"),
        (Value::Null, "M_MISSING_PARAM"),
        (json!(5), "M_BAD_JSON"),
    ] {
        register(&server, with("alice", password))
            .await
            .refused(400, errcode);
    }
    let longest = "x".repeat(512);
    register(&server, with("alice", json!(longest))).await.ok();
    log_in(&server, "alice", &longest).await.ok();
}

#[tokio::test]
async fn a_new_user_s_device_is_as_asked_for() {
    let server = started().await;
    let mut body = whole("alice");
    body["device_id"] = "PHONE".into();
    body["initial_device_display_name"] = "Alice's phone".into();
    body["refresh_token"] = true.into();
    let answer = register(&server, body).await.ok();
    assert_eq!(answer["expires_in_ms"], 300_000);
    assert!(answer["refresh_token"].is_string());
    let device = User::from_login(&server, &answer)
        .get("/devices/PHONE")
        .await
        .ok();
    assert_eq!(device["display_name"], "Alice's phone");
}

#[tokio::test]
async fn who_inhibits_login_gets_an_account_and_no_device() {
    let server = started().await;
    let mut body = whole("alice");
    body["inhibit_login"] = true.into();
    let answer = register(&server, body).await.ok();
    assert_eq!(answer["user_id"], "@alice:test.example");
    for key in ["access_token", "device_id", "refresh_token", "expires_in_ms"] {
        assert!(answer.get(key).is_none(), "{answer}");
    }
    let login = log_in(&server, "alice", "a password").await.ok();
    let alice = User::from_login(&server, &login);
    let devices = alice.get("/devices").await.ok();
    assert_eq!(devices["devices"].as_array().unwrap().len(), 1, "{devices}");
}

#[tokio::test]
async fn who_asks_for_no_name_gets_a_number() {
    let server = started().await;
    let body = json!({ "password": "a password", "auth": { "type": DUMMY } });
    let (one, two) = (
        register(&server, body.clone()).await.ok(),
        register(&server, body).await.ok(),
    );
    assert_ne!(one["user_id"], two["user_id"]);
    log_in(&server, one["user_id"].as_str().unwrap(), "a password")
        .await
        .ok();
}
