//! `gatehouse identity list-keys`, `rotate-key`, `revoke-key` and `rotate-pepper`.

use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    identity_alone::start_alone,
    process::{Server, configure, refusal, run},
};

/// Runs an `identity` command and gives its lines.
#[track_caller]
fn identity(dir: &Path, arguments: &[&str]) -> Vec<Value> {
    let config = dir.join("gatehouse.toml").display().to_string();
    let arguments = [&["identity"][..], arguments, &["--config", &config]].concat();
    let output = run(dir, &arguments, "");
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{arguments:?}: {errors}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn states(keys: &[Value]) -> Vec<Value> {
    let state = |key: &Value| json!([key["key_id"], key["signs"], key["revoked"]]);
    keys.iter().map(state).collect()
}

/// The same commands, on the store and through a running server. Three keys: the first revoked, the second replaced.
fn manage_keys(dir: &Path) -> Vec<Value> {
    assert_eq!(identity(dir, &["rotate-key"])[0]["key_id"], "ed25519:0");
    assert_eq!(
        states(&identity(dir, &["rotate-key"])),
        [json!(["ed25519:1", true, false])]
    );
    assert_eq!(
        states(&identity(dir, &["revoke-key", "ed25519:0"])),
        [json!(["ed25519:0", false, true])]
    );
    assert_eq!(identity(dir, &["rotate-key"])[0]["key_id"], "ed25519:2");
    let config = dir.join("gatehouse.toml").display().to_string();
    for id in ["ed25519:7", "nonsense", "ed25519:00"] {
        let sentence = refusal(dir, &["identity", "revoke-key", id, "--config", &config]);
        assert!(sentence.contains("no such key"), "{id}: {sentence}");
    }
    let keys = identity(dir, &["list-keys"]);
    let expected = [
        json!(["ed25519:0", false, true]),
        json!(["ed25519:1", false, false]),
        json!(["ed25519:2", true, false]),
    ];
    assert_eq!(states(&keys), expected);
    keys
}

/// What others are told of the keys.
async fn check_keys(server: &Server, keys: &[Value]) {
    for key in keys {
        let id = key["key_id"].as_str().unwrap();
        let path = format!("/_matrix/identity/v2/pubkey/{id}");
        let (status, answer) = server.request("GET", &path, None, None).await.unwrap();
        let is_revoked = key["revoked"] == true;
        assert_eq!(status, if is_revoked { 404 } else { 200 }, "{id}: {answer}");
        if !is_revoked {
            assert_eq!(answer["public_key"], key["public_key"]);
        }
        let public = key["public_key"].as_str().unwrap().replace('+', "%2B");
        let path = format!("/_matrix/identity/v2/pubkey/isvalid?public_key={public}");
        let (_, answer) = server.request("GET", &path, None, None).await.unwrap();
        assert_eq!(answer["valid"], !is_revoked, "{id}");
    }
}

#[tokio::test]
async fn keys_are_looked_after_while_the_server_is_stopped() {
    let dir = TempDir::new().unwrap();
    configure(dir.path(), "");
    let keys = manage_keys(dir.path());
    check_keys(&Server::start(dir.path()), &keys).await;
}

#[tokio::test]
async fn keys_are_looked_after_while_a_homeserver_with_its_own_service_runs() {
    let dir = TempDir::new().unwrap();
    let server = Server::start(dir.path());
    let keys = manage_keys(dir.path());
    check_keys(&server, &keys).await;
}

#[tokio::test]
async fn keys_are_looked_after_while_the_identity_server_alone_runs() {
    let dir = TempDir::new().unwrap();
    let server = start_alone(dir.path());
    let keys = manage_keys(dir.path());
    check_keys(&server, &keys).await;
}

#[test]
fn revoking_the_key_that_signs_makes_another() {
    let dir = TempDir::new().unwrap();
    configure(dir.path(), "");
    identity(dir.path(), &["rotate-key"]);
    let revoked = identity(dir.path(), &["revoke-key", "ed25519:0"]);
    assert_eq!(states(&revoked), [json!(["ed25519:0", false, true])]);
    // Twice does no harm.
    identity(dir.path(), &["revoke-key", "ed25519:0"]);
    let expected = [
        json!(["ed25519:0", false, true]),
        json!(["ed25519:1", true, false]),
    ];
    assert_eq!(states(&identity(dir.path(), &["list-keys"])), expected);
}

/// The pepper that a user of the homeserver is told.
async fn pepper(server: &Server) -> Value {
    let token = server.register("alice").await;
    let path = "/_matrix/client/v3/user/@alice:a.example/openid/request_token";
    let (_, openid) = server
        .request("POST", path, Some(&token), Some(json!({})))
        .await
        .unwrap();
    let path = "/_matrix/identity/v2/account/register";
    let (_, account) = server.request("POST", path, None, Some(openid)).await.unwrap();
    let path = "/_matrix/identity/v2/hash_details";
    let (_, details) = server
        .request("GET", path, account["token"].as_str(), None)
        .await
        .unwrap();
    details["lookup_pepper"].clone()
}

#[tokio::test]
async fn a_rotated_pepper_is_the_one_that_is_given_out() {
    let dir = TempDir::new().unwrap();
    configure(dir.path(), "");
    let stopped = identity(dir.path(), &["rotate-pepper"]);
    let again = identity(dir.path(), &["rotate-pepper"]);
    assert_ne!(stopped[0]["lookup_pepper"], again[0]["lookup_pepper"]);
    let server = Server::start(dir.path());
    let running = identity(dir.path(), &["rotate-pepper"]);
    assert_ne!(running[0]["lookup_pepper"], again[0]["lookup_pepper"]);
    assert_eq!(pepper(&server).await, running[0]["lookup_pepper"]);
}

#[test]
fn commands_for_another_kind_of_server_are_refused_with_advice() {
    let dir = TempDir::new().unwrap();
    let alone = start_alone(dir.path());
    let sentence = refusal(dir.path(), &["user", "list", "--config", "gatehouse.toml"]);
    assert!(sentence.contains("it has no users"), "{sentence}");
    drop(alone);
    let config = configure(dir.path(), "[identity_service]\nenabled = false\n");
    let arguments = ["serve", "--config", &config, "--listen", "127.0.0.1:0"];
    let _homeserver = Server::run(crate::process::program(dir.path()).args(arguments), dir.path());
    let sentence = refusal(dir.path(), &["identity", "rotate-key", "--config", &config]);
    assert!(
        sentence.contains("switched off") && sentence.contains("--config"),
        "{sentence}"
    );
}
