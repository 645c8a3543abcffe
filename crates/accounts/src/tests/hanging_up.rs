//! Clients that do not wait for the answer: what they asked for is done as if they had.

use std::{
    pin::pin,
    task::{Context, Waker},
};

use ruma::owned_device_id;
use tokio::task::yield_now;

use super::{House, house};
use crate::{AuthError, DeviceRequest, LoggedIn, Secret, UserMark};

/// Turns that other tasks get: far more than they need.
const PATIENCE: usize = 1_000;

/// Alice on her phone, whose session is in memory.
async fn alice(house: &House) -> LoggedIn {
    house.user("alice").await;
    let device = DeviceRequest {
        device_id: Some(owned_device_id!("PHONE")),
        refresh_token: true,
        ..DeviceRequest::default()
    };
    let login = house.login("alice", &device).await;
    assert!(house.is_valid(&login).await);
    login
}

/// Begins what a request asks for, which goes away while it waits for the disk.
async fn hang_up<F: Future>(house: &House, request: F) {
    house.backend.hold_commits();
    {
        let mut request = pin!(request);
        for _ in 0..PATIENCE {
            let polled = request.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            assert!(polled.is_pending(), "it waits for its commit");
            if house.backend.held_commits() > 0 {
                break;
            }
            yield_now().await;
        }
    }
    assert_eq!(house.backend.held_commits(), 1, "in one commit");
    house.backend.release_commits();
    for _ in 0..PATIENCE {
        yield_now().await;
    }
}

async fn assert_over(house: &House, login: &LoggedIn) {
    let session = house.accounts.authenticate(login.access_token.expose()).await;
    assert!(matches!(session, Err(AuthError::UnknownToken)), "{session:?}");
}

#[tokio::test]
async fn who_logs_out_and_hangs_up_is_logged_out() {
    let house = house();
    let login = alice(&house).await;
    let session = house.accounts.authenticate(login.access_token.expose()).await;
    hang_up(&house, house.accounts.log_out(&session.unwrap())).await;
    assert_over(&house, &login).await;
}

#[tokio::test]
async fn who_deactivates_and_hangs_up_is_gone() {
    let house = house();
    let login = alice(&house).await;
    hang_up(&house, house.accounts.deactivate_user(&login.user_id)).await;
    assert_over(&house, &login).await;
}

#[tokio::test]
async fn who_logs_in_on_a_device_and_hangs_up_has_ended_its_old_session() {
    let house = house();
    let login = alice(&house).await;
    let device = DeviceRequest {
        device_id: Some(login.device_id.clone()),
        ..DeviceRequest::default()
    };
    hang_up(&house, house.accounts.login_as(&login.user_id, &device)).await;
    assert_over(&house, &login).await;
}

#[tokio::test]
async fn a_lock_holds_though_the_administrator_hangs_up() {
    let house = house();
    let login = alice(&house).await;
    let locking = house.accounts.mark_user(&login.user_id, UserMark::Locked, true);
    hang_up(&house, locking).await;
    let session = house.accounts.authenticate(login.access_token.expose()).await;
    assert!(matches!(session, Err(AuthError::Locked(_))), "{session:?}");
}

#[tokio::test]
async fn a_thief_who_hangs_up_is_out_all_the_same() {
    let house = house();
    let login = alice(&house).await;
    let refresh_token = login.refresh_token.clone().unwrap();
    house.accounts.refresh(refresh_token.expose()).await.unwrap();
    house.clock.advance(std::time::Duration::from_secs(31));
    hang_up(&house, house.accounts.refresh(refresh_token.expose())).await;
    assert_over(&house, &login).await;
}

#[tokio::test]
async fn a_password_and_the_end_of_other_sessions_come_together() {
    let house = house();
    let (login, mine) = (
        alice(&house).await,
        house.login("alice", &DeviceRequest::default()).await,
    );
    assert!(house.is_valid(&mine).await);
    let new = Secret::new("new");
    let changing = house
        .accounts
        .set_password_and_log_out(&login.user_id, &new, Some(&mine.device_id));
    hang_up(&house, changing).await;
    assert_over(&house, &login).await;
    assert!(house.is_valid(&mine).await);
    let right = house.accounts.check_password(&login.user_id, &new).await;
    assert!(right.unwrap());
}
