//! Who says where a request comes from (W14).

use gatehouse_testkit::{RateConfig, configured};
use serde_json::json;

#[tokio::test]
async fn w14_a_proxy_of_one_listener_is_not_believed_at_another() {
    let server = configured(|config| {
        let mut behind_proxy = config.listener[0].clone();
        behind_proxy.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
        config.listener.push(behind_proxy);
        config.rate_limits.enabled = true;
        config.rate_limits.registration = Some(RateConfig {
            per_second: 0.001,
            burst: 1,
        });
    })
    .await;
    let mut statuses = Vec::new();
    for number in 1..=3 {
        let body =
            json!({ "username": format!("u{number}"), "password": "x", "auth": { "type": "m.login.dummy" } });
        let request = server
            .http()
            .post(format!("{}/_matrix/client/v3/register", server.base()));
        let request = request.header("x-forwarded-for", format!("192.0.2.{number}"));
        statuses.push(request.json(&body).send().await.unwrap().status().as_u16());
    }
    assert_eq!(statuses, [200, 429, 429], "all of them come from one address");
}
