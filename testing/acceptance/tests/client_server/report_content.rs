//! `report_content.yaml`

use gatehouse_testkit::{started, user::escaped};
use serde_json::json;

#[tokio::test]
async fn reports_are_taken_and_tell_nothing() {
    let server = started().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let room = alice.public_room().await;
    let said = alice.say(&room, "1", "hello").await;
    let body = json!({ "reason": "makes me sad" });
    let event = format!("/rooms/{}/report/{}", escaped(&room), escaped(&said));
    alice.post(&event, body.clone()).await.ok();
    let outside = bob.post(&event, body.clone()).await;
    outside.refused(404, "M_NOT_FOUND");
    for path in [
        format!("/rooms/{}/report", escaped(&room)),
        format!("/rooms/{}/report", escaped("!nowhere:test.example")),
        format!("/users/{}/report", escaped(&alice.id)),
        format!("/users/{}/report", escaped("@nobody:test.example")),
    ] {
        assert_eq!(bob.post(&path, body.clone()).await.ok(), json!({}), "{path}");
        bob.post(&path, json!({ "reason": "x".repeat(2_001) }))
            .await
            .refused(413, "M_TOO_LARGE");
        bob.post(&path, json!({})).await.refused(400, "M_MISSING_PARAM");
    }
}
