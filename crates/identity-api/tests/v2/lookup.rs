use serde_json::{Value, json};

use crate::house::{House, house, house_with};

async fn pepper(house: &House, token: &str) -> String {
    let details = house.get("/hash_details", token).await.ok();
    details["lookup_pepper"].as_str().unwrap().to_owned()
}

fn body(pepper: &str, addresses: &[&str]) -> Value {
    json!({ "algorithm": "sha256", "pepper": pepper, "addresses": addresses })
}

#[tokio::test]
async fn a_lookup_says_who_has_bound_an_address() {
    let house = house_with(|config| config.lookup.allow_unhashed = true);
    let token = house.token("alice").await;
    house.bind(&token, "alice", "alice@a.test").await;
    let details = house.get("/hash_details", &token).await.ok();
    assert_eq!(details["algorithms"], json!(["sha256", "none"]));
    let mut request = body(
        &pepper(&house, &token).await,
        &["alice@a.test email", "bob@a.test email"],
    );
    request["algorithm"] = json!("none");
    let found = house.post("/lookup", &token, request).await.ok();
    assert_eq!(
        found,
        json!({ "mappings": { "alice@a.test email": "@alice:house.test" } })
    );
}

#[tokio::test]
async fn t23_lookups_are_refused_for_what_is_wrong_with_them() {
    let house = house_with(|config| {
        config.lookup.max_addresses = 2;
        config.lookup.addresses_per_day = 3;
    });
    let token = house.token("alice").await;
    let pepper = pepper(&house, &token).await;
    let lookup = async |body: Value| house.post("/lookup", &token, body).await;
    let refused = lookup(body("stale", &[])).await.refused(400, "M_INVALID_PEPPER");
    assert_eq!(
        (&refused["lookup_pepper"], &refused["algorithm"]),
        (&json!(pepper), &json!("sha256"))
    );
    let mut unhashed = body(&pepper, &["a@b.c email"]);
    unhashed["algorithm"] = json!("none");
    lookup(unhashed).await.refused(400, "M_INVALID_PARAM");
    lookup(body(&pepper, &["a", "b", "c"]))
        .await
        .refused(413, "M_TOO_LARGE");
    lookup(json!({ "algorithm": "sha256" }))
        .await
        .refused(400, "M_BAD_JSON");
    lookup(body(&pepper, &["a", "b"])).await.ok();
    let refused = lookup(body(&pepper, &["c", "d"]))
        .await
        .refused(429, "M_LIMIT_EXCEEDED");
    assert!(refused["retry_after_ms"].as_u64().unwrap() > 1_000_000);
    let long = "a".repeat(300 << 10);
    lookup(body(&pepper, &[&long])).await.refused(413, "M_TOO_LARGE");
}

#[tokio::test]
async fn ten_thousand_addresses_fit_where_the_operator_allows_them() {
    let house = house_with(|config| config.lookup.max_addresses = 10_000);
    let token = house.token("alice").await;
    let hashes = vec!["4kenr7N9drpCJ4AfalmlGQVsOn3o2RHjkADUpXJWZUc"; 10_000];
    let request = body(&pepper(&house, &token).await, &hashes);
    assert_eq!(
        house.post("/lookup", &token, request).await.ok(),
        json!({ "mappings": {} })
    );
}

#[tokio::test]
async fn a_body_of_another_size_is_refused_without_a_token_unread() {
    let house = house();
    let long = json!({ "addresses": "a".repeat(2 << 20) });
    let answer = house.ask(http::Method::POST, "/lookup", None, Some(long)).await;
    answer.refused(401, "M_MISSING_TOKEN");
}
