//! `versions.yaml`

use gatehouse_testkit::started;
use serde_json::json;

#[tokio::test]
async fn versions_are_told_to_everybody_and_to_browsers() {
    let server = started().await;
    let answer = server.request("GET", "/_matrix/client/versions", None).await;
    assert_eq!(answer.headers["access-control-allow-origin"], "*");
    let body = answer.ok();
    let versions = body["versions"].as_array().unwrap();
    for version in ["r0.6.1", "v1.1", "v1.19"] {
        assert!(versions.iter().any(|known| known == version), "{version}");
    }
    assert!(body["unstable_features"].is_object());
}

#[tokio::test]
async fn versions_are_told_whatever_the_token() {
    let server = started().await;
    let alice = server.user("alice").await;
    let path = "/_matrix/client/versions";
    let with = alice.request("GET", path, None).await.ok();
    alice.post("/logout", json!({})).await.ok();
    let without = alice.request("GET", path, None).await.ok();
    assert_eq!(with, without);
}
