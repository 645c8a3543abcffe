//! `v2_lookup.yaml`

use gatehouse_testkit::RateLimits;
use serde_json::json;

use crate::identity_server::{hash, identity_server, identity_server_with};

#[tokio::test]
async fn t23_a_lookup_is_bounded_and_needs_the_pepper() {
    let here = identity_server().await;
    let alice = here.server.user("alice").await;
    let token = here.token(&alice).await;
    let pepper = here.pepper(&token).await;
    let lookup = async |algorithm: &str, pepper: &str, addresses: Vec<String>| {
        let body = json!({ "algorithm": algorithm, "pepper": pepper, "addresses": addresses });
        here.post(&token, "/lookup", body).await
    };
    let many = |count: usize| {
        (0..count)
            .map(|number| hash(&format!("u{number}@a.test"), &pepper))
            .collect()
    };
    lookup("sha256", &pepper, many(1_000)).await.ok();
    lookup("sha256", &pepper, many(1_001))
        .await
        .refused(413, "M_TOO_LARGE");
    let refused = lookup("sha256", "stale", many(1))
        .await
        .refused(400, "M_INVALID_PEPPER");
    assert_eq!(refused["lookup_pepper"], pepper);
    let unhashed = vec!["u1@a.test email".to_owned()];
    lookup("none", &pepper, unhashed)
        .await
        .refused(400, "M_INVALID_PARAM");
}

#[tokio::test]
async fn t23_an_account_looks_up_ten_times_at_once_and_then_once_a_second() {
    let here = identity_server_with(|config| config.rate_limits = RateLimits::default()).await;
    let alice = here.server.user("alice").await;
    let token = here.token(&alice).await;
    let pepper = here.pepper(&token).await;
    let lookup = async || {
        let body = json!({ "algorithm": "sha256", "pepper": pepper, "addresses": [] });
        here.post(&token, "/lookup", body).await
    };
    for _ in 0..10 {
        lookup().await.ok();
    }
    let refused = lookup().await.refused(429, "M_LIMIT_EXCEEDED");
    assert_eq!(refused["retry_after_ms"], 1_000);
    here.server.clock().advance(std::time::Duration::from_secs(1));
    lookup().await.ok();
}

#[tokio::test]
async fn ten_thousand_addresses_are_looked_up_at_once_where_that_is_allowed() {
    let here = identity_server_with(|config| config.identity_service.max_lookup_addresses = 10_000).await;
    let alice = here.server.user("alice").await;
    let token = here.token(&alice).await;
    here.bind(&token, &alice, "alice@mail.example").await;
    let pepper = here.pepper(&token).await;
    let mut hashes: Vec<_> = (1..10_000)
        .map(|number| hash(&format!("u{number}@a.test"), &pepper))
        .collect();
    let own = hash("alice@mail.example", &pepper);
    hashes.push(own.clone());
    let body = json!({ "algorithm": "sha256", "pepper": pepper, "addresses": hashes });
    let found = here.post(&token, "/lookup", body).await.ok();
    assert_eq!(found, json!({ "mappings": { own: alice.id } }));
}
