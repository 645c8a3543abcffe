use super::{house, id};
use crate::{DeviceRequest, LoginError, NewDeviceError, Secret, UserMark, tests::house_with};

#[tokio::test]
async fn login_takes_a_localpart_or_a_user_id_in_any_case() {
    let house = house();
    house.user("alice").await;
    for name in ["alice", "@alice:house.test", "Alice", "@ALICE:house.test"] {
        assert_eq!(
            house.login(name, &DeviceRequest::default()).await.user_id,
            id("alice"),
            "{name}"
        );
    }
}

#[tokio::test]
async fn wrong_password_unknown_user_and_other_server_answer_alike() {
    let house = house();
    house.user("alice").await;
    let cases = [
        ("alice", "wrong"),
        ("nobody", "secret"),
        ("@alice:other.test", "secret"),
        ("", "secret"),
        ("alice", ""),
        ("@alice", "secret"),
    ];
    for (name, password) in cases {
        let login = house
            .accounts
            .login_with_password(name, &Secret::new(password), &DeviceRequest::default())
            .await;
        assert!(
            matches!(login, Err(LoginError::InvalidCredentials)),
            "{name}: {login:?}"
        );
    }
}

#[tokio::test]
async fn a_password_tells_whose_it_is_without_a_device() {
    let house = house();
    house.user("alice").await;
    let before = house.accounts.devices(&id("alice")).await.unwrap().len();
    let secret = Secret::new("secret");
    let user = house.accounts.user_by_password("Alice", &secret).await.unwrap();
    assert_eq!(user.user_id, id("alice"));
    assert_eq!(house.accounts.devices(&id("alice")).await.unwrap().len(), before);
    for (name, password) in [("alice", "wrong"), ("nobody", "secret"), ("", "")] {
        let refused = house
            .accounts
            .user_by_password(name, &Secret::new(password))
            .await;
        assert!(matches!(refused, Err(LoginError::InvalidCredentials)), "{name}");
    }
    let mark = |mark, set| {
        let accounts = &house.accounts;
        async move { accounts.mark_user(&id("alice"), mark, set).await.unwrap() }
    };
    mark(UserMark::Suspended, true).await;
    assert!(
        house
            .accounts
            .user_by_password("alice", &secret)
            .await
            .unwrap()
            .is_suspended
    );
    mark(UserMark::Locked, true).await;
    let locked = house.accounts.user_by_password("alice", &secret).await;
    assert!(matches!(locked, Err(LoginError::Locked)));
}

#[tokio::test]
async fn e09_nobody_logs_in_to_an_account_without_password() {
    let house = house();
    let guest = house
        .accounts
        .register_guest(DeviceRequest::default())
        .await
        .unwrap();
    for password in ["", "secret"] {
        let login = house
            .accounts
            .login_with_password(
                guest.user_id.as_str(),
                &Secret::new(password),
                &DeviceRequest::default(),
            )
            .await;
        assert!(matches!(login, Err(LoginError::InvalidCredentials)), "{login:?}");
    }
}

#[tokio::test]
async fn login_on_a_device_again_revokes_its_former_token() {
    let house = house();
    house.user("alice").await;
    let device = DeviceRequest {
        device_id: Some("PHONE".into()),
        ..DeviceRequest::default()
    };
    let first = house.login("alice", &device).await;
    assert!(house.is_valid(&first).await);
    let second = house.login("alice", &device).await;
    assert!(!house.is_valid(&first).await);
    assert!(house.is_valid(&second).await);
}

#[tokio::test]
async fn login_beyond_the_number_of_devices_is_refused() {
    let house = house_with(|config| config.max_devices = 2);
    house.user("alice").await;
    house.login("alice", &DeviceRequest::default()).await;
    let third = house
        .accounts
        .login_with_password("alice", &Secret::new("secret"), &DeviceRequest::default())
        .await;
    let too_many = LoginError::Device(NewDeviceError::TooManyDevices);
    assert_eq!(third.unwrap_err().to_string(), too_many.to_string());
}

#[tokio::test]
async fn login_renews_a_hash_of_other_parameters() {
    let house = house_with(|config| config.registration.cheap_password_hash = false);
    let mut cheap = house.accounts.config().clone();
    cheap.registration.cheap_password_hash = true;
    let cheap = crate::Accounts::new(house.store.clone(), cheap, house.clock.clone());
    house.user("alice").await;
    let hash = async || {
        cheap
            .user_row(&id("alice"))
            .await
            .unwrap()
            .unwrap()
            .password_hash
            .unwrap()
    };
    assert!(hash().await.contains("m=19456,t=2,p=1"));
    let login = cheap
        .login_with_password("alice", &Secret::new("secret"), &DeviceRequest::default())
        .await;
    assert!(login.is_ok());
    assert!(hash().await.contains("m=8,t=1,p=1"));
}

#[tokio::test]
async fn after_a_new_password_the_old_one_is_wrong() {
    let house = house();
    let alice = house.user("alice").await;
    house
        .accounts
        .set_password(&alice.user_id, &Secret::new("fresh"))
        .await
        .unwrap();
    assert!(
        house
            .accounts
            .check_password(&alice.user_id, &Secret::new("fresh"))
            .await
            .unwrap()
    );
    assert!(
        !house
            .accounts
            .check_password(&alice.user_id, &Secret::new("secret"))
            .await
            .unwrap()
    );
    assert!(
        house.is_valid(&alice).await,
        "sessions stay unless they are ended"
    );
}

#[tokio::test]
async fn a_password_of_513_bytes_is_refused() {
    let house = house();
    let alice = house.user("alice").await;
    let set = async |length: usize| {
        let password = Secret::new("x".repeat(length));
        house.accounts.set_password(&alice.user_id, &password).await
    };
    assert!(set(512).await.is_ok());
    assert!(set(513).await.is_err());
    assert!(set(0).await.is_err());
}
