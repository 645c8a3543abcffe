use std::time::Duration;

use gatehouse_mail::{Medium, Threepid};

use super::addresses::{email, sending_house, sending_house_with};
use crate::{
    AddThreepidError, Purpose, RequestValidationError, SubmitValidationError, ValidatedError,
    ValidationRequest,
    request_validation::{VALIDATION_LIFETIME_MS, VALIDATION_TOKEN_LIFETIME_MS},
    tests::house,
};

#[tokio::test]
async fn a_link_proves_an_address_once() {
    let house = sending_house();
    let (alice, bob) = (house.user("alice").await.user_id, house.user("bob").await.user_id);
    let address = email("alice@example.org");
    let sid = house
        .request(Purpose::Add, &address, "secret", 1)
        .await
        .unwrap()
        .sid;
    let error = house
        .accounts
        .add_threepid(&alice, &sid, "secret")
        .await
        .unwrap_err();
    assert!(matches!(
        error,
        AddThreepidError::Validated(ValidatedError::NotValidated)
    ));
    let token = house.next_token(Medium::Email).await;
    house.submit(&sid, None, &token).await.unwrap();
    house
        .submit(&sid, None, &token)
        .await
        .expect("a link may be followed twice");
    let error = house
        .accounts
        .add_threepid(&alice, &sid, "other")
        .await
        .unwrap_err();
    assert!(matches!(
        error,
        AddThreepidError::Validated(ValidatedError::NoSession)
    ));
    house.accounts.add_threepid(&alice, &sid, "secret").await.unwrap();
    let known = house.accounts.threepids(&alice).await.unwrap();
    assert_eq!(known[0].threepid, address);
    assert_eq!(
        house.accounts.threepid_owner(&address).await.unwrap(),
        Some(alice)
    );
    let error = house
        .accounts
        .add_threepid(&bob, &sid, "secret")
        .await
        .unwrap_err();
    assert!(matches!(error, AddThreepidError::Validated(ValidatedError::Used)));
}

#[tokio::test]
async fn w07_of_two_uses_of_a_proof_at_once_one_succeeds() {
    let house = sending_house();
    let (alice, bob) = (house.user("alice").await.user_id, house.user("bob").await.user_id);
    let sid = house
        .proven(Purpose::Add, &email("a@example.org"), "secret")
        .await;
    let (first, second) = tokio::join!(
        house.accounts.add_threepid(&alice, &sid, "secret"),
        house.accounts.add_threepid(&bob, &sid, "secret"),
    );
    assert_eq!(
        [first.is_ok(), second.is_ok()].iter().filter(|ok| **ok).count(),
        1
    );
    let known = [
        house.accounts.threepids(&alice).await.unwrap().len(),
        house.accounts.threepids(&bob).await.unwrap().len(),
    ];
    assert_eq!(known.iter().sum::<usize>(), 1);
}

#[tokio::test]
async fn w06_a_secret_is_good_for_one_address() {
    let house = sending_house();
    let sid = house
        .proven(Purpose::Add, &email("mine@example.org"), "secret")
        .await;
    let error = house
        .request(Purpose::Add, &email("victim@example.org"), "secret", 2)
        .await
        .unwrap_err();
    assert!(matches!(error, RequestValidationError::SecretInUse));
    let proven = house
        .accounts
        .validated(Purpose::Add, &sid, "secret")
        .await
        .unwrap();
    assert_eq!(*proven.threepid(), email("mine@example.org"));
    house.nothing_more_was_sent().await;
}

#[tokio::test]
async fn w06_what_was_proven_for_one_purpose_is_good_for_no_other() {
    let house = sending_house();
    let sid = house
        .proven(Purpose::Register, &email("a@example.org"), "secret")
        .await;
    for purpose in [Purpose::Add, Purpose::ResetPassword] {
        let error = house
            .accounts
            .validated(purpose, &sid, "secret")
            .await
            .err()
            .unwrap();
        assert!(matches!(error, ValidatedError::NoSession));
    }
    let other = house
        .request(Purpose::Add, &email("a@example.org"), "secret", 1)
        .await
        .unwrap();
    assert_ne!(other.sid, sid);
}

#[tokio::test]
async fn one_attempt_sends_one_message() {
    let house = sending_house();
    let address = email("a@example.org");
    let first = house.request(Purpose::Add, &address, "secret", 1).await.unwrap();
    house.next_token(Medium::Email).await;
    assert_eq!(
        house.request(Purpose::Add, &address, "secret", 1).await.unwrap(),
        first
    );
    house.nothing_more_was_sent().await;
    assert_eq!(
        house.request(Purpose::Add, &address, "secret", 2).await.unwrap(),
        first
    );
    house.next_token(Medium::Email).await;
    assert_eq!(
        house.request(Purpose::Add, &address, "secret", 1).await.unwrap(),
        first
    );
}

#[tokio::test]
async fn t25_five_wrong_codes_end_a_session() {
    let house = sending_house();
    let number = Threepid::msisdn("447700900123").unwrap();
    let requested = house.request(Purpose::Add, &number, "secret", 1).await.unwrap();
    assert_eq!(
        requested.submit_url.as_deref(),
        Some("https://house.test/_gatehouse/validate/msisdn/submitToken")
    );
    let code = house.next_token(Medium::Msisdn).await;
    let error = house.submit(&requested.sid, None, &code).await.unwrap_err();
    assert!(
        matches!(error, SubmitValidationError::NoSession),
        "a code needs the secret beside it"
    );
    let wrong = if code == "000000" { "000001" } else { "000000" };
    for _ in 0..5 {
        let error = house
            .submit(&requested.sid, Some("secret"), wrong)
            .await
            .unwrap_err();
        assert!(matches!(error, SubmitValidationError::WrongToken));
    }
    let error = house
        .submit(&requested.sid, Some("secret"), &code)
        .await
        .unwrap_err();
    assert!(matches!(error, SubmitValidationError::Expired));
    let again = house.request(Purpose::Add, &number, "secret", 2).await.unwrap();
    assert_ne!(again.sid, requested.sid);
    let code = house.next_token(Medium::Msisdn).await;
    house.submit(&again.sid, Some("secret"), &code).await.unwrap();
}

#[tokio::test]
async fn t25_tokens_hold_for_an_hour_and_sessions_for_a_day() {
    let house = sending_house();
    let address = email("a@example.org");
    let sid = house
        .request(Purpose::Add, &address, "secret", 1)
        .await
        .unwrap()
        .sid;
    let old = house.next_token(Medium::Email).await;
    assert!(old.len() >= 22, "128 bits at least");
    house
        .clock
        .advance(Duration::from_millis(VALIDATION_TOKEN_LIFETIME_MS));
    let error = house.submit(&sid, None, &old).await.unwrap_err();
    assert!(matches!(error, SubmitValidationError::Expired));
    house.request(Purpose::Add, &address, "secret", 2).await.unwrap();
    let new = house.next_token(Medium::Email).await;
    house.submit(&sid, None, &new).await.unwrap();
    house.clock.advance(Duration::from_millis(VALIDATION_LIFETIME_MS));
    let error = house
        .accounts
        .validated(Purpose::Add, &sid, "secret")
        .await
        .err()
        .unwrap();
    assert!(matches!(error, ValidatedError::NoSession));
}

#[tokio::test]
async fn t26_nobody_learns_by_asking_whether_an_address_has_an_account() {
    let house = sending_house();
    let alice = house.user("alice").await.user_id;
    let (known, unknown) = (email("known@example.org"), email("unknown@example.org"));
    let sid = house.proven(Purpose::Add, &known, "secret").await;
    house.accounts.add_threepid(&alice, &sid, "secret").await.unwrap();
    for (purpose, address, says) in [
        (Purpose::Register, &known, "belongs to one already"),
        (Purpose::Register, &unknown, "/_gatehouse/validate?"),
        (Purpose::ResetPassword, &known, "/_gatehouse/allow_password?"),
        (Purpose::ResetPassword, &unknown, "perhaps you used another"),
    ] {
        let secret = format!("{purpose:?}{}", address.address().len());
        let requested = house.request(purpose, address, &secret, 1).await.unwrap();
        assert!(requested.submit_url.is_none() && requested.sid.len() == 22);
        let (to, text) = house.next_message().await;
        assert_eq!(to, address.address());
        assert!(text.contains(says), "{text}");
    }
}

#[tokio::test]
async fn t26_an_operator_may_have_it_said() {
    let house = sending_house_with(|config| config.hide_known_addresses = false);
    let alice = house.user("alice").await.user_id;
    let known = email("known@example.org");
    let sid = house.proven(Purpose::Add, &known, "secret").await;
    house.accounts.add_threepid(&alice, &sid, "secret").await.unwrap();
    let error = house
        .request(Purpose::Register, &known, "b", 1)
        .await
        .unwrap_err();
    assert!(matches!(error, RequestValidationError::AddressInUse));
    let error = house
        .request(Purpose::ResetPassword, &email("x@example.org"), "b", 1)
        .await
        .unwrap_err();
    assert!(matches!(error, RequestValidationError::UnknownAddress));
}

#[tokio::test]
async fn x08_what_breaks_the_grammar_is_refused() {
    let house = sending_house();
    let error = house
        .request(Purpose::Add, &email("a@example.org"), "a b", 1)
        .await
        .unwrap_err();
    assert!(matches!(error, RequestValidationError::InvalidClientSecret));
    for (sid, secret, token) in [("a b", "s", "t"), ("s", "", "t"), ("s", "s", "")] {
        let error = house.submit(sid, Some(secret), token).await.unwrap_err();
        assert!(matches!(error, SubmitValidationError::Invalid));
    }
}

#[tokio::test]
async fn without_mail_nothing_can_be_proven() {
    let house = house();
    let address = email("a@example.org");
    let request = ValidationRequest {
        purpose: Purpose::Add,
        threepid: &address,
        client_secret: "secret",
        send_attempt: 1,
        next_link: None,
    };
    let error = house.accounts.request_validation(&request).await.unwrap_err();
    assert!(matches!(error, RequestValidationError::CannotSend(_)));
}

#[tokio::test]
async fn sessions_that_are_over_are_cleared_away() {
    let house = sending_house();
    for number in 0..5 {
        let address = email(&format!("a{number}@example.org"));
        house
            .request(Purpose::Add, &address, &format!("secret{number}"), 1)
            .await
            .unwrap();
    }
    house
        .clock
        .advance(Duration::from_millis(2 * VALIDATION_LIFETIME_MS + 1));
    house
        .request(Purpose::Add, &email("b@example.org"), "secret", 1)
        .await
        .unwrap();
    let all = gatehouse_store::Range::all();
    let rows = house
        .accounts
        .scan(&crate::tables::VALIDATIONS, &all, 100)
        .await
        .unwrap();
    assert_eq!(rows.len(), 1);
    let all = gatehouse_store::Range::all();
    let rows = house
        .accounts
        .scan(&crate::tables::VALIDATIONS_BY_SECRET, &all, 100)
        .await
        .unwrap();
    assert_eq!(rows.len(), 1);
}

#[tokio::test]
async fn people_are_sent_on_only_to_where_the_operator_allows() {
    let house = sending_house_with(|config| config.next_link_hosts = vec!["app.example".to_owned()]);
    for (link, followed) in [("https://app.example/a", true), ("https://evil.example/a", false)] {
        let address = email("a@example.org");
        let request = ValidationRequest {
            purpose: Purpose::Add,
            threepid: &address,
            client_secret: &format!("secret{followed}"),
            send_attempt: 1,
            next_link: Some(link),
        };
        let sid = house.accounts.request_validation(&request).await.unwrap().sid;
        let token = house.next_token(Medium::Email).await;
        let submitted = house.submit(&sid, None, &token).await.unwrap();
        assert_eq!(submitted.next_link.as_deref(), followed.then_some(link));
    }
}
