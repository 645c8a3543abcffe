//! `refresh.yaml`

use std::time::Duration;

use gatehouse_testkit::{Answer, TestServer, User, started};
use serde_json::{Value, json};

/// A login with a refresh token.
async fn refreshable(server: &TestServer) -> Value {
    server.user("alice").await;
    let body = json!({
        "type": "m.login.password", "identifier": { "type": "m.id.user", "user": "alice" },
        "password": "password of alice", "refresh_token": true,
    });
    server
        .request("POST", "/_matrix/client/v3/login", Some(&body))
        .await
        .ok()
}

async fn refresh(server: &TestServer, token: &Value) -> Answer {
    let body = json!({ "refresh_token": token });
    server
        .request("POST", "/_matrix/client/v3/refresh", Some(&body))
        .await
}

async fn whoami(server: &TestServer, tokens: &Value) -> Answer {
    User::from_login(server, tokens).get("/account/whoami").await
}

#[tokio::test]
async fn a_token_that_expires_is_refreshed_again_and_again() {
    let server = started().await;
    let mut tokens = refreshable(&server).await;
    let device = tokens["device_id"].clone();
    for _ in 0..3 {
        server.clock().advance(Duration::from_millis(299_999));
        assert_eq!(whoami(&server, &tokens).await.ok()["device_id"], device);
        server.clock().advance(Duration::from_millis(1));
        let expired = whoami(&server, &tokens).await.refused(401, "M_UNKNOWN_TOKEN");
        assert_eq!(expired["soft_logout"], true);
        let next = refresh(&server, &tokens["refresh_token"]).await.ok();
        assert_eq!(next["expires_in_ms"], 300_000);
        assert_ne!(next["access_token"], tokens["access_token"]);
        assert_ne!(next["refresh_token"], tokens["refresh_token"]);
        tokens = next;
    }
}

#[tokio::test]
async fn who_lost_the_answer_may_ask_again_within_half_a_minute() {
    let server = started().await;
    let first = refreshable(&server).await["refresh_token"].clone();
    let lost = refresh(&server, &first).await.ok();
    server.clock().advance(Duration::from_secs(30));
    let again = refresh(&server, &first).await.ok();
    for tokens in [&lost, &again] {
        whoami(&server, tokens).await.ok();
    }
    refresh(&server, &again["refresh_token"]).await.ok();
}

#[tokio::test]
async fn an_old_refresh_token_that_turns_up_later_ends_the_session() {
    let server = started().await;
    let login = refreshable(&server).await;
    let first = login["refresh_token"].clone();
    let now = refresh(&server, &first).await.ok();
    server.clock().advance(Duration::from_secs(31));
    whoami(&server, &now).await.ok();
    refresh(&server, &first).await.refused(401, "M_UNKNOWN_TOKEN");
    for tokens in [&login, &now] {
        whoami(&server, tokens).await.refused(401, "M_UNKNOWN_TOKEN");
    }
    refresh(&server, &now["refresh_token"])
        .await
        .refused(401, "M_UNKNOWN_TOKEN");
}

#[tokio::test]
async fn logging_out_ends_the_refresh_token_too() {
    let server = started().await;
    let login = refreshable(&server).await;
    let tokens = refresh(&server, &login["refresh_token"]).await.ok();
    User::from_login(&server, &tokens)
        .post("/logout", json!({}))
        .await
        .ok();
    for spent in [&login, &tokens] {
        let answer = refresh(&server, &spent["refresh_token"]).await;
        answer.refused(401, "M_UNKNOWN_TOKEN");
        whoami(&server, spent).await.refused(401, "M_UNKNOWN_TOKEN");
    }
}

#[tokio::test]
async fn what_is_no_refresh_token_gets_nothing() {
    let server = started().await;
    let login = refreshable(&server).await;
    for token in [json!(""), json!("x"), login["access_token"].clone()] {
        refresh(&server, &token).await.refused(401, "M_UNKNOWN_TOKEN");
    }
    refresh(&server, &Value::Null).await.refused(400, "M_BAD_JSON");
    let swapped = json!({ "access_token": login["refresh_token"] });
    whoami(&server, &swapped).await.refused(401, "M_UNKNOWN_TOKEN");
    whoami(&server, &login).await.ok();
}
