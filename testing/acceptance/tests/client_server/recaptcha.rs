//! `m.login.recaptcha`, with a service on this machine that knows the right answers.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use axum::{
    body::Body,
    extract::State,
    http::{Response, StatusCode, header},
};
use gatehouse_server::Config;
use gatehouse_testkit::{Answer, TestServer, configured};
use serde_json::{Value, json};

const RECAPTCHA: &str = "m.login.recaptcha";
const DUMMY: &str = "m.login.dummy";
const TOKEN: &str = "m.login.registration_token";
const RIGHT: &str = "the answer of a person";

/// How the service answers.
#[derive(Debug, Clone, Copy)]
enum Manner {
    Rightly,
    Slowly,
    Says(StatusCode, &'static str),
    Hugely,
    Elsewhere,
}

/// The service: what it was asked, and how it answers.
#[derive(Clone)]
struct Service {
    address: String,
    manner: Arc<Mutex<Manner>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Service {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let service = Self {
            address: listener.local_addr().unwrap().to_string(),
            manner: Arc::new(Mutex::new(Manner::Rightly)),
            asked: Arc::default(),
        };
        let router = axum::Router::new().fallback(verify).with_state(service.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        service
    }

    fn answers(&self, manner: Manner) {
        *self.manner.lock().unwrap() = manner;
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    fn set_up(&self, config: &mut Config, required: bool) {
        config.recaptcha.verify_url = Some(format!("http://{}/siteverify", self.address));
        config.recaptcha.public_key = Some("public".to_owned());
        config.recaptcha.private_key = Some("private & key".to_owned());
        config.recaptcha.required = required;
    }

    async fn server(&self, required: bool) -> TestServer {
        configured(|config| self.set_up(config, required)).await
    }
}

async fn verify(State(service): State<Service>, body: String) -> Response<Body> {
    service.asked.lock().unwrap().push(body.clone());
    let manner = *service.manner.lock().unwrap();
    let form = reqwest::Url::parse(&format!("http://form/?{body}")).unwrap();
    let field = |name: &str| {
        form.query_pairs()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value)
    };
    let is_right =
        field("response").as_deref() == Some(RIGHT) && field("secret").as_deref() == Some("private & key");
    let answer = |status: StatusCode, text: String| {
        let answer = Response::builder().status(status);
        let answer = answer.header(header::LOCATION, "/elsewhere");
        answer.body(text.into()).unwrap()
    };
    let rightly = json!({ "success": is_right }).to_string();
    match manner {
        Manner::Rightly => answer(StatusCode::OK, rightly),
        Manner::Slowly => {
            tokio::time::sleep(Duration::from_mins(1)).await;
            answer(StatusCode::OK, rightly)
        }
        Manner::Says(status, text) => answer(status, text.to_owned()),
        Manner::Hugely => {
            let text = format!("{{\"success\":true,\"x\":\"{}\"}}", "x".repeat(1 << 20));
            answer(StatusCode::OK, text)
        }
        Manner::Elsewhere => answer(StatusCode::TEMPORARY_REDIRECT, rightly),
    }
}

async fn register(server: &TestServer, auth: Value) -> Answer {
    let body = json!({ "username": "alice", "password": "a password", "auth": auth });
    server
        .request("POST", "/_matrix/client/v3/register", Some(&body))
        .await
}

/// The session of somebody who has not begun yet.
async fn session(server: &TestServer) -> Value {
    let answer = register(server, Value::Null).await;
    assert_eq!(answer.status, 401, "{}", answer.body);
    answer.body["session"].clone()
}

fn answered(session: &Value, response: &str) -> Value {
    json!({ "type": RECAPTCHA, "session": session, "response": response })
}

async fn assert_free(server: &TestServer) {
    server
        .request(
            "GET",
            "/_matrix/client/v3/register/available?username=alice",
            None,
        )
        .await
        .ok();
}

#[tokio::test]
async fn whoever_registers_answers_the_captcha_where_it_is_required() {
    let service = Service::start().await;
    let server = service.server(true).await;
    let begun = register(&server, Value::Null).await;
    assert_eq!(begun.status, 401);
    assert_eq!(begun.body["flows"], json!([{ "stages": [RECAPTCHA, DUMMY] }]));
    assert_eq!(
        begun.body["params"],
        json!({ RECAPTCHA: { "public_key": "public" } })
    );
    let session = &begun.body["session"];
    let dummy = json!({ "type": DUMMY, "session": session });
    for (auth, errcode) in [
        (
            json!({ "type": RECAPTCHA, "session": session }),
            "M_CAPTCHA_NEEDED",
        ),
        (answered(session, ""), "M_CAPTCHA_NEEDED"),
        (
            json!({ "type": RECAPTCHA, "session": session, "response": 1 }),
            "M_BAD_JSON",
        ),
        (answered(session, &"x".repeat(8_193)), "M_BAD_JSON"),
    ] {
        register(&server, auth).await.refused(401, errcode);
    }
    assert!(service.asked().is_empty(), "about nothing nobody is asked");
    let wrong = register(&server, answered(session, "guessed")).await;
    let wrong = wrong.refused(401, "M_CAPTCHA_INVALID");
    assert_eq!(wrong["completed"], json!([]));
    let without = register(&server, dummy.clone()).await;
    assert_eq!(
        (without.status, &without.body["completed"]),
        (401, &json!([DUMMY]))
    );
    assert_free(&server).await;
    let registered = register(&server, answered(session, RIGHT)).await.ok();
    assert_eq!(registered["user_id"], "@alice:test.example");
    assert_eq!(
        service.asked().last().unwrap(),
        "secret=private+%26+key&response=the+answer+of+a+person&remoteip=127.0.0.1"
    );
}

#[tokio::test]
async fn a_captcha_that_no_flow_asks_for_may_be_answered() {
    let service = Service::start().await;
    let server = service.server(false).await;
    // Whoever answers first of all gets the session with the answer to that.
    let auth = json!({ "type": RECAPTCHA, "response": RIGHT });
    let answer = register(&server, auth).await;
    assert_eq!(
        (answer.status, &answer.body["completed"]),
        (401, &json!([RECAPTCHA]))
    );
    assert_eq!(answer.body["flows"], json!([{ "stages": [DUMMY] }]));
    assert_eq!(answer.body["params"], json!({}), "it is not asked for");
    let auth = json!({ "type": DUMMY, "session": answer.body["session"] });
    register(&server, auth).await.ok();
}

#[tokio::test]
async fn the_captcha_comes_before_everything_else() {
    let service = Service::start().await;
    let server = configured(|config| {
        service.set_up(config, true);
        config.registration.token_required = true;
    })
    .await;
    let begun = register(&server, Value::Null).await;
    assert_eq!(begun.body["flows"], json!([{ "stages": [RECAPTCHA, TOKEN] }]));
    let body = json!({ "type": "m.login.password", "user": "alice", "password": "a password" });
    server
        .request("POST", "/_matrix/client/api/v1/register", Some(&body))
        .await
        .refused(403, "M_FORBIDDEN");
}

#[tokio::test]
async fn where_there_is_no_captcha_nobody_can_answer_one() {
    let server = configured(|_| ()).await;
    let auth = json!({ "type": RECAPTCHA, "response": RIGHT });
    register(&server, auth).await.refused(401, "M_UNRECOGNIZED");
}

#[tokio::test]
async fn w03_an_answer_is_asked_about_each_time_and_counts_for_registration_only() {
    let service = Service::start().await;
    let server = service.server(false).await;
    for _ in 0..2 {
        let session = session(&server).await;
        let answer = register(&server, answered(&session, RIGHT)).await;
        assert_eq!(answer.body["completed"], json!([RECAPTCHA]));
    }
    assert_eq!(service.asked().len(), 2);
    let bob = server.user("bob").await;
    let auth = json!({ "type": RECAPTCHA, "response": RIGHT });
    let body = json!({ "auth": auth, "new_password": "another password" });
    bob.post("/account/password", body)
        .await
        .refused(401, "M_UNRECOGNIZED");
    assert_eq!(service.asked().len(), 2);
}

#[tokio::test]
async fn r30_a_captcha_service_that_misbehaves_lets_nobody_in() {
    let service = Service::start().await;
    let server = service.server(true).await;
    let session = session(&server).await;
    for manner in [
        Manner::Says(StatusCode::OK, ""),
        Manner::Says(StatusCode::OK, "{}"),
        Manner::Says(StatusCode::OK, "<p>{\"success\":true}</p>"),
        Manner::Says(StatusCode::OK, "{\"success\":true"),
        Manner::Says(StatusCode::OK, "{\"success\":\"true\"}"),
        Manner::Says(StatusCode::OK, "[{\"success\":true}]"),
        Manner::Says(StatusCode::NOT_FOUND, "{\"success\":true}"),
        Manner::Says(StatusCode::INTERNAL_SERVER_ERROR, "{\"success\":true}"),
        Manner::Says(
            StatusCode::OK,
            "{\"success\":false,\"error-codes\":[\"invalid-input-secret\"]}",
        ),
        Manner::Hugely,
        Manner::Elsewhere,
    ] {
        service.answers(manner);
        let answer = register(&server, answered(&session, RIGHT)).await;
        assert!(answer.headers.contains_key("retry-after"), "{manner:?}");
        answer.refused(503, "M_UNKNOWN");
    }
    service.answers(Manner::Slowly);
    let begun = Instant::now();
    register(&server, answered(&session, RIGHT))
        .await
        .refused(503, "M_UNKNOWN");
    assert!(begun.elapsed() < Duration::from_secs(10));
    assert_free(&server).await;
    // The session is where it was.
    service.answers(Manner::Rightly);
    let answer = register(&server, answered(&session, RIGHT)).await;
    assert_eq!(answer.body["completed"], json!([RECAPTCHA]));
    let dummy = json!({ "type": DUMMY, "session": session });
    register(&server, dummy).await.ok();
}

#[tokio::test]
async fn r30_a_captcha_service_that_is_gone_lets_nobody_in() {
    let service = Service::start().await;
    let server = configured(|config| {
        service.set_up(config, true);
        config.recaptcha.verify_url = Some("http://127.0.0.1:9/siteverify".to_owned());
    })
    .await;
    let session = session(&server).await;
    register(&server, answered(&session, RIGHT))
        .await
        .refused(503, "M_UNKNOWN");
    assert_free(&server).await;
}

#[tokio::test]
async fn a_server_that_cannot_check_a_required_captcha_does_not_start() {
    let started = TestServer::start(|config| config.recaptcha.required = true).await;
    let error = started.err().unwrap().to_string();
    assert!(
        error.contains("[recaptcha]") && error.contains("verify_url"),
        "{error}"
    );
}
