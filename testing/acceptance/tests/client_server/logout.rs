//! `logout.yaml`

use gatehouse_testkit::{started, user::escaped};
use serde_json::json;

use crate::shared_secret::administrator;

#[tokio::test]
async fn who_logs_out_loses_the_token_and_the_device_and_no_other() {
    let server = started().await;
    let alice = server.user("alice").await;
    let phone = alice.log_in_again().await;
    phone.post("/logout", json!({})).await.ok();
    let refused = phone.get("/account/whoami").await.refused(401, "M_UNKNOWN_TOKEN");
    assert_eq!(refused["soft_logout"], false);
    phone
        .post("/logout", json!({}))
        .await
        .refused(401, "M_UNKNOWN_TOKEN");
    let devices = alice.get("/devices").await.ok();
    let devices = devices["devices"].as_array().unwrap();
    assert_eq!(devices.len(), 1, "{devices:?}");
    assert_eq!(devices[0]["device_id"], alice.device.as_str());
}

#[tokio::test]
async fn logging_out_everywhere_ends_every_session_of_the_one_user() {
    let server = started().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let phone = alice.log_in_again().await;
    phone.post("/logout/all", json!({})).await.ok();
    for session in [&alice, &phone] {
        session
            .get("/account/whoami")
            .await
            .refused(401, "M_UNKNOWN_TOKEN");
    }
    bob.get("/account/whoami").await.ok();
    let back = alice.log_in_again().await;
    let devices = back.get("/devices").await.ok();
    assert_eq!(devices["devices"].as_array().unwrap().len(), 1, "{devices}");
}

#[tokio::test]
async fn a_running_sync_ends_when_its_session_does() {
    for path in ["/logout", "/logout/all"] {
        let server = started().await;
        let alice = server.user("alice").await;
        let since = alice.sync("", 0).await["next_batch"].as_str().unwrap().to_owned();
        let sync = format!("/sync?timeout=30000&since={since}");
        let end = async {
            // The sync has had its turn by the time that other requests are answered.
            for _ in 0..5 {
                alice.get("/account/whoami").await.ok();
            }
            alice.post(path, json!({})).await.ok();
        };
        let (answer, ()) = tokio::join!(alice.get(&sync), end);
        answer.refused(401, "M_UNKNOWN_TOKEN");
    }
}

#[tokio::test]
async fn who_is_locked_can_still_log_out() {
    let server = started().await;
    let (root, alice) = (administrator(&server).await, server.user("alice").await);
    let phone = alice.log_in_again().await;
    let path = format!("/_matrix/client/v1/admin/lock/{}", escaped(&alice.id));
    root.request("PUT", &path, Some(&json!({ "locked": true })))
        .await
        .ok();
    phone.post("/logout", json!({})).await.ok();
    phone.get("/account/whoami").await.refused(401, "M_UNKNOWN_TOKEN");
    let still = alice.get("/account/whoami").await.refused(401, "M_USER_LOCKED");
    assert_eq!(still["soft_logout"], true);
    alice.post("/logout/all", json!({})).await.ok();
    alice.get("/account/whoami").await.refused(401, "M_UNKNOWN_TOKEN");
}

#[tokio::test]
async fn logging_out_takes_a_token() {
    let server = started().await;
    for path in ["/_matrix/client/v3/logout", "/_matrix/client/v3/logout/all"] {
        server
            .request("POST", path, Some(&json!({})))
            .await
            .refused(401, "M_MISSING_TOKEN");
    }
}
