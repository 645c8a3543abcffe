use axum::body::Body;
use http::{Method, Request};
use serde_json::json;

use crate::house::{house, house_with, policies};

#[tokio::test]
async fn anybody_may_ask_whether_there_is_a_server_and_what_it_speaks() {
    let house = house();
    for path in ["", "/"] {
        assert_eq!(house.ask(Method::GET, path, None, None).await.ok(), json!({}));
    }
    let request = Request::get("/_matrix/identity/versions")
        .body(Body::empty())
        .unwrap();
    let versions = house.send(request).await.ok();
    assert!(versions["versions"].as_array().unwrap().contains(&json!("v1.19")));
}

#[tokio::test]
async fn an_openid_token_gives_an_account() {
    let house = house();
    let token = house.token("alice").await;
    assert_eq!(
        house.get("/account", &token).await.ok(),
        json!({ "user_id": "@alice:house.test" })
    );
    let by_query = format!("/account?access_token={token}");
    house.ask(Method::GET, &by_query, None, None).await.ok();
    assert_eq!(
        house.post("/account/logout", &token, json!({})).await.ok(),
        json!({})
    );
    house
        .get("/account", &token)
        .await
        .refused(401, "M_UNKNOWN_TOKEN");
    house
        .post("/account/logout", &token, json!({}))
        .await
        .refused(401, "M_UNKNOWN_TOKEN");
}

#[tokio::test]
async fn what_nobody_confirms_gives_no_account() {
    let house = house();
    let register = async |token: &str, server: &str| {
        let body = json!({ "access_token": token, "token_type": "Bearer", "matrix_server_name": server });
        house
            .ask(Method::POST, "/account/register", None, Some(body))
            .await
    };
    register("nonsense", "house.test")
        .await
        .refused(401, "M_UNAUTHORIZED");
    register("@alice:house.test", "other.test")
        .await
        .refused(401, "M_UNAUTHORIZED");
    register("away", "house.test").await.refused(502, "M_UNKNOWN");
    register("@alice:house.test", "house.test/..")
        .await
        .refused(400, "M_INVALID_PARAM");
    let body = Some(json!({ "access_token": "t" }));
    let answer = house.ask(Method::POST, "/account/register", None, body).await;
    answer.refused(400, "M_MISSING_PARAM");
}

#[tokio::test]
async fn everything_but_keys_and_terms_needs_a_token() {
    let house = house();
    let paths = [
        (Method::GET, "/account"),
        (Method::POST, "/account/logout"),
        (Method::GET, "/hash_details"),
        (Method::POST, "/lookup"),
        (Method::POST, "/terms"),
        (Method::POST, "/validate/email/requestToken"),
        (Method::POST, "/validate/email/submitToken"),
        (Method::POST, "/validate/msisdn/requestToken"),
        (Method::POST, "/validate/msisdn/submitToken"),
        (Method::GET, "/3pid/getValidated3pid?sid=a&client_secret=b"),
        (Method::POST, "/3pid/bind"),
        (Method::POST, "/3pid/unbind"),
        (Method::POST, "/store-invite"),
        (Method::POST, "/sign-ed25519"),
    ];
    for (method, path) in paths {
        let answer = house.ask(method.clone(), path, None, Some(json!({}))).await;
        answer.refused(401, "M_MISSING_TOKEN");
        let answer = house.ask(method, path, Some("nonsense"), Some(json!({}))).await;
        answer.refused(401, "M_UNKNOWN_TOKEN");
    }
}

#[tokio::test]
async fn nothing_is_done_for_whoever_has_not_agreed_to_the_terms() {
    let house = house_with(|config| config.policies = policies());
    let token = house.token("alice").await;
    let terms = house.ask(Method::GET, "/terms", None, None).await.ok();
    assert_eq!(terms["policies"]["terms"]["version"], "1");
    for (method, path) in [
        (Method::GET, "/account"),
        (Method::GET, "/hash_details"),
        (Method::POST, "/lookup"),
        (Method::POST, "/validate/email/requestToken"),
        (Method::POST, "/3pid/bind"),
        (Method::POST, "/3pid/unbind"),
        (Method::POST, "/store-invite"),
        (Method::POST, "/sign-ed25519"),
    ] {
        let answer = house.ask(method, path, Some(&token), Some(json!({}))).await;
        answer.refused(403, "M_TERMS_NOT_SIGNED");
    }
    let url = &terms["policies"]["terms"]["en"]["url"];
    let agreed = house
        .post("/terms", &token, json!({ "user_accepts": [url] }))
        .await;
    assert_eq!(agreed.ok(), json!({}));
    house.get("/account", &token).await.ok();
}

#[tokio::test]
async fn somebody_who_agrees_to_nothing_can_leave() {
    let house = house_with(|config| config.policies = policies());
    let token = house.token("alice").await;
    house.post("/account/logout", &token, json!({})).await.ok();
}
