use super::{house, id};
use crate::{AuthError, DeviceRequest, LoginError, Secret, UserError, UserMark, tests::house_with};

#[tokio::test]
async fn w02_deactivated_user_cannot_log_in_or_use_a_token() {
    let house = house();
    let alice = house.user("alice").await;
    house.accounts.deactivate_user(&alice.user_id).await.unwrap();
    assert!(!house.is_valid(&alice).await);
    let login = house
        .accounts
        .login_with_password("alice", &Secret::new("secret"), &DeviceRequest::default())
        .await;
    assert!(matches!(login, Err(LoginError::InvalidCredentials)), "{login:?}");
    let login = house
        .accounts
        .login_as(&alice.user_id, &DeviceRequest::default())
        .await;
    assert!(matches!(login, Err(LoginError::InvalidCredentials)), "{login:?}");
    let set = house
        .accounts
        .set_password(&alice.user_id, &Secret::new("new"))
        .await;
    assert!(set.is_err());
    assert!(house.accounts.devices(&alice.user_id).await.unwrap().is_empty());
    assert_eq!(house.accounts.profile(&alice.user_id).await.unwrap(), None);
}

#[tokio::test]
async fn w02_empty_token_opens_nothing() {
    let house = house();
    house.user("alice").await;
    for token in ["", " ", "gh_", "gh__", "null"] {
        let session = house.accounts.authenticate(token).await;
        assert!(matches!(session, Err(AuthError::UnknownToken)), "{token:?}");
    }
}

#[tokio::test]
async fn the_name_of_a_deactivated_user_stays_taken() {
    let house = house();
    let alice = house.user("alice").await;
    house.accounts.deactivate_user(&alice.user_id).await.unwrap();
    assert!(house.accounts.check_username("alice").await.is_err());
}

#[tokio::test]
async fn a_locked_user_can_do_nothing_and_goes_on_when_unlocked() {
    let house = house();
    let alice = house.user("alice").await;
    assert!(house.is_valid(&alice).await);
    house
        .accounts
        .mark_user(&alice.user_id, UserMark::Locked, true)
        .await
        .unwrap();
    let session = house.accounts.authenticate(alice.access_token.expose()).await;
    assert!(matches!(session, Err(AuthError::Locked(_))), "{session:?}");
    let login = house
        .accounts
        .login_with_password("alice", &Secret::new("secret"), &DeviceRequest::default())
        .await;
    assert!(matches!(login, Err(LoginError::Locked)), "{login:?}");
    house
        .accounts
        .mark_user(&alice.user_id, UserMark::Locked, false)
        .await
        .unwrap();
    assert!(house.is_valid(&alice).await);
}

#[tokio::test]
async fn a_mark_holds_for_sessions_in_memory_at_once() {
    let house = house();
    let alice = house.user("alice").await;
    let token = alice.access_token.expose();
    assert!(!house.accounts.authenticate(token).await.unwrap().is_admin);
    house
        .accounts
        .mark_user(&alice.user_id, UserMark::Admin, true)
        .await
        .unwrap();
    assert!(house.accounts.authenticate(token).await.unwrap().is_admin);
}

#[tokio::test]
async fn marking_nobody_is_an_error() {
    let house = house();
    let marked = house
        .accounts
        .mark_user(&id("nobody"), UserMark::Admin, true)
        .await;
    assert!(matches!(marked, Err(UserError::NotFound)), "{marked:?}");
}

#[tokio::test]
async fn users_are_listed_in_pages() {
    let house = house();
    for name in ["carol", "alice", "bob"] {
        house.user(name).await;
    }
    let page = house.accounts.users(None, 2).await.unwrap();
    assert_eq!(
        page.iter()
            .map(|user| user.user_id.localpart())
            .collect::<Vec<_>>(),
        ["alice", "bob"]
    );
    let rest = house
        .accounts
        .users(page.last().map(|user| &*user.user_id), 2)
        .await
        .unwrap();
    assert_eq!(rest.len(), 1);
}

#[tokio::test]
async fn another_node_s_logout_is_learned_of_by_watching() {
    let house = house();
    let other = house_with(|_| ());
    // Two engines on one store.
    let node = crate::Accounts::new(
        house.store.clone(),
        other.accounts.config().clone(),
        house.clock.clone(),
    );
    let alice = house.user("alice").await;
    let following = {
        let node = node.clone();
        tokio::spawn(async move { node.follow_other_nodes().await })
    };
    tokio::task::yield_now().await;
    let session = node.authenticate(alice.access_token.expose()).await.unwrap();
    house.accounts.log_out(&session).await.unwrap();
    house.store.close().await.unwrap();
    following.await.unwrap();
    assert!(node.authenticate(alice.access_token.expose()).await.is_err());
}

#[tokio::test]
async fn who_was_erased_is_known_and_keeps_no_account_data() {
    let house = house();
    let (alice, bob) = (house.user("alice").await, house.user("bob").await);
    let content = serde_json::value::RawValue::from_string("{}".to_owned()).unwrap();
    for user in [&alice, &bob] {
        house
            .accounts
            .set_account_data(&user.user_id, None, "x", &content)
            .await
            .unwrap();
    }
    let erased = || {
        house
            .accounts
            .erased_among([alice.user_id.clone(), bob.user_id.clone()])
    };
    assert!(erased().await.unwrap().is_empty());
    house.accounts.deactivate_user(&bob.user_id).await.unwrap();
    assert!(erased().await.unwrap().is_empty());
    house
        .accounts
        .deactivate_and_erase_user(&alice.user_id)
        .await
        .unwrap();
    assert_eq!(erased().await.unwrap(), [alice.user_id.clone()].into());
    let left = |user| house.accounts.all_account_data(user);
    assert!(left(&alice.user_id).await.unwrap().is_empty());
    assert_eq!(left(&bob.user_id).await.unwrap().len(), 1);
}
