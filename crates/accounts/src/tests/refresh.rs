use std::time::Duration;

use super::{House, house};
use crate::{AuthError, DeviceRequest, LoggedIn, RefreshError};

async fn refreshable(house: &House) -> LoggedIn {
    house.user("alice").await;
    let device = DeviceRequest {
        refresh_token: true,
        ..DeviceRequest::default()
    };
    house.login("alice", &device).await
}

#[tokio::test]
async fn a_refreshable_access_token_expires_and_is_refreshed() {
    let house = house();
    let login = refreshable(&house).await;
    assert_eq!(login.expires_in_ms, Some(300_000));
    assert!(house.is_valid(&login).await);
    house.clock.advance(Duration::from_mins(5));
    let session = house.accounts.authenticate(login.access_token.expose()).await;
    assert!(matches!(session, Err(AuthError::Expired)), "{session:?}");
    let refresh_token = login.refresh_token.unwrap();
    let refreshed = house.accounts.refresh(refresh_token.expose()).await.unwrap();
    let session = house
        .accounts
        .authenticate(refreshed.access_token.expose())
        .await
        .unwrap();
    assert_eq!(session.device_id, login.device_id);
}

#[tokio::test]
async fn a_refresh_token_works_again_within_the_grace_period_and_both_answers_hold() {
    let house = house();
    let first = refreshable(&house).await.refresh_token.unwrap();
    let one = house.accounts.refresh(first.expose()).await.unwrap();
    house.clock.advance(Duration::from_secs(30));
    let two = house.accounts.refresh(first.expose()).await.unwrap();
    house.clock.advance(Duration::from_mins(1));
    let three = house.accounts.refresh(one.refresh_token.expose()).await.unwrap();
    assert!(house.accounts.refresh(two.refresh_token.expose()).await.is_ok());
    assert!(house.accounts.refresh(three.refresh_token.expose()).await.is_ok());
}

#[tokio::test]
async fn a_refresh_token_used_after_the_grace_period_revokes_the_family() {
    let house = house();
    let first = refreshable(&house).await.refresh_token.unwrap();
    let second = house.accounts.refresh(first.expose()).await.unwrap();
    house.clock.advance(Duration::from_secs(31));
    let again = house.accounts.refresh(first.expose()).await;
    assert!(matches!(again, Err(RefreshError::UnknownToken)), "{again:?}");
    let other = house.accounts.refresh(second.refresh_token.expose()).await;
    assert!(matches!(other, Err(RefreshError::UnknownToken)), "{other:?}");
    let session = house.accounts.authenticate(second.access_token.expose()).await;
    assert!(matches!(session, Err(AuthError::UnknownToken)), "{session:?}");
}

#[tokio::test]
async fn logging_out_ends_the_refresh_token() {
    let house = house();
    let login = refreshable(&house).await;
    let session = house
        .accounts
        .authenticate(login.access_token.expose())
        .await
        .unwrap();
    house.accounts.log_out(&session).await.unwrap();
    let refreshed = house
        .accounts
        .refresh(login.refresh_token.unwrap().expose())
        .await;
    assert!(
        matches!(refreshed, Err(RefreshError::UnknownToken)),
        "{refreshed:?}"
    );
}

#[tokio::test]
async fn a_device_has_eight_access_tokens_at_most() {
    let house = house();
    let login = refreshable(&house).await;
    let mut refresh_token = login.refresh_token.clone().unwrap();
    for _ in 0..8 {
        house.clock.advance(Duration::from_millis(1));
        refresh_token = house
            .accounts
            .refresh(refresh_token.expose())
            .await
            .unwrap()
            .refresh_token;
    }
    assert!(!house.is_valid(&login).await);
    let mut batch = gatehouse_store::Batch::new();
    let left = house
        .accounts
        .revoke_access_tokens(&mut batch, &login.user_id, &login.device_id)
        .await;
    assert_eq!(left.unwrap().len(), 8);
}
