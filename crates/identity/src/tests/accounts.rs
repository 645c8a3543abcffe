use std::time::Duration;

use ruma::user_id;

use super::{House, house, id, openid};
use crate::{
    AuthError, RegisterError,
    tables::{ACCESS_TOKENS, TOKENS_BY_EXPIRY, USER_TOKENS},
};

/// An hour and a millisecond less than a token lives.
const JUST_BEFORE_THE_OLD_ONE_ENDS: Duration = Duration::from_millis((180 * 24 - 1) * 3_600_000 - 1);

async fn is_valid(house: &House, token: &str) -> bool {
    match house.identity.authenticate(token).await {
        Ok(_) => true,
        Err(AuthError::UnknownToken) => false,
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn whoever_the_homeserver_confirms_gets_a_token() {
    let house = house();
    let token = house.token(&id("alice")).await;
    let session = house.identity.authenticate(token.expose()).await.unwrap();
    assert_eq!(session.user_id, id("alice"));
    assert!(session.has_agreed, "there is nothing to agree to");
    assert!(!is_valid(&house, "ghi_0000000000000000000000000000000000000000000").await);
    assert!(!is_valid(&house, "").await);
}

#[tokio::test]
async fn a_server_speaks_for_its_own_users_only() {
    let house = house();
    house.homeservers.give("t", user_id!("@victim:other.test"));
    let refused = house.identity.register(&openid("t", "evil.test")).await;
    assert!(matches!(refused, Err(RegisterError::NotConfirmed)), "{refused:?}");
    house.identity.register(&openid("t", "other.test")).await.unwrap();
}

#[tokio::test]
async fn what_no_homeserver_can_confirm_is_refused() {
    let house = house();
    house.homeservers.give("t", &id("alice"));
    let register = async |token: &str, server: &str| house.identity.register(&openid(token, server)).await;
    assert!(matches!(
        register("u", "house.test").await,
        Err(RegisterError::NotConfirmed)
    ));
    for server in [
        "",
        "a b",
        "house.test/x",
        "http://house.test",
        "house.test:99999999",
    ] {
        let refused = register("t", server).await;
        assert!(
            matches!(refused, Err(RegisterError::InvalidServerName)),
            "{server}"
        );
    }
    for token in [String::new(), "a".repeat(4_097)] {
        assert!(matches!(
            register(&token, "house.test").await,
            Err(RegisterError::InvalidToken)
        ));
    }
    let mut other_kind = openid("t", "house.test");
    other_kind.token_type = Some("Basic".to_owned());
    let refused = house.identity.register(&other_kind).await;
    assert!(matches!(refused, Err(RegisterError::InvalidToken)));
    *house.homeservers.are_away.lock() = true;
    let refused = register("t", "house.test").await;
    assert!(matches!(refused, Err(RegisterError::HomeserverUnreachable)));
}

#[tokio::test]
async fn a_token_ends_with_logout_and_takes_no_other_with_it() {
    let house = house();
    let (first, second) = (house.token(&id("alice")).await, house.token(&id("alice")).await);
    house.identity.logout(first.expose()).await.unwrap();
    assert!(!is_valid(&house, first.expose()).await);
    assert!(is_valid(&house, second.expose()).await);
    let again = house.identity.logout(first.expose()).await;
    assert!(matches!(again, Err(AuthError::UnknownToken)));
}

#[tokio::test]
async fn a_user_has_a_hundred_tokens_and_the_oldest_ends() {
    let house = house();
    let first = house.token(&id("alice")).await;
    let bobs = house.token(&id("bob")).await;
    let mut latest = None;
    for number in 0..100 {
        assert!(
            is_valid(&house, first.expose()).await,
            "before the token {number}"
        );
        house.clock.advance(Duration::from_secs(1));
        latest = Some(house.token(&id("alice")).await);
    }
    assert!(!is_valid(&house, first.expose()).await);
    assert!(is_valid(&house, latest.unwrap().expose()).await);
    assert!(is_valid(&house, bobs.expose()).await);
}

#[tokio::test]
async fn tokens_expire_and_are_swept_away() {
    let house = house();
    let old = house.token(&id("alice")).await;
    house.clock.advance(Duration::from_hours(1));
    let young = house.token(&id("alice")).await;
    house.clock.advance(JUST_BEFORE_THE_OLD_ONE_ENDS);
    assert!(is_valid(&house, old.expose()).await);
    house.clock.advance(Duration::from_millis(1));
    assert!(!is_valid(&house, old.expose()).await);
    house.clock.advance(Duration::from_millis(1));
    house.identity.keep_house().await.unwrap();
    assert!(is_valid(&house, young.expose()).await);
    assert_eq!(rows(&house).await, [1, 1, 1]);
    house.identity.logout(young.expose()).await.unwrap();
    assert_eq!(rows(&house).await, [0, 0, 0]);
}

async fn rows(house: &House) -> [usize; 3] {
    let range = gatehouse_store::Range::all;
    let identity = &house.identity;
    [
        identity.scan(&ACCESS_TOKENS, &range(), 10).await.unwrap().len(),
        identity
            .scan(&USER_TOKENS, &gatehouse_store::Range::all(), 10)
            .await
            .unwrap()
            .len(),
        identity
            .scan(&TOKENS_BY_EXPIRY, &gatehouse_store::Range::all(), 10)
            .await
            .unwrap()
            .len(),
    ]
}

#[tokio::test]
async fn tokens_are_stored_as_digests() {
    let house = house();
    let token = house.token(&id("alice")).await;
    let rows = house
        .identity
        .scan(&USER_TOKENS, &gatehouse_store::Range::all(), 10)
        .await
        .unwrap();
    let ((_, stored), _) = &rows[0];
    assert_eq!(*stored, crate::digest::digest(token.expose()));
    assert!(!is_valid(&house, &format!("ghi_{}", String::from_utf8_lossy(stored))).await);
}
