//! Ending a session while it is being renewed: nothing of it is left, whichever comes first.

use std::{
    pin::{Pin, pin},
    task::{Context, Waker},
};

use ruma::{OwnedDeviceId, owned_device_id};

use super::{House, house};
use crate::{AuthError, DeviceRequest, RefreshError};

fn poll<F: Future>(future: Pin<&mut F>) {
    let polled = future.poll(&mut Context::from_waker(Waker::noop()));
    assert!(polled.is_pending(), "it waits for its commit");
}

fn phone() -> OwnedDeviceId {
    owned_device_id!("PHONE")
}

fn request(refresh_token: bool) -> DeviceRequest {
    DeviceRequest {
        device_id: Some(phone()),
        refresh_token,
        ..DeviceRequest::default()
    }
}

async fn assert_over(house: &House, token: &str) {
    let session = house.accounts.authenticate(token).await;
    assert!(matches!(session, Err(AuthError::UnknownToken)), "{session:?}");
}

#[tokio::test]
async fn a_token_refreshed_while_its_device_is_deleted_is_over() {
    let house = house();
    house.user("alice").await;
    let login = house.login("alice", &request(true)).await;
    let devices = [phone()];
    house.backend.hold_commits();
    let mut deleting = pin!(house.accounts.delete_devices(&login.user_id, &devices));
    poll(deleting.as_mut());
    let deletion = house.backend.take_held_commits();
    let refresh_token = login.refresh_token.unwrap();
    let refreshed = house.accounts.refresh(refresh_token.expose()).await.unwrap();
    house
        .accounts
        .authenticate(refreshed.access_token.expose())
        .await
        .unwrap();
    house.backend.commit_held(deletion);
    deleting.await.unwrap();
    assert_over(&house, refreshed.access_token.expose()).await;
    // Nor does it come back with a later login of the same device.
    house.login("alice", &request(false)).await;
    assert_over(&house, refreshed.access_token.expose()).await;
}

#[tokio::test]
async fn a_device_that_logs_in_again_while_it_is_deleted_is_over() {
    let house = house();
    house.user("alice").await;
    let first = house.login("alice", &request(false)).await;
    let devices = [phone()];
    house.backend.hold_commits();
    let mut deleting = pin!(house.accounts.delete_devices(&first.user_id, &devices));
    poll(deleting.as_mut());
    let deletion = house.backend.take_held_commits();
    let second = house.login("alice", &request(true)).await;
    house.backend.commit_held(deletion);
    deleting.await.unwrap();
    assert_over(&house, second.access_token.expose()).await;
    let refresh_token = second.refresh_token.unwrap();
    let refreshed = house.accounts.refresh(refresh_token.expose()).await;
    assert!(
        matches!(refreshed, Err(RefreshError::UnknownToken)),
        "{refreshed:?}"
    );
}

#[tokio::test]
async fn a_stolen_refresh_token_gets_nothing_while_the_theft_is_found_out() {
    let house = house();
    house.user("alice").await;
    let login = house.login("alice", &request(true)).await;
    let first = login.refresh_token.unwrap();
    let second = house.accounts.refresh(first.expose()).await.unwrap();
    house.clock.advance(std::time::Duration::from_secs(31));
    house.backend.hold_commits();
    let mut again = pin!(house.accounts.refresh(first.expose()));
    poll(again.as_mut());
    let ending = house.backend.take_held_commits();
    let thief = house
        .accounts
        .refresh(second.refresh_token.expose())
        .await
        .unwrap();
    house.backend.commit_held(ending);
    again.await.unwrap_err();
    assert_over(&house, thief.access_token.expose()).await;
}

#[tokio::test]
async fn a_login_with_the_old_password_while_it_is_changed_is_over() {
    let house = house();
    let user_id = house.user("alice").await.user_id;
    let new = crate::Secret::new("new");
    house.backend.hold_commits();
    let mut changing = pin!(house.accounts.set_password_and_log_out(&user_id, &new, None));
    while house.backend.held_commits() == 0 {
        poll(changing.as_mut());
        tokio::task::yield_now().await;
    }
    let change = house.backend.take_held_commits();
    let login = house.login("alice", &request(true)).await;
    house.backend.commit_held(change);
    changing.await.unwrap();
    assert_over(&house, login.access_token.expose()).await;
}

#[tokio::test]
async fn a_name_set_while_its_user_is_deactivated_is_not_left_behind() {
    let house = house();
    let user_id = house.user("alice").await.user_id;
    house.backend.hold_commits();
    let name = serde_json::json!("Alice");
    let mut naming = pin!(house.accounts.set_profile_field(&user_id, "displayname", name));
    poll(naming.as_mut());
    let held = house.backend.take_held_commits();
    house.accounts.deactivate_user(&user_id).await.unwrap();
    house.backend.commit_held(held);
    let named = naming.await;
    assert!(
        matches!(
            named,
            Err(crate::ProfileError::User(crate::UserError::Deactivated))
        ),
        "{named:?}"
    );
    assert!(house.accounts.profile(&user_id).await.unwrap().is_none());
}
