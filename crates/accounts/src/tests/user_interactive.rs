use std::time::Duration;

use ruma::UserId;
use serde_json::{Value, json};

use super::{House, house, object};
use crate::{Flow, Stage, StageFailure, UiaError, UiaRequest};

fn password_flow() -> Vec<Flow> {
    vec![vec![Stage::Password]]
}

fn two_stages() -> Vec<Flow> {
    vec![vec![Stage::Dummy, Stage::Password]]
}

async fn ask(house: &House, user: &UserId, operation: &str, body: Value) -> Result<(), UiaError> {
    ask_with(house, user, operation, body, &password_flow()).await
}

async fn ask_with(
    house: &House,
    user: &UserId,
    operation: &str,
    body: Value,
    flows: &[Flow],
) -> Result<(), UiaError> {
    let request = UiaRequest {
        operation,
        user_id: Some(user),
        body: &object(body),
        flows,
        also: &[],
        address: None,
    };
    house.accounts.authenticate_request(&request).await
}

fn password(session: Option<&str>) -> Value {
    json!({ "type": "m.login.password", "identifier": { "type": "m.id.user", "user": "alice" },
        "password": "secret", "session": session })
}

fn challenge(result: Result<(), UiaError>) -> crate::Challenge {
    match result {
        Err(UiaError::Challenge(challenge)) => *challenge,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn w03_auth_of_any_shape_but_a_proof_is_answered_with_the_flows() {
    let house = house();
    let alice = house.user("alice").await.user_id;
    for auth in [
        json!(null),
        json!([]),
        json!("x"),
        json!(1),
        json!({}),
        json!({ "type": 1 }),
    ] {
        let left = challenge(ask(&house, &alice, "x", json!({ "auth": auth })).await);
        assert_eq!((left.flows, left.completed.len()), (password_flow(), 0), "{auth}");
    }
    let left = challenge(
        ask(
            &house,
            &alice,
            "x",
            json!({ "auth": { "type": "m.login.dummy" } }),
        )
        .await,
    );
    assert_eq!(
        left.failure,
        Some(StageFailure::UnknownStage),
        "dummy is no password"
    );
    for auth in [
        json!({ "type": "m.login.password" }),
        json!({ "type": "m.login.password", "user": "alice" }),
        json!({ "type": "m.login.password", "identifier": 3, "password": "secret" }),
        json!({ "type": "m.login.password", "identifier": { "type": "m.id.user" }, "password": "secret" }),
    ] {
        let left = challenge(ask(&house, &alice, "x", json!({ "auth": auth })).await);
        assert_eq!(left.failure, Some(StageFailure::Malformed), "{auth}");
    }
}

#[tokio::test]
async fn the_password_proves_it_with_or_without_a_session() {
    let house = house();
    let alice = house.user("alice").await.user_id;
    ask(&house, &alice, "x", json!({ "auth": password(None) }))
        .await
        .unwrap();
    let session = challenge(ask(&house, &alice, "x", json!({})).await).session;
    let auth = password(Some(session.expose()));
    ask(&house, &alice, "x", json!({ "auth": auth })).await.unwrap();
}

#[tokio::test]
async fn w03_a_proof_is_used_once() {
    let house = house();
    let alice = house.user("alice").await.user_id;
    let session = challenge(ask(&house, &alice, "x", json!({})).await).session;
    let body = json!({ "auth": password(Some(session.expose())) });
    ask(&house, &alice, "x", body).await.unwrap();
    let again = ask(
        &house,
        &alice,
        "x",
        json!({ "auth": { "session": session.expose() } }),
    )
    .await;
    assert_eq!(challenge(again).failure, Some(StageFailure::UnknownSession));
}

#[tokio::test]
async fn w03_a_proof_is_good_for_no_other_operation_user_or_body() {
    let house = house();
    let alice = house.user("alice").await.user_id;
    let bob = house.user("bob").await.user_id;
    let flows = two_stages();
    let first = ask_with(
        &house,
        &alice,
        "x",
        json!({ "a": 1, "auth": { "type": "m.login.dummy" } }),
        &flows,
    );
    let left = challenge(first.await);
    assert_eq!(left.completed, ["m.login.dummy"]);
    let session = left.session.expose().to_owned();
    let finish = |user: &UserId, operation: &'static str, a: u32| {
        let (user, auth) = (user.to_owned(), password(Some(&session)));
        let house = &house;
        async move {
            ask_with(
                house,
                &user,
                operation,
                json!({ "a": a, "auth": auth }),
                &two_stages(),
            )
            .await
        }
    };
    assert!(matches!(
        finish(&alice, "y", 1).await,
        Err(UiaError::OtherRequest)
    ));
    assert!(matches!(finish(&bob, "x", 1).await, Err(UiaError::OtherRequest)));
    assert!(matches!(
        finish(&alice, "x", 2).await,
        Err(UiaError::OtherRequest)
    ));
    finish(&alice, "x", 1).await.unwrap();
}

#[tokio::test]
async fn w03_another_user_s_password_proves_nothing() {
    let house = house();
    house.user("alice").await;
    let bob = house.user("bob").await.user_id;
    let result = ask(&house, &bob, "x", json!({ "auth": password(None) })).await;
    assert!(matches!(result, Err(UiaError::OtherUser)), "{result:?}");
}

#[tokio::test]
async fn a_session_lives_fifteen_minutes_and_is_cleared_away() {
    let house = house();
    let alice = house.user("alice").await.user_id;
    let session = challenge(ask(&house, &alice, "x", json!({})).await).session;
    house.clock.advance(Duration::from_mins(15));
    let late = ask(
        &house,
        &alice,
        "x",
        json!({ "auth": password(Some(session.expose())) }),
    )
    .await;
    let fresh = challenge(late);
    assert_eq!(fresh.failure, Some(StageFailure::UnknownSession));
    assert!(fresh.session != session);
    house.clock.advance(Duration::from_millis(1));
    challenge(ask(&house, &alice, "x", json!({})).await);
    let key = (crate::access_token::digest(session.expose()),);
    assert!(
        house
            .store
            .get(&crate::tables::UIA_SESSIONS, &key)
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test]
async fn w04_no_table_holds_the_password_after_it_was_changed() {
    let house = house();
    let alice = house.user("alice").await.user_id;
    let session = challenge(ask(&house, &alice, "x", json!({ "new_password": "brandnew" })).await).session;
    let body = json!({ "new_password": "brandnew", "auth": password(Some(session.expose())) });
    ask(&house, &alice, "x", body).await.unwrap();
    house
        .accounts
        .set_password(&alice, &crate::Secret::new("brandnew"))
        .await
        .unwrap();
    let rows = house
        .store
        .scan(
            &crate::tables::UIA_SESSIONS,
            &gatehouse_store::Range::all(),
            gatehouse_store::Direction::Forward,
            100,
        )
        .await
        .unwrap();
    assert_eq!(rows.len(), 1);
    let user = house.accounts.user_row(&alice).await.unwrap().unwrap();
    for text in [
        serde_json::to_string(&rows[0].1).unwrap(),
        serde_json::to_string(&user).unwrap(),
    ] {
        for word in ["brandnew", "\"secret\"", session.expose()] {
            assert!(!text.contains(word), "{text}");
        }
    }
}
