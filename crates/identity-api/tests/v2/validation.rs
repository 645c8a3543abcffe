use axum::body::Body;
use http::{Method, Request, StatusCode, header};
use serde_json::{Value, json};

use crate::house::{House, house, link_in};

async fn request_email(house: &House, token: &str, change: impl FnOnce(&mut Value)) -> crate::house::Answer {
    let mut body = json!({ "email": "alice@a.test", "client_secret": "secret", "send_attempt": 1 });
    change(&mut body);
    house.post("/validate/email/requestToken", token, body).await
}

async fn follow(house: &House, link: &str) -> crate::house::Answer {
    house.send(Request::get(link).body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn an_address_is_proven_by_the_link_in_the_mail() {
    let house = house();
    let token = house.token("alice").await;
    let sid = request_email(&house, &token, |_| ()).await.ok()["sid"]
        .as_str()
        .unwrap()
        .to_owned();
    let session = format!("/3pid/getValidated3pid?sid={sid}&client_secret=secret");
    house
        .get(&session, &token)
        .await
        .refused(400, "M_SESSION_NOT_VALIDATED");
    let answer = follow(&house, &link_in(&house.letter().await)).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.headers[header::REFERRER_POLICY], "no-referrer");
    assert!(answer.text.contains("<h1>Thank you</h1>") && !answer.text.contains("alice"));
    let validated = house.get(&session, &token).await.ok();
    let expected =
        json!({ "medium": "email", "address": "alice@a.test", "validated_at": house.clock.now_ms() });
    assert_eq!(validated, expected);
    let other = format!("/3pid/getValidated3pid?sid={sid}&client_secret=other");
    house.get(&other, &token).await.refused(404, "M_NO_VALID_SESSION");
}

#[tokio::test]
async fn whoever_follows_the_link_is_sent_on_to_where_the_operator_allows() {
    let house = house();
    let token = house.token("alice").await;
    request_email(&house, &token, |body| {
        body["next_link"] = json!("https://evil.test/");
    })
    .await
    .refused(400, "M_INVALID_PARAM");
    request_email(&house, &token, |body| {
        body["next_link"] = json!("https://app.test/done");
    })
    .await
    .ok();
    let answer = follow(&house, &link_in(&house.letter().await)).await;
    assert!(answer.status.is_redirection());
    assert_eq!(answer.headers[header::LOCATION], "https://app.test/done");
    assert_eq!(answer.headers[header::REFERRER_POLICY], "no-referrer");
}

#[tokio::test]
async fn a_broken_link_explains_itself_and_repeats_nothing() {
    let house = house();
    for query in [
        "",
        "?sid=%3Cscript%3E&client_secret=%3Cscript%3E&token=%3Cscript%3E",
        "?sid=a&client_secret=b&token=c",
    ] {
        let answer = follow(
            &house,
            &format!("/_matrix/identity/v2/validate/email/submitToken{query}"),
        )
        .await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{query}");
        assert!(
            answer.headers[header::CONTENT_TYPE]
                .to_str()
                .unwrap()
                .starts_with("text/html")
        );
        assert!(
            answer.text.contains("This did not work") && !answer.text.contains("<script>"),
            "{query}"
        );
        assert!(
            answer.headers[header::CONTENT_SECURITY_POLICY]
                .to_str()
                .unwrap()
                .contains("default-src 'none'")
        );
    }
}

#[tokio::test]
async fn a_number_is_proven_by_the_code_in_the_text_message() {
    let house = house();
    let token = house.token("alice").await;
    let body = json!({
        "country": "GB", "phone_number": "07700900001", "client_secret": "secret", "send_attempt": 1,
    });
    let sid = house
        .post("/validate/msisdn/requestToken", &token, body)
        .await
        .ok();
    let letter = house.letter().await;
    let is_code = |word: &&str| word.len() == 6 && word.bytes().all(|byte| byte.is_ascii_digit());
    let mut words = letter.split(|c: char| !c.is_ascii_digit());
    let code = words.find(is_code).expect("a code of six digits");
    let submit = async |code: &str| {
        let body = json!({ "sid": sid["sid"], "client_secret": "secret", "token": code });
        house.post("/validate/msisdn/submitToken", &token, body).await
    };
    let wrong = if code == "000000" { "000001" } else { "000000" };
    submit(wrong).await.refused(400, "M_TOKEN_INCORRECT");
    assert_eq!(submit(code).await.ok(), json!({ "success": true }));
}

#[tokio::test]
async fn forms_are_read_as_in_early_drafts() {
    let house = house();
    let token = house.token("alice").await;
    for content_type in [
        "application/x-www-form-urlencoded; charset=utf-8",
        "application/x-form-www-urlencoded",
    ] {
        let request = Request::post("/_matrix/identity/v2/validate/email/requestToken")
            .header(header::AUTHORIZATION, format!("Bearer {token}"))
            .header(header::CONTENT_TYPE, content_type)
            .body(Body::from(
                "email=alice%40a.test&client_secret=secret&send_attempt=1",
            ))
            .unwrap();
        assert!(house.send(request).await.ok()["sid"].is_string());
    }
}

#[tokio::test]
async fn x08_what_breaks_the_grammar_is_refused() {
    let house = house();
    let token = house.token("alice").await;
    let email = async |name: &'static str, value: Value| {
        request_email(&house, &token, |body| body[name] = value).await
    };
    email("email", json!("alice@a.test@b.test"))
        .await
        .refused(400, "M_INVALID_EMAIL");
    email("client_secret", json!("a b"))
        .await
        .refused(400, "M_INVALID_PARAM");
    email("client_secret", json!("a".repeat(256)))
        .await
        .refused(400, "M_INVALID_PARAM");
    email("client_secret", json!(5)).await.refused(400, "M_BAD_JSON");
    email("client_secret", Value::Null)
        .await
        .refused(400, "M_MISSING_PARAM");
    email("send_attempt", json!(-1))
        .await
        .refused(400, "M_INVALID_PARAM");
    let body = json!({ "country": "GB", "phone_number": "hello", "client_secret": "a", "send_attempt": 1 });
    let refused = house.post("/validate/msisdn/requestToken", &token, body).await;
    refused.refused(400, "M_INVALID_ADDRESS");
    let answer = house
        .ask(
            Method::POST,
            "/validate/email/requestToken",
            Some(&token),
            Some(json!([])),
        )
        .await;
    answer.refused(400, "M_BAD_JSON");
}
