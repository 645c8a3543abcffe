use axum::body::Body;
use http::{Request, header};
use serde_json::{Value, json};

use crate::house::{Answer, House, house};

fn unbinding(extra: Value) -> Value {
    let mut body = json!({
        "mxid": "@alice:house.test",
        "threepid": { "medium": "email", "address": "alice@a.test" },
    });
    if let (Value::Object(body), Value::Object(extra)) = (&mut body, extra) {
        body.extend(extra);
    }
    body
}

async fn unbind_signed(house: &House, signer: &str) -> Answer {
    let request = Request::post("/_matrix/identity/v2/3pid/unbind")
        .header(header::AUTHORIZATION, format!("X-Matrix {signer}"))
        .body(Body::from(unbinding(json!({})).to_string()))
        .unwrap();
    house.send(request).await
}

#[tokio::test]
async fn a_proven_address_is_bound_and_the_association_signed() {
    let house = house();
    let token = house.token("alice").await;
    let bound = house.bind(&token, "alice", "alice@a.test").await;
    assert_eq!(
        (&bound["mxid"], &bound["address"]),
        (&json!("@alice:house.test"), &json!("alice@a.test"))
    );
    assert!(bound["signatures"]["id.test"]["ed25519:0"].is_string(), "{bound}");
}

#[tokio::test]
async fn t24_nobody_binds_for_another() {
    let house = house();
    let (alices, mallorys) = (house.token("alice").await, house.token("mallory").await);
    let sid = house.proven(&alices, "alice@a.test", "secret").await;
    let body = |mxid: &str| json!({ "sid": sid, "client_secret": "secret", "mxid": mxid });
    let bind = async |token: &str, mxid: &str| house.post("/3pid/bind", token, body(mxid)).await;
    bind(&mallorys, "@mallory:house.test")
        .await
        .refused(403, "M_FORBIDDEN");
    bind(&mallorys, "@alice:house.test")
        .await
        .refused(403, "M_FORBIDDEN");
    bind(&alices, "@mallory:house.test")
        .await
        .refused(403, "M_FORBIDDEN");
    for mxid in ["alice", "@alice", "@alice:", "@alice:house.test/x"] {
        bind(&alices, mxid).await.refused(400, "M_INVALID_PARAM");
    }
    bind(&alices, "@alice:house.test").await.ok();
}

#[tokio::test]
async fn an_address_is_taken_back_by_its_session() {
    let house = house();
    let token = house.token("alice").await;
    house.bind(&token, "alice", "alice@a.test").await;
    house
        .post("/3pid/unbind", &token, unbinding(json!({})))
        .await
        .refused(400, "M_MISSING_PARAM");
    let sid = house.proven(&token, "alice@a.test", "again").await;
    let wrong = unbinding(json!({ "sid": sid, "client_secret": "wrong" }));
    house
        .post("/3pid/unbind", &token, wrong)
        .await
        .refused(404, "M_NO_VALID_SESSION");
    let right = unbinding(json!({ "sid": sid, "client_secret": "again" }));
    assert_eq!(house.post("/3pid/unbind", &token, right).await.ok(), json!({}));
}

#[tokio::test]
async fn t24_only_the_users_own_homeserver_takes_an_address_back_for_them() {
    let house = house();
    let token = house.token("alice").await;
    house.bind(&token, "alice", "alice@a.test").await;
    unbind_signed(&house, "other.test")
        .await
        .refused(403, "M_FORBIDDEN");
    unbind_signed(&house, "not a server")
        .await
        .refused(403, "M_FORBIDDEN");
    assert_eq!(unbind_signed(&house, "house.test").await.ok(), json!({}));
}
