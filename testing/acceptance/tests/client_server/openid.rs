//! `openid.yaml`

use gatehouse_testkit::{started, user::escaped};
use serde_json::json;

fn path(user_id: &str) -> String {
    format!("/user/{}/openid/request_token", escaped(user_id))
}

#[tokio::test]
async fn a_user_gets_a_token_that_is_good_for_nothing_here() {
    let server = started().await;
    let alice = server.user("alice").await;
    let answer = alice.post(&path(&alice.id), json!({})).await.ok();
    assert_eq!(answer["token_type"], "Bearer");
    assert_eq!(answer["matrix_server_name"], "test.example");
    assert_eq!(answer["expires_in"], 3_600);
    let token = answer["access_token"].as_str().unwrap();
    let borrowed = json!({ "user_id": alice.id, "access_token": token });
    let with_it = gatehouse_testkit::User::from_login(&server, &borrowed);
    with_it
        .get("/account/whoami")
        .await
        .refused(401, "M_UNKNOWN_TOKEN");
}

#[tokio::test]
async fn nobody_gets_a_token_in_another_name() {
    let server = started().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let answer = alice.post(&path(&bob.id), json!({})).await;
    answer.refused(403, "M_FORBIDDEN");
    let nobody = server
        .request(
            "POST",
            &format!("/_matrix/client/v3{}", path(&bob.id)),
            Some(&json!({})),
        )
        .await;
    nobody.refused(401, "M_MISSING_TOKEN");
}
