use std::time::Duration;

use ruma::device_id;

use super::house;
use crate::{DeviceError, DeviceRequest};

#[tokio::test]
async fn a_new_device_keeps_its_first_name_and_can_be_renamed() {
    let house = house();
    house.user("alice").await;
    let device = DeviceRequest {
        device_id: Some("PHONE".into()),
        initial_display_name: Some("x".repeat(150)),
        refresh_token: false,
    };
    let login = house.login("alice", &device).await;
    let name = async || {
        house
            .accounts
            .device(&login.user_id, &login.device_id)
            .await
            .unwrap()
            .display_name
    };
    assert_eq!(name().await.unwrap().len(), 100);
    let rename = async |name: &str| {
        house
            .accounts
            .rename_device(&login.user_id, &login.device_id, Some(name.to_owned()))
            .await
    };
    rename("phone").await.unwrap();
    assert_eq!(name().await.unwrap(), "phone");
    assert!(matches!(
        rename(&"x".repeat(101)).await,
        Err(DeviceError::NameTooLong)
    ));
    house.login("alice", &device).await;
    assert_eq!(name().await.unwrap(), "phone", "a later login does not rename");
}

#[tokio::test]
async fn nobody_sees_or_renames_another_user_s_device() {
    let house = house();
    let (alice, bob) = (house.user("alice").await, house.user("bob").await);
    let seen = house.accounts.device(&bob.user_id, &alice.device_id).await;
    assert!(matches!(seen, Err(DeviceError::NotFound)), "{seen:?}");
    house
        .accounts
        .delete_devices(&bob.user_id, std::slice::from_ref(&alice.device_id))
        .await
        .unwrap();
    assert!(house.is_valid(&alice).await);
}

#[tokio::test]
async fn deleting_a_device_revokes_its_token_and_no_other() {
    let house = house();
    let first = house.user("alice").await;
    let second = house.login("alice", &DeviceRequest::default()).await;
    assert!(house.is_valid(&first).await && house.is_valid(&second).await);
    house
        .accounts
        .delete_devices(&first.user_id, std::slice::from_ref(&first.device_id))
        .await
        .unwrap();
    assert!(!house.is_valid(&first).await);
    assert!(house.is_valid(&second).await);
    let left = house.accounts.devices(&first.user_id).await.unwrap();
    assert_eq!(left.len(), 1);
    house
        .accounts
        .delete_other_devices(&first.user_id, None)
        .await
        .unwrap();
    assert!(!house.is_valid(&second).await);
}

#[tokio::test]
async fn when_a_device_was_seen_is_known_before_and_after_it_is_written() {
    let house = house();
    let alice = house.user("alice").await;
    let session = house
        .accounts
        .authenticate(alice.access_token.expose())
        .await
        .unwrap();
    let seen = async || {
        let device = house
            .accounts
            .device(&alice.user_id, &alice.device_id)
            .await
            .unwrap();
        (device.last_seen_ts_ms, device.last_seen_ip)
    };
    assert_eq!(seen().await, (None, None));
    house.accounts.note_seen(&session, || Some([127, 0, 0, 1].into()));
    let expected = (Some(super::START_MS), Some("127.0.0.1".to_owned()));
    assert_eq!(seen().await, expected);
    house.accounts.flush_last_seen().await.unwrap();
    assert_eq!(seen().await, expected);
    house.clock.advance(Duration::from_secs(59));
    house.accounts.note_seen(&session, || None);
    assert_eq!(seen().await, expected, "noted at most once a minute");
}

#[tokio::test]
async fn a_deleted_device_does_not_come_back_by_having_been_seen() {
    let house = house();
    let alice = house.user("alice").await;
    let session = house
        .accounts
        .authenticate(alice.access_token.expose())
        .await
        .unwrap();
    house.accounts.log_out(&session).await.unwrap();
    house.accounts.note_seen(&session, || None);
    house.accounts.flush_last_seen().await.unwrap();
    let gone = house.accounts.device(&alice.user_id, device_id!("X")).await;
    assert!(gone.is_err());
    assert!(house.accounts.devices(&alice.user_id).await.unwrap().is_empty());
}

#[tokio::test]
async fn what_waits_on_a_session_learns_of_its_end() {
    let house = house();
    let alice = house.user("alice").await;
    let session = house
        .accounts
        .authenticate(alice.access_token.expose())
        .await
        .unwrap();
    let mut waiting = Box::pin(session.ended());
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(waiting.as_mut().poll(&mut context).is_pending());
    house
        .accounts
        .delete_other_devices(&alice.user_id, None)
        .await
        .unwrap();
    waiting.await;
    session.ended().await;
}

#[tokio::test]
async fn what_waits_on_a_session_learns_of_its_end_though_the_session_was_read_again() {
    let house = house();
    let first = house.user("alice").await;
    let second = house.login("alice", &DeviceRequest::default()).await;
    let token = first.access_token.expose();
    let session = house.accounts.authenticate(token).await.unwrap();
    let mut waiting = Box::pin(session.ended());
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(waiting.as_mut().poll(&mut context).is_pending());
    let others = [second.device_id];
    house
        .accounts
        .delete_devices(&first.user_id, &others)
        .await
        .unwrap();
    assert!(waiting.as_mut().poll(&mut context).is_pending());
    let again = house.accounts.authenticate(token).await.unwrap();
    house.accounts.log_out(&again).await.unwrap();
    assert!(waiting.as_mut().poll(&mut context).is_ready());
}
