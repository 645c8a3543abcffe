//! Pushers and the ends of the logins that they belong to, in every order.

use std::{
    pin::{Pin, pin},
    task::{Context, Waker},
};

use gatehouse_store::{Direction, Range};
use ruma::{UserId, owned_device_id};
use serde_json::json;

use super::{House, house, id, object};
use crate::{
    Accounts, DeviceRequest, LoggedIn, Pusher, PusherError, PusherKind, Secret,
    pushers::{MAX_PUSHERS, MAX_USERS_OF_PUSHKEY},
    tables::{PUSHERS, PUSHKEYS},
};

fn poll<F: Future>(future: Pin<&mut F>) {
    let polled = future.poll(&mut Context::from_waker(Waker::noop()));
    assert!(polled.is_pending(), "it waits for its commit");
}

fn pusher(pushkey: &str) -> Pusher {
    Pusher {
        app_id: "app".to_owned(),
        pushkey: pushkey.to_owned(),
        kind: PusherKind::Http,
        app_display_name: "App".to_owned(),
        device_display_name: "Phone".to_owned(),
        profile_tag: None,
        lang: "en".to_owned(),
        data: object(json!({ "url": "https://push.example/_matrix/push/v1/notify" })),
    }
}

fn phone() -> DeviceRequest {
    DeviceRequest {
        device_id: Some(owned_device_id!("PHONE")),
        ..DeviceRequest::default()
    }
}

async fn alice(house: &House) -> LoggedIn {
    house.user("alice").await;
    house.login("alice", &phone()).await
}

async fn set(accounts: &Accounts, login: &LoggedIn, pushkey: &str, append: bool) -> Result<(), PusherError> {
    let session = accounts.authenticate(login.access_token.expose()).await.unwrap();
    accounts.set_pusher(&session, &pusher(pushkey), append).await
}

async fn pushkeys(house: &House, user_id: &UserId) -> Vec<String> {
    let pushers = house.accounts.pushers(user_id).await.unwrap();
    pushers.into_iter().map(|pusher| pusher.pushkey).collect()
}

/// How many rows there are, void ones among them: pushers, and pushkeys.
async fn rows(house: &House) -> (usize, usize) {
    let store = &house.store;
    let pushers = store
        .scan(&PUSHERS, &Range::all(), Direction::Forward, usize::MAX)
        .await;
    let pushkeys = store
        .scan(&PUSHKEYS, &Range::all(), Direction::Forward, usize::MAX)
        .await;
    (pushers.unwrap().len(), pushkeys.unwrap().len())
}

#[tokio::test]
async fn a_pusher_is_not_set_by_a_session_that_ends_meanwhile() {
    let house = house();
    let login = alice(&house).await;
    let session = house.accounts.authenticate(login.access_token.expose()).await;
    let (session, wanted) = (session.unwrap(), pusher("key"));
    house.backend.hold_commits();
    let mut setting = pin!(house.accounts.set_pusher(&session, &wanted, false));
    poll(setting.as_mut());
    let held = house.backend.take_held_commits();
    house.accounts.log_out(&session).await.unwrap();
    house.backend.commit_held(held);
    assert!(matches!(setting.await, Err(PusherError::LoggedOut)));
    assert_eq!(rows(&house).await, (0, 0));
}

#[tokio::test]
async fn a_pusher_set_while_its_device_is_deleted_is_void_and_stays_so() {
    let house = house();
    let login = alice(&house).await;
    let devices = [login.device_id.clone()];
    house.backend.hold_commits();
    let mut deleting = pin!(house.accounts.delete_devices(&login.user_id, &devices));
    poll(deleting.as_mut());
    let held = house.backend.take_held_commits();
    set(&house.accounts, &login, "key", false).await.unwrap();
    house.backend.commit_held(held);
    deleting.await.unwrap();
    assert!(pushkeys(&house, &login.user_id).await.is_empty());
    house.login("alice", &phone()).await;
    assert!(pushkeys(&house, &login.user_id).await.is_empty());
    assert_eq!(rows(&house).await, (0, 0));
}

#[tokio::test]
async fn a_pusher_set_while_its_device_logs_in_again_is_void() {
    let house = house();
    let login = alice(&house).await;
    let request = phone();
    house.backend.hold_commits();
    let mut again = pin!(house.accounts.login_as(&login.user_id, &request));
    poll(again.as_mut());
    let held = house.backend.take_held_commits();
    set(&house.accounts, &login, "key", false).await.unwrap();
    house.backend.commit_held(held);
    let again = again.await.unwrap();
    assert!(pushkeys(&house, &login.user_id).await.is_empty());
    assert_eq!(rows(&house).await, (0, 0));
    set(&house.accounts, &again, "other", false).await.unwrap();
    assert_eq!(pushkeys(&house, &login.user_id).await, ["other"]);
}

#[tokio::test]
async fn w16_of_a_deactivated_user_no_pusher_is_left() {
    let house = house();
    let login = alice(&house).await;
    for pushkey in ["one", "two"] {
        set(&house.accounts, &login, pushkey, false).await.unwrap();
    }
    assert_eq!(rows(&house).await, (2, 2));
    house.accounts.deactivate_user(&login.user_id).await.unwrap();
    assert_eq!(rows(&house).await, (0, 0));
}

#[tokio::test]
async fn a_new_password_ends_the_pushers_of_other_logins() {
    let house = house();
    let (theirs, mine) = (
        alice(&house).await,
        house.login("alice", &DeviceRequest::default()).await,
    );
    set(&house.accounts, &theirs, "theirs", false).await.unwrap();
    set(&house.accounts, &mine, "mine", false).await.unwrap();
    house
        .accounts
        .set_password_and_log_out(&mine.user_id, &Secret::new("new"), Some(&mine.device_id))
        .await
        .unwrap();
    assert_eq!(pushkeys(&house, &mine.user_id).await, ["mine"]);
    assert_eq!(rows(&house).await, (1, 1));
}

#[tokio::test]
async fn of_two_users_who_take_a_pushkey_at_once_one_has_it() {
    let house = house();
    let (alice, bob) = (house.user("alice").await, house.user("bob").await);
    house.backend.hold_commits();
    let mut first = pin!(set(&house.accounts, &alice, "key", false));
    poll(first.as_mut());
    let held = house.backend.take_held_commits();
    set(&house.accounts, &bob, "key", false).await.unwrap();
    house.backend.commit_held(held);
    first.await.unwrap();
    assert_eq!(pushkeys(&house, &id("alice")).await, ["key"]);
    assert!(pushkeys(&house, &id("bob")).await.is_empty());
    assert_eq!(rows(&house).await, (1, 1));
}

#[tokio::test]
async fn a_user_has_so_many_pushers_and_a_pushkey_so_many_users() {
    let house = house();
    let login = house.user("alice").await;
    for number in 0..MAX_PUSHERS {
        set(&house.accounts, &login, &number.to_string(), false)
            .await
            .unwrap();
    }
    let surplus = set(&house.accounts, &login, "surplus", false).await;
    assert!(matches!(surplus, Err(PusherError::TooMany)), "{surplus:?}");
    // One that is there may change.
    set(&house.accounts, &login, "0", false).await.unwrap();
    for number in 0..MAX_USERS_OF_PUSHKEY {
        let other = house.user(&format!("user{number}")).await;
        set(&house.accounts, &other, "shared", true).await.unwrap();
    }
    let last = house.user("last").await;
    let surplus = set(&house.accounts, &last, "shared", true).await;
    assert!(matches!(surplus, Err(PusherError::TooMany)), "{surplus:?}");
    // Who has the device now takes it from all of them.
    set(&house.accounts, &last, "shared", false).await.unwrap();
    assert_eq!(rows(&house).await, (MAX_PUSHERS + 1, MAX_PUSHERS + 1));
}
