//! User-interactive authentication as clients do it, for the pages that ask for it.

use gatehouse_testkit::{Answer, User};
use serde_json::{Value, json};

/// Checks that this is a 401 that lists exactly these flows, each of one stage, and gives the session.
#[track_caller]
pub(crate) fn challenged(answer: &Answer, stages: &[&str]) -> String {
    let flows: Vec<Value> = stages.iter().map(|stage| json!({ "stages": [stage] })).collect();
    assert_eq!(
        (answer.status, &answer.body["flows"]),
        (401, &Value::Array(flows)),
        "{}: {}",
        answer.request,
        answer.body
    );
    assert!(answer.body["params"].is_object(), "{}", answer.body);
    let session = answer.body["session"].as_str().unwrap_or_default();
    assert!(
        session.len() >= 22,
        "a session of 128 bits or more: {}",
        answer.body
    );
    session.to_owned()
}

/// The proof that the test kit's users give.
pub(crate) fn password_of(user: &User<'_>) -> Value {
    let name = user.id.trim_start_matches('@').split(':').next().unwrap();
    password(&user.id, &format!("password of {name}"))
}

/// The stage `m.login.password`.
pub(crate) fn password(user: &str, password: &str) -> Value {
    json!({
        "type": "m.login.password", "identifier": { "type": "m.id.user", "user": user }, "password": password,
    })
}

/// The proof within a session.
pub(crate) fn within(session: &str, mut proof: Value) -> Value {
    proof["session"] = session.into();
    proof
}
