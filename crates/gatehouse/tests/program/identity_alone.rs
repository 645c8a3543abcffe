//! `gatehouse identity serve`: starting, stopping, and what there is at its addresses.

use std::{path::Path, process::Command};

use serde_json::Value;
use tempfile::TempDir;

use crate::process::{Server, configure, program, refusal, run};

/// The identity server alone, over the usual settings.
pub(crate) fn start_alone(dir: &Path) -> Server {
    let config = configure(dir, "");
    let arguments = [
        "identity",
        "serve",
        "--config",
        &config,
        "--listen",
        "127.0.0.1:0",
    ];
    Server::run(program(dir).args(arguments), dir)
}

async fn status(server: &Server, method: &str, path: &str) -> u16 {
    server.request(method, path, None, None).await.unwrap().0
}

#[test]
fn with_no_configuration_it_serves_and_the_command_that_it_prints_works() {
    let dir = TempDir::new().unwrap();
    let arguments = ["identity", "serve", "--listen", "127.0.0.1:0"];
    let server = Server::run(program(dir.path()).args(arguments), dir.path());
    let greeting = &server.greeting;
    assert!(
        greeting.starts_with("Gatehouse serves the identity server "),
        "{greeting}"
    );
    let mut commands = greeting
        .lines()
        .map(str::trim)
        .filter(|line| line.starts_with("curl "));
    let output = Command::new("sh")
        .args(["-c", commands.next().unwrap()])
        .output()
        .unwrap();
    let key: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(key["public_key"].as_str().map(str::len), Some(43), "{key}");
    // What a homeserver is to be told is a configuration that it takes.
    let settings: Vec<&str> = greeting
        .lines()
        .filter_map(|line| line.strip_prefix("  "))
        .filter(|line| !line.starts_with("curl "))
        .collect();
    let homeserver = TempDir::new().unwrap();
    let config = configure(homeserver.path(), &settings.join("\n"));
    let listed = run(homeserver.path(), &["user", "list", "--config", &config], "");
    assert!(
        listed.status.success() && settings.len() == 5,
        "{settings:?}: {listed:?}"
    );
}

#[tokio::test]
async fn it_has_the_identity_api_health_and_metrics_and_nothing_of_a_homeserver() {
    let dir = TempDir::new().unwrap();
    let server = start_alone(dir.path());
    for path in [
        "/_matrix/identity/v2",
        "/_matrix/identity/versions",
        "/_matrix/identity/api/v1",
        "/_gatehouse/style.css",
        "/health",
        "/metrics",
    ] {
        assert_eq!(status(&server, "GET", path).await, 200, "{path}");
    }
    for (method, path) in [
        ("GET", "/_matrix/client/versions"),
        ("POST", "/_matrix/client/v3/register"),
        ("GET", "/_matrix/key/v2/server"),
        ("GET", "/_matrix/federation/v1/version"),
        ("GET", "/_synapse/admin/v1/server_version"),
        ("GET", "/.well-known/matrix/client"),
        ("POST", "/_gatehouse/invitation/nonsense/account"),
    ] {
        assert_eq!(status(&server, method, path).await, 404, "{path}");
    }
    assert_eq!(
        status(&server, "GET", "/_gatehouse/invitation/nonsense").await,
        404
    );
}

#[test]
fn what_is_in_the_way_is_refused_with_advice() {
    let dir = TempDir::new().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let sentence = refusal(dir.path(), &["identity", "serve", "--listen", &address]);
    assert!(
        sentence.contains(&address) && sentence.contains("choose another address"),
        "{sentence}"
    );
    let homeserver = Server::start(dir.path());
    let config = dir.path().join("gatehouse.toml").display().to_string();
    let serve = |more: &[&str]| {
        let arguments = [
            "identity",
            "serve",
            "--config",
            &config,
            "--listen",
            "127.0.0.1:0",
        ];
        refusal(dir.path(), &[&arguments[..], more].concat())
    };
    let sentence = serve(&[]);
    assert!(sentence.contains("stop the other server"), "{sentence}");
    drop(homeserver);
    let sentence = serve(&["--server-name", "b.example"]);
    assert!(sentence.contains("set server_name to a.example"), "{sentence}");
}

#[test]
fn settings_with_which_nobody_could_use_it_are_refused_with_advice() {
    let dir = TempDir::new().unwrap();
    for (settings, advice) in [
        ("[[listener]]\nserve = [\"client\"]\n", "serve = [\"identity\"]"),
        ("[federation]\nenabled = false\n", "`[federation] enabled = true`"),
        ("[email]\nsmtp_host = \"127.0.0.1\"\n", "`from`"),
    ] {
        let config = configure(dir.path(), settings);
        let sentence = refusal(dir.path(), &["identity", "serve", "--config", &config]);
        assert!(sentence.contains(advice), "{settings}: {sentence}");
    }
}

#[tokio::test]
async fn it_stops_in_good_order_and_goes_on_with_the_same_key() {
    let dir = TempDir::new().unwrap();
    let mut keys = Vec::new();
    for signal in ["TERM", "INT", "KILL", "TERM"] {
        let mut server = start_alone(dir.path());
        let path = "/_matrix/identity/v2/pubkey/ed25519:0";
        let (_, key) = server.request("GET", path, None, None).await.unwrap();
        keys.push(key);
        server.signal(signal);
        let expected = (signal != "KILL").then_some(0);
        assert_eq!(server.wait().code(), expected, "{signal}");
        assert!(
            !server.log().contains("did not finish in time"),
            "{}",
            server.log()
        );
    }
    assert!(
        keys[0]["public_key"].is_string() && keys.iter().all(|key| *key == keys[0]),
        "{keys:?}"
    );
}
