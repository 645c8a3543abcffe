use std::time::Duration;

use crate::{
    openid::OPENID_LIFETIME_MS,
    tests::{house, id},
};

#[tokio::test]
async fn an_openid_token_says_whose_it_is_for_an_hour() {
    let house = house();
    let alice = house.user("alice").await;
    let openid = house.accounts.openid_token(&alice.user_id).await.unwrap();
    assert_eq!(openid.expires_in_s, 3_600);
    let token = openid.token.expose();
    assert_eq!(
        house.accounts.openid_user(token).await.unwrap(),
        Some(id("alice"))
    );
    assert_eq!(house.accounts.openid_user("nonsense").await.unwrap(), None);
    house.clock.advance(Duration::from_millis(OPENID_LIFETIME_MS - 1));
    assert_eq!(
        house.accounts.openid_user(token).await.unwrap(),
        Some(id("alice"))
    );
    house.clock.advance(Duration::from_millis(1));
    assert_eq!(house.accounts.openid_user(token).await.unwrap(), None);
}

#[tokio::test]
async fn an_openid_token_and_an_access_token_are_not_one_another() {
    let house = house();
    let alice = house.user("alice").await;
    let openid = house.accounts.openid_token(&alice.user_id).await.unwrap();
    house
        .accounts
        .authenticate(openid.token.expose())
        .await
        .unwrap_err();
    let whose = house
        .accounts
        .openid_user(alice.access_token.expose())
        .await
        .unwrap();
    assert_eq!(whose, None);
}

#[tokio::test]
async fn who_is_deactivated_has_no_openid_tokens() {
    let house = house();
    let alice = house.user("alice").await;
    let openid = house.accounts.openid_token(&alice.user_id).await.unwrap();
    house.accounts.deactivate_user(&alice.user_id).await.unwrap();
    assert_eq!(
        house.accounts.openid_user(openid.token.expose()).await.unwrap(),
        None
    );
}

#[tokio::test]
async fn expired_openid_tokens_are_cleared_away() {
    let house = house();
    let alice = house.user("alice").await;
    for _ in 0..5 {
        house.accounts.openid_token(&alice.user_id).await.unwrap();
    }
    house.clock.advance(Duration::from_millis(OPENID_LIFETIME_MS + 1));
    house.accounts.openid_token(&alice.user_id).await.unwrap();
    let rows = house
        .accounts
        .scan(&crate::tables::OPENID_TOKENS, &gatehouse_store::Range::all(), 100)
        .await
        .unwrap();
    assert_eq!(rows.len(), 1);
}
