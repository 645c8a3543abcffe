//! What tells operators how the server is.

use std::process::Command;

use serde_json::json;
use tempfile::TempDir;

use crate::process::Server;

#[tokio::test]
async fn health_is_200_when_the_server_can_serve() {
    let dir = TempDir::new().unwrap();
    let server = Server::start(dir.path());
    let (status, answer) = server.request("GET", "/health", None, None).await.unwrap();
    assert_eq!((status, answer), (200, json!("OK")));
}

#[tokio::test]
async fn metrics_are_valid_openmetrics_and_hold_no_ids() {
    let dir = TempDir::new().unwrap();
    let server = Server::start(dir.path());
    let token = server.register("alice").await;
    let (_, room) = server
        .request(
            "POST",
            "/_matrix/client/v3/createRoom",
            Some(&token),
            Some(json!({})),
        )
        .await
        .unwrap();
    let room = room["room_id"].as_str().unwrap();
    let path = format!("/_matrix/client/v3/rooms/{room}/send/m.room.message/t1");
    server
        .request("PUT", &path, Some(&token), Some(json!({ "body": "hello" })))
        .await
        .unwrap();
    for path in [
        "/_matrix/client/v3/profile/@alice:a.example",
        "/no/such/path-of-mine",
    ] {
        server.request("GET", path, None, None).await.unwrap();
    }
    // Any token is a method, and must not become a label.
    Command::new("curl")
        .args(["-s", "-X", "MYVERB", &server.url])
        .output()
        .unwrap();
    let (status, metrics) = server.request("GET", "/metrics", None, None).await.unwrap();
    let metrics = metrics.as_str().unwrap();
    assert_eq!(status, 200);
    let known = "gatehouse_http_requests_total{route=\"/_matrix/client/v3/rooms/{room_id}/send/{event_type}/{txn_id}\",\
                 method=\"PUT\",status=\"200\"} 1";
    assert!(metrics.lines().any(|line| line == known), "{metrics}");
    for secret in [
        room,
        "alice",
        "a.example",
        "t1\"",
        "path-of-mine",
        "MYVERB",
        &token,
    ] {
        assert!(!metrics.contains(secret), "{secret} in {metrics}");
    }
    check_openmetrics(metrics);
}

/// The rules of the text format that a scraper relies on.
fn check_openmetrics(text: &str) {
    let body = text.strip_suffix("# EOF\n").expect("ends with # EOF");
    let mut described = Vec::new();
    for line in body.lines() {
        if let Some(rest) = line.strip_prefix("# ") {
            let mut words = rest.splitn(3, ' ');
            let (kind, name) = (words.next().unwrap(), words.next().unwrap());
            assert!(["HELP", "TYPE", "UNIT"].contains(&kind), "{line}");
            described.push(name.to_owned());
            continue;
        }
        let (series, value) = line
            .rsplit_once(' ')
            .unwrap_or_else(|| panic!("no value: {line}"));
        value
            .parse::<f64>()
            .unwrap_or_else(|_| panic!("no number: {line}"));
        let name = series.split('{').next().unwrap();
        assert!(
            described.iter().any(|known| name.starts_with(known.as_str())),
            "{name} is not described before its samples"
        );
        assert_eq!(series.contains('{'), series.ends_with('}'), "{line}");
    }
}
