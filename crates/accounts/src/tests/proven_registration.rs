use gatehouse_mail::{Medium, Threepid};
use serde_json::{Value, json};

use super::{
    addresses::{SendingHouse, email, sending_house, sending_house_with},
    object,
};
use crate::{
    Challenge, ChangePasswordError, DeviceRequest, InvitedUser, LoginError, NewToken, PasswordChange,
    Purpose, RegistrationError, RegistrationTokenTerms, Secret, Stage, StageFailure, UiaError,
};

fn email_auth(sid: &str, secret: &str, session: Option<&str>) -> Value {
    json!({
        "type": "m.login.email.identity",
        "threepid_creds": { "sid": sid, "client_secret": secret },
        "session": session,
    })
}

fn challenge(error: RegistrationError) -> Challenge {
    match error {
        RegistrationError::Authentication(UiaError::Challenge(challenge)) => *challenge,
        other => panic!("{other:?}"),
    }
}

async fn change(
    house: &SendingHouse,
    requester: Option<&crate::LoggedIn>,
    body: Value,
) -> Result<(), ChangePasswordError> {
    let body = object(body);
    let new = body.get("new_password").and_then(Value::as_str).map(Secret::new);
    let change = PasswordChange {
        body: &body,
        requester: requester.map(|login| (&*login.user_id, &*login.device_id)),
        new_password: new.as_ref(),
        logs_out: true,
    };
    house.accounts.change_password(&change).await
}

#[tokio::test]
async fn whoever_registers_may_prove_an_address_where_mail_is_sent() {
    let house = sending_house();
    let flows = house.accounts.registration_flows().unwrap();
    let alone = |stage| vec![stage];
    assert_eq!(
        flows,
        [
            alone(Stage::Dummy),
            alone(Stage::Email(Purpose::Register)),
            alone(Stage::Msisdn(Purpose::Register))
        ]
    );
    let sid = house
        .proven(Purpose::Register, &email("a@example.org"), "secret")
        .await;
    let body = json!({ "username": "alice", "password": "pass", "auth": email_auth(&sid, "secret", None) });
    let registered = house.register(body).await.unwrap();
    let known = house.accounts.threepids(&registered.user_id).await.unwrap();
    assert_eq!(known[0].threepid, email("a@example.org"));
}

#[tokio::test]
async fn without_a_proof_nobody_registers_where_an_address_is_required() {
    let house = sending_house_with(|config| config.registration.email_required = true);
    let body = json!({ "username": "alice", "password": "pass", "auth": { "type": "m.login.dummy" } });
    let left = challenge(house.register(body).await.unwrap_err());
    assert_eq!(left.flows, [vec![Stage::Email(Purpose::Register)]]);
    assert_eq!(left.failure, Some(StageFailure::UnknownStage));
    let sid = house
        .request(Purpose::Register, &email("a@example.org"), "secret", 1)
        .await
        .unwrap()
        .sid;
    let attempt =
        json!({ "username": "alice", "password": "pass", "auth": email_auth(&sid, "secret", None) });
    let left = challenge(house.register(attempt.clone()).await.unwrap_err());
    assert_eq!(left.failure, Some(StageFailure::NotProven));
    let token = house.next_token(Medium::Email).await;
    house.submit(&sid, None, &token).await.unwrap();
    for (sid, secret) in [(sid.as_str(), "other"), ("other", "secret")] {
        let body = json!({ "username": "alice", "password": "pass", "auth": email_auth(sid, secret, None) });
        assert_eq!(
            challenge(house.register(body).await.unwrap_err()).failure,
            Some(StageFailure::NotProven)
        );
    }
    house.register(attempt).await.unwrap();
}

#[tokio::test]
async fn w07_a_proof_makes_one_account() {
    let house = sending_house();
    let sid = house
        .proven(Purpose::Register, &email("a@example.org"), "secret")
        .await;
    let body = |name: &str| json!({ "username": name, "password": "pass", "auth": email_auth(&sid, "secret", None) });
    let (alice, bob) = tokio::join!(house.register(body("alice")), house.register(body("bob")));
    assert_eq!([alice.is_ok(), bob.is_ok()].iter().filter(|ok| **ok).count(), 1);
    let left = challenge(house.register(body("carol")).await.unwrap_err());
    assert_eq!(left.failure, Some(StageFailure::NotProven));
    let made = house.accounts.users(None, 10).await.unwrap().len();
    assert_eq!(made, 1, "a refused registration leaves no account behind");
}

#[tokio::test]
async fn an_address_of_an_account_makes_no_other() {
    let house = sending_house();
    let alice = house.user("alice").await.user_id;
    let number = Threepid::msisdn("447700900123").unwrap();
    house
        .accounts
        .add_threepid_proven_elsewhere(&alice, &number, 1)
        .await
        .unwrap();
    let sid = house.proven(Purpose::Register, &number, "secret").await;
    let auth =
        json!({ "type": "m.login.msisdn", "threepid_creds": { "sid": sid, "client_secret": "secret" } });
    let body = json!({ "username": "bob", "password": "pass", "auth": auth });
    let left = challenge(house.register(body).await.unwrap_err());
    assert_eq!(left.failure, Some(StageFailure::AddressInUse));
}

#[tokio::test]
async fn an_address_does_not_stand_for_a_registration_token() {
    let house = sending_house_with(|config| config.registration.token_required = true);
    let terms = RegistrationTokenTerms::default();
    house
        .accounts
        .create_registration_token(NewToken::Named("t0ken".to_owned()), &terms)
        .await
        .unwrap();
    let sid = house
        .proven(Purpose::Register, &email("a@example.org"), "secret")
        .await;
    let body = json!({ "username": "alice", "password": "pass", "auth": email_auth(&sid, "secret", None) });
    let left = challenge(house.register(body).await.unwrap_err());
    assert_eq!(left.completed, ["m.login.email.identity"]);
    let session = left.session.expose();
    let auth = json!({ "type": "m.login.registration_token", "token": "t0ken", "session": session });
    let body = json!({ "username": "alice", "password": "pass", "auth": auth });
    let registered = house.register(body).await.unwrap();
    assert_eq!(
        house.accounts.threepids(&registered.user_id).await.unwrap().len(),
        1
    );
}

#[tokio::test]
async fn a_forgotten_password_is_set_by_whoever_has_the_address() {
    let house = sending_house();
    let alice = house.user("alice").await;
    let address = email("a@example.org");
    house
        .accounts
        .add_threepid_proven_elsewhere(&alice.user_id, &address, 1)
        .await
        .unwrap();
    let sid = house.proven(Purpose::ResetPassword, &address, "secret").await;
    let body = json!({ "new_password": "new", "auth": email_auth(&sid, "secret", None) });
    change(&house, None, body.clone()).await.unwrap();
    assert!(!house.is_valid(&alice).await, "all devices are logged out");
    let old = house
        .accounts
        .login_with_password("alice", &Secret::new("secret"), &DeviceRequest::default())
        .await;
    assert!(matches!(old, Err(LoginError::InvalidCredentials)));
    house
        .accounts
        .login_with_password("alice", &Secret::new("new"), &DeviceRequest::default())
        .await
        .unwrap();
    let error = change(&house, None, body).await.unwrap_err();
    assert!(
        matches!(
            error,
            ChangePasswordError::Authentication(UiaError::Challenge(challenge))
                if challenge.failure == Some(StageFailure::NotProven)
        ),
        "w07: a proof sets one password"
    );
}

#[tokio::test]
async fn an_address_of_one_account_sets_the_password_of_no_other() {
    let house = sending_house();
    let (alice, bob) = (house.user("alice").await, house.user("bob").await);
    let address = email("a@example.org");
    house
        .accounts
        .add_threepid_proven_elsewhere(&alice.user_id, &address, 1)
        .await
        .unwrap();
    let sid = house.proven(Purpose::ResetPassword, &address, "secret").await;
    let body = json!({ "new_password": "new", "auth": email_auth(&sid, "secret", None) });
    let error = change(&house, Some(&bob), body).await.unwrap_err();
    assert!(matches!(
        error,
        ChangePasswordError::Authentication(UiaError::OtherUser)
    ));
    for login in [&alice, &bob] {
        assert!(house.is_valid(login).await);
        assert!(
            house
                .accounts
                .check_password(&login.user_id, &Secret::new("secret"))
                .await
                .unwrap()
        );
    }
}

#[tokio::test]
async fn a_proof_for_registering_resets_no_password() {
    let house = sending_house();
    let alice = house.user("alice").await;
    let address = email("a@example.org");
    let sid = house.proven(Purpose::Register, &address, "secret").await;
    house
        .accounts
        .add_threepid_proven_elsewhere(&alice.user_id, &address, 1)
        .await
        .unwrap();
    let body = json!({ "new_password": "new", "auth": email_auth(&sid, "secret", None) });
    change(&house, None, body).await.unwrap_err();
    assert!(
        house
            .accounts
            .check_password(&alice.user_id, &Secret::new("secret"))
            .await
            .unwrap()
    );
}

#[tokio::test]
async fn an_invitation_stands_for_everything_else_where_the_operator_allows_that() {
    let password = Secret::new("pass");
    let address = email("a@example.org");
    let invited = |username| InvitedUser {
        threepid: &address,
        username,
        password: &password,
    };
    let house = sending_house_with(|config| config.registration.open = false);
    let error = house
        .accounts
        .register_invited(&invited("alice"), None)
        .await
        .unwrap_err();
    assert!(matches!(error, RegistrationError::Closed));
    let house = sending_house_with(|config| {
        config.registration.open = false;
        config.registration.invited_addresses = true;
    });
    let registered = house
        .accounts
        .register_invited(&invited("alice"), None)
        .await
        .unwrap();
    let owner = house.accounts.threepid_owner(&address).await.unwrap();
    assert_eq!(owner.as_ref(), Some(&registered.user_id));
    let again = house.accounts.register_invited(&invited("Alice"), None).await;
    assert_eq!(
        again.unwrap().user_id,
        registered.user_id,
        "a lost answer can be asked for again"
    );
    let guessed = Secret::new("guess");
    let other = InvitedUser {
        password: &guessed,
        ..invited("alice")
    };
    let error = house.accounts.register_invited(&other, None).await.unwrap_err();
    assert!(matches!(error, RegistrationError::AddressInUse));
    let error = house
        .accounts
        .register_invited(&invited("bob"), None)
        .await
        .unwrap_err();
    assert!(matches!(error, RegistrationError::AddressInUse));
    assert!(!house.accounts.user_exists(&super::id("bob")).await.unwrap());
}
