//! `openid.yaml`

use std::time::Duration;

use gatehouse_testkit::{started, user::escaped};
use serde_json::json;

#[tokio::test]
async fn whoever_has_an_openid_token_learns_whose_it_is_for_an_hour() {
    let server = started().await;
    let alice = server.user("alice").await;
    let path = format!("/user/{}/openid/request_token", escaped(&alice.id));
    let token = alice.post(&path, json!({})).await.ok();
    let userinfo = |token: &str| format!("/_matrix/federation/v1/openid/userinfo?access_token={token}");
    let path = userinfo(token["access_token"].as_str().unwrap());
    let info = server.request("GET", &path, None).await.ok();
    assert_eq!(info["sub"], json!(alice.id));
    for wrong in ["nonsense", &alice.token] {
        let answer = server.request("GET", &userinfo(wrong), None).await;
        answer.refused(401, "M_UNKNOWN_TOKEN");
    }
    let none = "/_matrix/federation/v1/openid/userinfo";
    server
        .request("GET", none, None)
        .await
        .refused(401, "M_MISSING_TOKEN");
    server.clock().advance(Duration::from_hours(1));
    server
        .request("GET", &path, None)
        .await
        .refused(401, "M_UNKNOWN_TOKEN");
}
