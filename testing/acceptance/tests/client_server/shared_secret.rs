//! `/_synapse/admin/v1/register`: accounts for whoever knows the operator's shared secret.

use std::{fmt::Write, time::Duration};

use gatehouse_testkit::{TestServer, User, configured, server::SHARED_SECRET, started};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha1::Sha1;

const PATH: &str = "/_synapse/admin/v1/register";

/// An administrator, made with the shared secret.
pub(crate) async fn administrator(server: &TestServer) -> User<'_> {
    let body = signed(&nonce(server).await, "root", true);
    User::from_login(server, &server.request("POST", PATH, Some(&body)).await.ok())
}

async fn nonce(server: &TestServer) -> String {
    server.request("GET", PATH, None).await.ok()["nonce"]
        .as_str()
        .unwrap()
        .to_owned()
}

/// A registration that the shared secret vouches for.
fn signed(nonce: &str, name: &str, admin: bool) -> Value {
    let password = format!("password of {name}");
    let role = if admin { "admin" } else { "notadmin" };
    let mut mac = Hmac::<Sha1>::new_from_slice(SHARED_SECRET.as_bytes()).unwrap();
    mac.update(format!("{nonce}\0{name}\0{password}\0{role}").as_bytes());
    let proof = mac
        .finalize()
        .into_bytes()
        .iter()
        .fold(String::new(), |mut hex, byte| {
            // Writing into a `String` cannot fail.
            _ = write!(hex, "{byte:02x}");
            hex
        });
    json!({ "nonce": nonce, "username": name, "password": password, "admin": admin, "mac": proof })
}

#[tokio::test]
async fn the_shared_secret_makes_users_and_administrators() {
    let server = started().await;
    let root = administrator(&server).await;
    assert_eq!(root.id, "@root:test.example");
    let mut body = signed(&nonce(&server).await, "alice", false);
    body["displayname"] = "Alice".into();
    let alice = User::from_login(&server, &server.request("POST", PATH, Some(&body)).await.ok());
    let profile = alice.get("/profile/@alice:test.example").await.ok();
    assert_eq!(profile["displayname"], "Alice");
    alice.log_in_again().await;
    let tokens = "/_synapse/admin/v1/registration_tokens";
    root.request("GET", tokens, None).await.ok();
    alice
        .request("GET", tokens, None)
        .await
        .refused(403, "M_FORBIDDEN");
}

#[tokio::test]
async fn another_mac_makes_nobody() {
    let server = started().await;
    let nonce = nonce(&server).await;
    let good = signed(&nonce, "mallory", false);
    for (key, value) in [
        ("admin", json!(true)),
        ("username", json!("mallory2")),
        ("password", json!("another")),
        ("user_type", json!("bot")),
        ("mac", json!("00")),
        ("mac", json!("")),
        ("mac", json!("not hexadecimal")),
    ] {
        let mut body = good.clone();
        body[key] = value;
        server
            .request("POST", PATH, Some(&body))
            .await
            .refused(403, "M_FORBIDDEN");
    }
    server.request("POST", PATH, Some(&good)).await.ok();
}

#[tokio::test]
async fn a_nonce_is_good_once_and_for_a_minute() {
    let server = started().await;
    let nonce_of_alice = nonce(&server).await;
    let alice = signed(&nonce_of_alice, "alice", false);
    server.request("POST", PATH, Some(&alice)).await.ok();
    let again = signed(&nonce_of_alice, "bob", false);
    let late = signed(&nonce(&server).await, "bob", false);
    server.clock().advance(Duration::from_secs(61));
    for body in [again, late, signed("abc", "bob", false)] {
        server
            .request("POST", PATH, Some(&body))
            .await
            .refused(400, "M_UNKNOWN");
    }
    let timely = signed(&nonce(&server).await, "bob", false);
    server.request("POST", PATH, Some(&timely)).await.ok();
}

#[tokio::test]
async fn the_shared_secret_takes_no_name_from_anybody() {
    let server = started().await;
    server.user("alice").await;
    let alice = signed(&nonce(&server).await, "alice", true);
    server
        .request("POST", PATH, Some(&alice))
        .await
        .refused(400, "M_USER_IN_USE");
    let spaced = signed(&nonce(&server).await, "al ice", true);
    server
        .request("POST", PATH, Some(&spaced))
        .await
        .refused(400, "M_INVALID_USERNAME");
}

#[tokio::test]
async fn e09_without_a_shared_secret_nobody_can_know_it() {
    for secret in [None, Some(String::new())] {
        let server = configured(|config| config.registration.shared_secret = secret).await;
        server.request("GET", PATH, None).await.refused(400, "M_UNKNOWN");
        let body = signed("0", "mallory", true);
        server
            .request("POST", PATH, Some(&body))
            .await
            .refused(400, "M_UNKNOWN");
    }
}
