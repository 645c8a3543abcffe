//! `keys_server.yaml`

use gatehouse_testkit::{configured, started};

#[tokio::test]
async fn the_server_publishes_its_key_signed_with_itself() {
    let server = started().await;
    let keys = server.request("GET", "/_matrix/key/v2/server", None).await.ok();
    assert_eq!(keys["server_name"], "test.example");
    let (id, key) = keys["verify_keys"].as_object().unwrap().iter().next().unwrap();
    assert!(id.starts_with("ed25519:") && key["key"].as_str().unwrap().len() == 43);
    assert!(keys["signatures"]["test.example"][id].is_string());
    assert!(keys["valid_until_ts"].as_u64().unwrap() > server.clock().now_ms());
}

#[tokio::test]
async fn the_keys_are_where_early_servers_and_sydent_look_for_them() {
    let server = started().await;
    let keys = server.request("GET", "/_matrix/key/v2/server", None).await.ok();
    for path in ["/_matrix/key/v2/server/", "/_matrix/key/v2/server/ed25519:auto"] {
        let same = server.request("GET", path, None).await.ok();
        assert_eq!(same["verify_keys"], keys["verify_keys"], "{path}");
    }
}

#[tokio::test]
async fn without_federation_there_is_no_such_api() {
    let server = configured(|config| config.federation.enabled = false).await;
    server
        .request("GET", "/_matrix/key/v2/server", None)
        .await
        .refused(404, "M_UNRECOGNIZED");
}
