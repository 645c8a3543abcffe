use serde_json::json;

use super::{House, house, house_with, id};
use crate::{DeviceRequest, NewToken, RegistrationError, RegistrationTokenTerms, UiaError};

fn body(name: &str) -> serde_json::Value {
    json!({ "username": name, "password": "sesame", "auth": { "type": "m.login.dummy" } })
}

fn session_of(error: &RegistrationError) -> String {
    match error {
        RegistrationError::Authentication(UiaError::Challenge(challenge)) => {
            challenge.session.expose().to_owned()
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn dummy_alone_registers_in_one_request_and_lower_cases() {
    let house = house();
    let registered = house.register(body("Alice")).await.unwrap();
    assert_eq!(registered.user_id, id("alice"));
    assert!(house.is_valid(&registered.login.unwrap()).await);
}

#[tokio::test]
async fn w08_of_many_registrations_of_a_name_one_succeeds() {
    let house = std::sync::Arc::new(house());
    let tasks: Vec<_> = (0..100)
        .map(|_| {
            let house = std::sync::Arc::clone(&house);
            tokio::spawn(async move { house.register(body("alice")).await })
        })
        .collect();
    let (mut made, mut in_use) = (0, 0);
    for task in tasks {
        match task.await.unwrap() {
            Ok(_) => made += 1,
            Err(RegistrationError::UserInUse) => in_use += 1,
            Err(other) => panic!("{other:?}"),
        }
    }
    assert_eq!((made, in_use), (1, 99));
}

#[tokio::test]
async fn w08_two_nodes_cannot_register_one_name() {
    let house = house();
    let node = House {
        accounts: crate::Accounts::new(
            house.store.clone(),
            house.accounts.config().clone(),
            house.clock.clone(),
        ),
        clock: house.clock.clone(),
        store: house.store.clone(),
        backend: house.backend.clone(),
    };
    let (one, other) = tokio::join!(house.register(body("alice")), node.register(body("alice")));
    let failed = [one, other]
        .into_iter()
        .filter_map(Result::err)
        .collect::<Vec<_>>();
    assert!(
        matches!(failed.as_slice(), [RegistrationError::UserInUse]),
        "{failed:?}"
    );
}

#[tokio::test]
async fn usernames_outside_the_grammar_are_refused() {
    let house = house();
    for name in [
        "",
        "a b",
        "a:b",
        "é",
        "a!",
        "a\n",
        "@",
        "@x:other.test",
        &"x".repeat(250),
    ] {
        let registered = house.register(body(name)).await;
        assert!(
            matches!(registered, Err(RegistrationError::InvalidUsername(_))),
            "{name:?}"
        );
    }
    for name in ["a.b", "_a=", "a/b", "a+b", "3", "q-_"] {
        assert!(house.register(body(name)).await.is_ok(), "{name:?}");
    }
}

#[tokio::test]
async fn without_a_username_a_number_is_given() {
    let house = house();
    let registered = house
        .register(json!({ "password": "sesame", "auth": { "type": "m.login.dummy" } }))
        .await
        .unwrap();
    assert!(
        registered
            .user_id
            .localpart()
            .bytes()
            .all(|byte| byte.is_ascii_digit())
    );
}

#[tokio::test]
async fn closed_registration_refuses_and_guests_need_their_own_permission() {
    let house = house_with(|config| {
        config.registration.open = false;
        config.registration.guests = false;
    });
    assert!(matches!(
        house.register(body("alice")).await,
        Err(RegistrationError::Closed)
    ));
    let guest = house.accounts.register_guest(DeviceRequest::default()).await;
    assert!(matches!(guest, Err(RegistrationError::NoGuests)));
}

#[tokio::test]
async fn a_session_remembers_the_parameters_but_no_password() {
    let house = house();
    let first = json!({ "username": "alice", "password": "sesame", "device_id": "xyzzy" });
    let challenge = house.register(first).await.unwrap_err();
    let session = session_of(&challenge);
    let key = (crate::access_token::digest(&session),);
    let remembered = house.accounts.get(&crate::tables::UIA_SESSIONS, &key);
    let row = serde_json::to_string(&remembered.await.unwrap().unwrap()).unwrap();
    assert!(
        row.contains("argon2id") && !row.contains("sesame") && !row.contains(&session),
        "w04: {row}"
    );
    let auth = json!({ "auth": { "type": "m.login.dummy", "session": session } });
    let registered = house.register(auth.clone()).await.unwrap();
    assert_eq!(registered.user_id, id("alice"));
    assert_eq!(registered.login.unwrap().device_id, "xyzzy");
    let login = house
        .accounts
        .login_with_password("alice", &crate::Secret::new("sesame"), &DeviceRequest::default())
        .await;
    assert!(login.is_ok());
    assert!(
        house.register(auth).await.is_err(),
        "the session alone is no second login"
    );
}

#[tokio::test]
async fn the_same_registration_again_answers_the_same_user() {
    let house = house();
    let mut request = json!({ "username": "alice", "password": "sesame" });
    let session = session_of(&house.register(request.clone()).await.unwrap_err());
    request["auth"] = json!({ "type": "m.login.dummy", "session": session });
    house.register(request.clone()).await.unwrap();
    assert_eq!(
        house.register(request.clone()).await.unwrap().user_id,
        id("alice")
    );
    request["password"] = json!("other");
    assert!(house.register(request).await.is_err());
}

#[tokio::test]
async fn a_registration_token_is_used_as_often_as_allowed() {
    let house = house_with(|config| config.registration.token_required = true);
    let terms = RegistrationTokenTerms {
        uses_allowed: Some(1),
        expires_ms: None,
    };
    let token = house
        .accounts
        .create_registration_token(NewToken::default(), &terms)
        .await
        .unwrap()
        .token;
    assert!(house.register(body("dummy")).await.is_err());
    let with_token = |name: &str, token: &str| {
        json!({ "username": name, "password": "sesame",
            "auth": { "type": "m.login.registration_token", "token": token } })
    };
    assert!(house.register(with_token("mallory", "guess")).await.is_err());
    house.register(with_token("alice", &token)).await.unwrap();
    assert!(house.register(with_token("bob", &token)).await.is_err());
    let after = house.accounts.registration_token(&token).await.unwrap();
    assert_eq!((after.completed, after.pending), (1, 0));
}

#[tokio::test]
async fn a_registration_token_for_one_lets_one_of_two_in() {
    let house = house_with(|config| config.registration.token_required = true);
    let terms = RegistrationTokenTerms {
        uses_allowed: Some(1),
        expires_ms: Some(super::START_MS + 1),
    };
    house
        .accounts
        .create_registration_token(NewToken::Named("one".to_owned()), &terms)
        .await
        .unwrap();
    let try_one = |name: &str| {
        house.register(json!({ "username": name, "password": "sesame",
            "auth": { "type": "m.login.registration_token", "token": "one" } }))
    };
    let (a, b) = tokio::join!(try_one("a"), try_one("b"));
    assert_eq!(usize::from(a.is_ok()) + usize::from(b.is_ok()), 1, "{a:?} {b:?}");
    house.clock.advance(std::time::Duration::from_millis(1));
    assert!(!house.accounts.is_registration_token_usable("one").await.unwrap());
}

#[tokio::test]
async fn registration_tokens_have_a_grammar() {
    let house = house();
    let make = async |token: &str| {
        let terms = RegistrationTokenTerms::default();
        house
            .accounts
            .create_registration_token(NewToken::Named(token.to_owned()), &terms)
            .await
    };
    assert!(make("a.b_c~d-E9").await.is_ok());
    for token in ["", "a b", "é", &"x".repeat(65)] {
        assert!(make(token).await.is_err(), "{token:?}");
    }
}

#[tokio::test]
async fn a_registration_that_inhibits_login_has_no_device() {
    let house = house();
    let mut request = body("alice");
    request["inhibit_login"] = json!(true);
    assert!(house.register(request).await.unwrap().login.is_none());
    assert!(house.accounts.devices(&id("alice")).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_password_is_needed() {
    let house = house();
    let registered = house
        .register(json!({ "auth": { "type": "m.login.dummy" } }))
        .await;
    assert!(
        matches!(registered, Err(RegistrationError::MissingPassword)),
        "{registered:?}"
    );
}

#[tokio::test]
async fn a_registration_token_is_as_long_as_asked() {
    let house = house();
    let terms = RegistrationTokenTerms::default();
    let make = async |chars| {
        let new = NewToken::Random { chars };
        house.accounts.create_registration_token(new, &terms).await
    };
    assert_eq!(make(64).await.unwrap().token.len(), 64);
    assert!(make(0).await.is_err());
    assert!(make(65).await.is_err());
}
