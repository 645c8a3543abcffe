use futures_util::future::join_all;

use super::*;
use crate::{
    RequestTokenError, SubmitTokenError, ValidatedError,
    tables::{SESSIONS_BY_AGE, SESSIONS_BY_SECRET, VALIDATION_SESSIONS},
};

const HOUR: Duration = Duration::from_hours(1);

impl House {
    async fn submit(
        &self,
        medium: Medium,
        sid: &str,
        secret: &str,
        token: &str,
    ) -> Result<(), SubmitTokenError> {
        let submission = submission(medium, sid, secret, token);
        self.identity.submit_token(&submission).await.map(|_| ())
    }
}

#[tokio::test]
async fn whoever_brings_the_token_back_has_proven_the_address() {
    let house = house();
    let address = email("alice@example.org");
    let sid = house.request(alice(), &address, "secret", 1).await;
    let letter = house.letters().await.pop().unwrap();
    assert!(letter.to == address);
    let before = house.identity.validated(&sid, "secret").await;
    assert!(matches!(before, Err(ValidatedError::NotValidated)));
    let token = token_in(&letter.text);
    assert!(letter.text.contains(&format!(
        "https://id.test/_matrix/identity/v2/validate/email/submitToken?token={token}&client_secret=secret&sid={sid}"
    )));
    house.submit(Medium::Email, &sid, "secret", &token).await.unwrap();
    let validated = house.identity.validated(&sid, "secret").await.unwrap();
    assert!(validated.threepid == address);
    assert_eq!(validated.validated_ms, house.clock.now_ms());
}

#[tokio::test]
async fn a_secret_with_an_equals_sign_survives_the_link() {
    let house = house();
    house
        .request(alice(), &email("alice@example.org"), "a=b", 1)
        .await;
    assert!(house.last_letter().await.contains("&client_secret=a%3Db&sid="));
}

#[tokio::test]
async fn a_message_is_sent_once_for_one_attempt() {
    let house = house();
    let address = email("alice@example.org");
    let sid = house.request(alice(), &address, "secret", 2).await;
    for attempt in [2, 1, 0, 2] {
        assert_eq!(house.request(alice(), &address, "secret", attempt).await, sid);
    }
    assert_eq!(house.letters().await.len(), 1);
    assert_eq!(house.request(alice(), &address, "secret", 3).await, sid);
    assert_eq!(house.letters().await.len(), 2);
}

#[tokio::test]
async fn of_the_same_attempt_many_times_at_once_one_is_sent() {
    let house = house();
    let address = email("alice@example.org");
    let request = request(&address, "secret", 1);
    let all = join_all((0..5).map(|_| house.identity.request_token(Some(alice()), &request))).await;
    let sids: Vec<String> = all.into_iter().map(Result::unwrap).collect();
    assert!(sids.iter().all(|sid| *sid == sids[0]));
    assert_eq!(house.letters().await.len(), 1);
}

#[tokio::test]
async fn w06_a_secret_in_use_for_one_address_is_refused_for_another() {
    let house = house();
    house.proven(alice(), &email("alice@example.org"), "secret").await;
    let before = house.rows().await;
    let other = email("victim@example.org");
    let outcome = house
        .identity
        .request_token(Some(alice()), &request(&other, "secret", 9))
        .await;
    assert!(matches!(outcome, Err(RequestTokenError::SecretInUse)));
    assert_eq!(house.rows().await, before);
}

#[tokio::test]
async fn a_secret_of_another_account_is_refused() {
    let house = house();
    let address = email("alice@example.org");
    house.request(alice(), &address, "secret", 1).await;
    for requester in [Some(bob()), None] {
        let outcome = house
            .identity
            .request_token(requester, &request(&address, "secret", 2))
            .await;
        assert!(matches!(outcome, Err(RequestTokenError::SecretInUse)));
    }
    assert_eq!(house.letters().await.len(), 1);
}

#[tokio::test]
async fn t25_five_wrong_tokens_and_the_session_is_dead() {
    let house = house();
    let address = email("alice@example.org");
    let sid = house.request(alice(), &address, "secret", 1).await;
    let token = token_in(&house.last_letter().await);
    for _ in 0..5 {
        let outcome = house.submit(Medium::Email, &sid, "secret", "guess").await;
        assert!(matches!(outcome, Err(SubmitTokenError::WrongToken)));
    }
    let outcome = house.submit(Medium::Email, &sid, "secret", &token).await;
    assert!(matches!(outcome, Err(SubmitTokenError::Expired)));
    let validated = house.identity.validated(&sid, "secret").await;
    assert!(matches!(validated, Err(ValidatedError::NotValidated)));

    assert_eq!(
        house.request(alice(), &address, "secret", 1).await,
        sid,
        "this attempt was sent already"
    );
    assert_eq!(house.letters().await.len(), 1);
    let next = house.request(alice(), &address, "secret", 2).await;
    assert_ne!(next, sid);
    let outcome = house.submit(Medium::Email, &sid, "secret", &token).await;
    assert!(matches!(outcome, Err(SubmitTokenError::NoSession)));
    let token = token_in(&house.last_letter().await);
    house
        .submit(Medium::Email, &next, "secret", &token)
        .await
        .unwrap();
}

#[tokio::test]
async fn t25_of_many_guesses_at_once_five_are_answered() {
    let house = house();
    let number = msisdn("447700900123");
    let sid = house.request(alice(), &number, "secret", 1).await;
    let guesses: Vec<String> = (0..100).map(|guess| format!("{guess:07}")).collect();
    let outcomes = join_all(
        guesses
            .iter()
            .map(|guess| house.submit(Medium::Msisdn, &sid, "secret", guess)),
    )
    .await;
    let answered = outcomes
        .iter()
        .filter(|outcome| matches!(outcome, Err(SubmitTokenError::WrongToken)));
    assert_eq!(answered.count(), 5);
    let outcome = house
        .submit(
            Medium::Msisdn,
            &sid,
            "secret",
            &digits_in(&house.last_letter().await),
        )
        .await;
    assert!(matches!(outcome, Err(SubmitTokenError::Expired)));
}

#[tokio::test]
async fn t25_a_token_is_good_for_an_hour() {
    for (age_ms, good) in [(3_599_999, true), (3_600_000, false)] {
        let house = house();
        let sid = house
            .request(alice(), &email("alice@example.org"), "secret", 1)
            .await;
        let sent_ms = house.clock.now_ms();
        let token = token_in(&house.last_letter().await);
        let age = Duration::from_millis(sent_ms + age_ms - house.clock.now_ms());
        house.clock.advance(age);
        let before = house.all(&VALIDATION_SESSIONS).await;
        let outcome = house.submit(Medium::Email, &sid, "secret", &token).await;
        if good {
            outcome.unwrap();
        } else {
            assert!(matches!(outcome, Err(SubmitTokenError::Expired)));
            assert_eq!(house.all(&VALIDATION_SESSIONS).await, before);
        }
    }
}

#[tokio::test]
async fn t25_a_session_proves_its_address_for_a_day() {
    let house = house();
    let sid = house.proven(alice(), &email("alice@example.org"), "secret").await;
    house.clock.advance(Duration::from_millis(24 * 3_600_000 - 1));
    house.identity.validated(&sid, "secret").await.unwrap();
    house.clock.advance(Duration::from_millis(1));
    assert!(matches!(
        house.identity.validated(&sid, "secret").await,
        Err(ValidatedError::Expired)
    ));
    let next = house
        .request(alice(), &email("bob@example.org"), "secret", 1)
        .await;
    assert_ne!(next, sid, "and its secret is free again");
}

#[tokio::test]
async fn t25_tokens_in_links_cannot_be_guessed() {
    let house = house();
    house
        .request(alice(), &email("alice@example.org"), "secret", 1)
        .await;
    let token = token_in(&house.last_letter().await);
    // 5.95 bits a character.
    assert!(token.len() >= 22, "128 bits at least");
}

#[tokio::test]
async fn a_token_of_another_session_is_refused() {
    let house = house();
    let mine = house
        .request(alice(), &email("mine@example.org"), "mine", 1)
        .await;
    let my_token = token_in(&house.last_letter().await);
    let theirs = house
        .request(alice(), &email("theirs@example.org"), "theirs", 1)
        .await;
    let outcome = house.submit(Medium::Email, &theirs, "theirs", &my_token).await;
    assert!(matches!(outcome, Err(SubmitTokenError::WrongToken)));
    for (sid, secret) in [(&theirs, "mine"), (&mine, "theirs")] {
        let outcome = house.submit(Medium::Email, sid, secret, &my_token).await;
        assert!(matches!(outcome, Err(SubmitTokenError::NoSession)));
        assert!(matches!(
            house.identity.validated(sid, secret).await,
            Err(ValidatedError::NoSession)
        ));
    }
}

#[tokio::test]
async fn t25_a_used_token_is_refused() {
    let house = house();
    let sid = house
        .request(alice(), &email("alice@example.org"), "secret", 1)
        .await;
    let token = token_in(&house.last_letter().await);
    for _ in 0..2 {
        house.submit(Medium::Email, &sid, "secret", &token).await.unwrap();
    }
    house
        .identity
        .bind(Some(alice()), &sid, "secret", alice())
        .await
        .unwrap();
    let outcome = house.submit(Medium::Email, &sid, "secret", &token).await;
    assert!(matches!(outcome, Err(SubmitTokenError::WrongToken)));
}

#[tokio::test]
async fn of_links_the_earlier_ones_stay_good_and_of_codes_the_last() {
    let house = house();
    let address = email("alice@example.org");
    let sid = house.request(alice(), &address, "secret", 1).await;
    let first = token_in(&house.last_letter().await);
    house.request(alice(), &address, "secret", 2).await;
    house.submit(Medium::Email, &sid, "secret", &first).await.unwrap();

    let number = msisdn("447700900123");
    let sid = house.request(alice(), &number, "other", 1).await;
    let first = digits_in(&house.last_letter().await);
    house.request(alice(), &number, "other", 2).await;
    let second = digits_in(&house.last_letter().await);
    if first != second {
        let outcome = house.submit(Medium::Msisdn, &sid, "other", &first).await;
        assert!(matches!(outcome, Err(SubmitTokenError::WrongToken)));
    }
    house
        .submit(Medium::Msisdn, &sid, "other", &second)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_session_belongs_to_the_endpoint_of_its_medium() {
    let house = house();
    let sid = house
        .request(alice(), &email("alice@example.org"), "secret", 1)
        .await;
    let token = token_in(&house.last_letter().await);
    let outcome = house.submit(Medium::Msisdn, &sid, "secret", &token).await;
    assert!(matches!(outcome, Err(SubmitTokenError::NoSession)));
}

#[tokio::test]
async fn x08_what_breaks_the_grammar_is_refused_before_anything_is_read() {
    let house = house();
    let address = email("alice@example.org");
    let long = "a".repeat(256);
    for bad in ["", "a b", "ä", long.as_str()] {
        let outcome = house
            .identity
            .request_token(Some(alice()), &request(&address, bad, 1))
            .await;
        assert!(matches!(outcome, Err(RequestTokenError::InvalidClientSecret)));
        assert!(matches!(
            house.identity.validated(bad, "secret").await,
            Err(ValidatedError::Invalid)
        ));
        assert!(matches!(
            house.identity.validated("sid", bad).await,
            Err(ValidatedError::Invalid)
        ));
        let outcome = house.submit(Medium::Email, bad, "secret", "token").await;
        assert!(matches!(outcome, Err(SubmitTokenError::Invalid)));
    }
    let outcome = house.submit(Medium::Email, "sid", "secret", &long).await;
    assert!(matches!(outcome, Err(SubmitTokenError::Invalid)));
    assert!(house.rows().await.is_empty());
}

#[tokio::test]
async fn people_are_sent_only_where_the_operator_allows() {
    let house = house_with(|config| config.next_link_hosts = vec!["chat.test".to_owned()]);
    let address = email("alice@example.org");
    let to = |link| ValidationRequest {
        next_link: Some(link),
        ..request(&address, "secret", 1)
    };
    let outcome = house
        .identity
        .request_token(None, &to("https://evil.test/"))
        .await;
    assert!(matches!(outcome, Err(RequestTokenError::NextLinkNotAllowed)));
    assert!(house.rows().await.is_empty());
    let sid = house
        .identity
        .request_token(None, &to("https://chat.test/done"))
        .await
        .unwrap();
    let token = token_in(&house.last_letter().await);
    let submission = submission(Medium::Email, &sid, "secret", &token);
    let submitted = house.identity.submit_token(&submission).await.unwrap();
    assert_eq!(submitted.next_link.as_deref(), Some("https://chat.test/done"));
}

#[tokio::test]
async fn t04_an_address_gets_so_many_validation_messages_and_no_more() {
    let house = house();
    let address = email("alice@example.org");
    for number in 0..5 {
        house
            .request(alice(), &address, &format!("secret{number}"), 1)
            .await;
    }
    let before = house.rows().await;
    let request = request(&address, "another", 1);
    let outcome = house.identity.request_token(Some(bob()), &request).await;
    let Err(RequestTokenError::TooMany { retry_after_ms }) = outcome else {
        panic!("too many");
    };
    assert_eq!(house.rows().await, before);
    // Reading the messages took some milliseconds of this clock.
    house.clock.advance(Duration::from_millis(retry_after_ms));
    house.identity.request_token(Some(bob()), &request).await.unwrap();
}

#[tokio::test]
async fn old_sessions_are_deleted_when_new_ones_are_made() {
    let house = house();
    for number in 0..5 {
        house
            .request(
                alice(),
                &email(&format!("a{number}@example.org")),
                &format!("s{number}"),
                1,
            )
            .await;
    }
    house.clock.advance(48 * HOUR + Duration::from_secs(1));
    house.request(alice(), &email("b@example.org"), "s0", 1).await;
    assert_eq!(house.all(&VALIDATION_SESSIONS).await.len(), 1);
    assert_eq!(house.all(&SESSIONS_BY_SECRET).await.len(), 1);
    assert_eq!(house.all(&SESSIONS_BY_AGE).await.len(), 1);
}
