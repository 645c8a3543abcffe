use axum::body::Body;
use http::{Method, Request, StatusCode};
use serde_json::{Value, json};

use crate::house::{House, house, link_in};

async fn post(house: &House, path: &str, body: Value) -> crate::house::Answer {
    house.ask_legacy(Method::POST, path, Some(body)).await
}

async fn get(house: &House, path: &str) -> crate::house::Answer {
    house.ask_legacy(Method::GET, path, None).await
}

/// A session that has proven the address.
async fn proven(house: &House) -> String {
    let body = json!({ "email": "alice@a.test", "client_secret": "secret", "send_attempt": 1 });
    let sid = post(house, "/validate/email/requestToken", body).await.ok();
    let link = link_in(&house.letter().await);
    let answer = house.send(Request::get(link).body(Body::empty()).unwrap()).await;
    assert_eq!(answer.status, StatusCode::OK);
    sid["sid"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn without_accounts_an_address_is_proven_bound_looked_up_and_taken_back() {
    let house = house();
    for path in ["", "/"] {
        assert_eq!(get(&house, path).await.ok(), json!({}));
    }
    let lookup = "/lookup?medium=email&address=alice%40a.test";
    assert_eq!(get(&house, lookup).await.ok(), json!({}));
    let sid = proven(&house).await;
    let session = json!({ "sid": sid, "client_secret": "secret", "mxid": "@alice:house.test" });
    let bound = post(&house, "/3pid/bind", session.clone()).await.ok();
    let found = get(&house, lookup).await.ok();
    assert_eq!(found, bound);
    assert!(found["signatures"]["id.test"]["ed25519:0"].is_string());
    let mut unbinding = session;
    unbinding["threepid"] = json!({ "medium": "email", "address": "alice@a.test" });
    assert_eq!(post(&house, "/3pid/unbind", unbinding).await.ok(), json!({}));
    assert_eq!(get(&house, lookup).await.ok(), json!({}));
    get(&house, "/lookup?medium=email")
        .await
        .refused(400, "M_MISSING_PARAM");
    get(&house, "/lookup?medium=post&address=a")
        .await
        .refused(400, "M_INVALID_PARAM");
}

#[tokio::test]
async fn t24_a_session_of_an_account_is_not_bound_without_it() {
    let house = house();
    let token = house.token("alice").await;
    let sid = house.proven(&token, "alice@a.test", "secret").await;
    let body = json!({ "sid": sid, "client_secret": "secret", "mxid": "@mallory:house.test" });
    post(&house, "/3pid/bind", body).await.refused(403, "M_FORBIDDEN");
}

#[tokio::test]
async fn an_invitation_names_a_key_for_the_earliest_homeservers() {
    let house = house();
    let body = json!({
        "medium": "email", "address": "bob@b.test", "room_id": "!r:house.test", "sender": "@alice:house.test",
    });
    let stored = post(&house, "/store-invite", body).await.ok();
    assert_eq!(stored["public_key"], stored["public_keys"][0]["public_key"]);
    assert_eq!(stored["public_keys"].as_array().unwrap().len(), 2);
    assert!(stored["token"].is_string() && stored["display_name"].is_string());
    house.letter().await;
    get(&house, "/pubkey/ed25519:0").await.ok();
}
