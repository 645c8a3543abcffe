//! Web clients may read every answer (specification, "Web browser clients").

use gatehouse_testkit::{Answer, configured, started};
use serde_json::json;

fn check(answer: &Answer, status: u16) {
    let header = |name: &str| {
        answer
            .headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    };
    let request = &answer.request;
    assert_eq!(answer.status, status, "{request}: {}", answer.body);
    assert_eq!(header("access-control-allow-origin"), "*", "{request}");
    for method in ["GET", "POST", "PUT", "DELETE", "OPTIONS"] {
        assert!(
            header("access-control-allow-methods").contains(method),
            "{request}"
        );
    }
    for name in ["X-Requested-With", "Content-Type", "Authorization"] {
        assert!(header("access-control-allow-headers").contains(name), "{request}");
    }
    assert!(
        header("access-control-expose-headers").contains("Retry-After"),
        "{request}"
    );
}

#[tokio::test]
async fn every_answer_may_be_read_by_any_web_page() {
    let server = started().await;
    let alice = server.user("alice").await;
    let ask = async |method: &str, path: &str| server.request(method, path, None).await;
    check(&ask("GET", "/_matrix/client/versions").await, 200);
    check(&alice.get("/account/whoami").await, 200);
    check(&ask("GET", "/_matrix/client/v3/account/whoami").await, 401);
    check(&ask("GET", "/_matrix/client/v3/nothing/here").await, 404);
    check(&ask("DELETE", "/_matrix/client/versions").await, 405);
    check(&alice.post("/createRoom", json!([])).await, 400);
    check(&ask("GET", "/.well-known/matrix/client").await, 200);
    let large = json!({ "type": "a".repeat(70_000) });
    check(
        &server
            .request("POST", "/_matrix/client/v3/login", Some(&large))
            .await,
        413,
    );
}

#[tokio::test]
async fn a_preflight_needs_no_authentication_and_does_nothing() {
    let server = started().await;
    let alice = server.user("alice").await;
    for path in [
        "/_matrix/client/v3/logout/all",
        "/_matrix/client/v3/sync",
        "/_matrix/client/api/v1/login",
        "/nowhere",
    ] {
        check(&server.request("OPTIONS", path, None).await, 204);
        check(&alice.request("OPTIONS", path, None).await, 204);
    }
    alice.get("/account/whoami").await.ok();
}

#[tokio::test]
async fn a_refusal_for_haste_may_be_read_too() {
    let server = configured(|config| {
        config.rate_limits.enabled = true;
        config.rate_limits.login = Some(gatehouse_server::config::RateConfig {
            per_second: 0.001,
            burst: 1,
        });
    })
    .await;
    let body = json!({ "type": "m.login.password", "user": "nobody", "password": "x" });
    for status in [403, 429] {
        check(
            &server
                .request("POST", "/_matrix/client/v3/login", Some(&body))
                .await,
            status,
        );
    }
}
