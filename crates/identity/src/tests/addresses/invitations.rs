use super::*;
use crate::StoreInviteError;

#[tokio::test]
async fn an_invitation_is_stored_and_its_address_told() {
    let house = house();
    let address = email("bob@example.org");
    let (stored, batch) = house
        .identity
        .store_invite(alice(), invite(&address))
        .await
        .unwrap();
    assert!(
        house.letters().await.is_empty(),
        "nothing has happened before the commit"
    );
    assert!(house.all(&tables::INVITATIONS).await.is_empty());
    house.identity.commit_invite(&address, batch).await.unwrap();

    let letters = house.letters().await;
    assert_eq!(letters.len(), 1);
    assert!(letters[0].to == address);
    assert!(letters[0].text.contains("Alice") && letters[0].text.contains("Tea"));
    // 5.95 bits a character: 128 bits at least.
    assert!(code_in(&letters[0].text).len() >= 22);

    assert!((1..=255).contains(&stored.token.len()));
    assert!(stored.token.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    assert_eq!(stored.display_name, "b...@ex...");
    let [long_lived, ephemeral] = &stored.public_keys[..] else {
        panic!("two keys");
    };
    assert_eq!(
        long_lived.key_validity_url,
        "https://id.test/_matrix/identity/v2/pubkey/isvalid"
    );
    assert!(house.identity.is_valid(&long_lived.public_key).await.unwrap());
    assert!(
        !house
            .identity
            .is_ephemeral_valid(&long_lived.public_key)
            .await
            .unwrap()
    );
    let url = "https://id.test/_matrix/identity/v2/pubkey/ephemeral/isvalid";
    assert_eq!(ephemeral.key_validity_url, url);
    assert!(
        house
            .identity
            .is_ephemeral_valid(&ephemeral.public_key)
            .await
            .unwrap()
    );
    assert!(!house.identity.is_valid(&ephemeral.public_key).await.unwrap());
    assert!(!house.identity.is_ephemeral_valid("nonsense").await.unwrap());
}

#[tokio::test]
async fn a_phone_number_is_invited_by_text_message() {
    let house = house();
    let number = msisdn("447700900123");
    let (stored, _) = house.invited(&number).await;
    assert_eq!(stored.display_name, "...23");
    assert!(house.letters().await[0].to == number);
}

#[tokio::test]
async fn an_address_that_is_bound_is_not_invited() {
    let house = house();
    let address = email("bob@example.org");
    house.bound(bob(), &address, "secret").await;
    let before = house.rows().await;
    let outcome = house.identity.store_invite(alice(), invite(&address)).await;
    let Err(StoreInviteError::InUse { mxid }) = outcome else {
        panic!("in use");
    };
    assert_eq!(mxid, bob());
    assert_eq!(house.rows().await, before);
}

#[tokio::test]
async fn an_address_that_is_bound_while_it_is_invited_is_not_invited() {
    let house = house();
    let address = email("bob@example.org");
    let (_, batch) = house
        .identity
        .store_invite(alice(), invite(&address))
        .await
        .unwrap();
    house.bound(bob(), &address, "secret").await;
    let before = house.rows().await;
    let outcome = house.identity.commit_invite(&address, batch).await;
    assert!(matches!(outcome, Err(StoreInviteError::InUse { mxid }) if mxid == bob()));
    assert_eq!(house.rows().await, before);
}

#[tokio::test]
async fn what_the_homeserver_says_is_kept_within_bounds() {
    let house = house();
    let address = email("bob@example.org");
    let mut invite = invite(&address);
    invite.facts.room_name = Some("ä".repeat(10_000));
    invite.facts.room_avatar_url = Some(format!("mxc://one.test/{}", "a".repeat(10_000)));
    let (_, batch) = house.identity.store_invite(alice(), invite).await.unwrap();
    house.identity.commit_invite(&address, batch).await.unwrap();
    let code = code_in(&house.last_letter().await);
    let page = house.identity.invitation_by_code(&code).await.unwrap();
    assert_eq!(page.facts.room_name, Some("ä".repeat(255)));
    assert_eq!(page.facts.room_avatar_url, None);
}

#[tokio::test]
async fn t04_thousands_of_invitations_by_one_user_are_refused_after_a_few() {
    let house = house();
    let mut stored = 0;
    for number in 0..2_000 {
        let invite = invite_into(number, &email(&format!("victim{number}@example.org")));
        match house.identity.store_invite(alice(), invite.clone()).await {
            Ok((_, batch)) => {
                house
                    .identity
                    .commit_invite(&invite.threepid, batch)
                    .await
                    .unwrap();
                stored += 1;
            }
            Err(StoreInviteError::TooMany { retry_after_ms }) => assert!(retry_after_ms > 0),
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(stored, 5);
    assert_eq!(house.all(&tables::INVITATIONS).await.len(), 5);
    assert_eq!(house.letters().await.len(), 5);
}

#[tokio::test]
async fn t04_an_address_gets_three_invitations_by_whomsoever() {
    let house = house();
    let mut outcomes = Vec::new();
    for number in 0..4 {
        let sender = UserId::parse(format!("@user{number}:one.test")).unwrap();
        let invite = invite_into(number, &email("victim@example.org"));
        outcomes.push(house.identity.store_invite(&sender, invite).await.map(|_| ()));
    }
    assert!(outcomes[..3].iter().all(Result::is_ok));
    assert!(matches!(outcomes[3], Err(StoreInviteError::TooMany { .. })));
}

#[tokio::test]
async fn t04_a_room_sends_ten_invitations_by_whomsoever() {
    let house = house();
    let mut outcomes = Vec::new();
    for number in 0..11 {
        let sender = UserId::parse(format!("@user{number}:one.test")).unwrap();
        let invite = invite(&email(&format!("victim{number}@example.org")));
        outcomes.push(house.identity.store_invite(&sender, invite).await.map(|_| ()));
    }
    assert!(outcomes[..10].iter().all(Result::is_ok));
    assert!(matches!(outcomes[10], Err(StoreInviteError::TooMany { .. })));
}

#[tokio::test]
async fn t04_only_so_many_invitations_wait_for_one_address() {
    let house = house_with(without_limits);
    let address = email("victim@example.org");
    for number in 0..200 {
        let (_, batch) = house
            .identity
            .store_invite(alice(), invite_into(number, &address))
            .await
            .unwrap();
        house.identity.commit_invite(&address, batch).await.unwrap();
    }
    let outcome = house.identity.store_invite(alice(), invite(&address)).await;
    assert!(matches!(outcome, Err(StoreInviteError::TooManyWaiting)));
}

#[tokio::test]
async fn b11_the_same_invitation_within_a_minute_is_one_and_mailed_once() {
    let house = house();
    let address = email("bob@example.org");
    let (first, code) = house.invited(&address).await;
    let before = house.rows().await;
    house.clock.advance(Duration::from_secs(59));
    let again = house
        .identity
        .store_and_commit_invite(alice(), &invite(&address))
        .await;
    assert_eq!(again.unwrap(), first);
    assert_eq!(house.rows().await, before, "nothing is written, and nothing sent");
    let page = house.identity.invitation_by_code(&code).await.unwrap();
    assert_eq!(page.token, first.token, "the link in the mail is good");
    for (sender, other) in [
        (bob(), invite(&address)),
        (alice(), invite_into(1, &address)),
        (alice(), invite(&email("carol@example.org"))),
    ] {
        let stored = house.identity.store_and_commit_invite(sender, &other).await;
        assert_ne!(stored.unwrap().token, first.token, "not the same");
    }
}

#[tokio::test]
async fn after_a_minute_an_invitation_is_sent_once_more() {
    let house = house();
    let address = email("bob@example.org");
    let (first, _) = house.invited(&address).await;
    house.clock.advance(Duration::from_mins(1));
    let (second, _) = house.invited(&address).await;
    assert_ne!(first.token, second.token);
    assert_eq!(house.letters().await.len(), 2);
}

#[tokio::test]
async fn what_has_been_accepted_is_not_given_again() {
    let house = house();
    let address = email("bob@example.org");
    let (first, code) = house.invited(&address).await;
    let key = house
        .identity
        .invitation_by_code(&code)
        .await
        .unwrap()
        .private_key;
    let signed = house.identity.sign_ed25519(bob(), &first.token, key.expose());
    signed.await.unwrap();
    let (second, _) = house.invited(&address).await;
    assert_ne!(first.token, second.token);
    // One that is accepted before the repetition is committed.
    let (_, repeated) = house
        .identity
        .store_invite(alice(), invite(&address))
        .await
        .unwrap();
    house.bound(bob(), &address, "secret").await;
    let before = house.rows().await;
    let outcome = house.identity.commit_invite(&address, repeated).await;
    assert!(matches!(outcome, Err(StoreInviteError::InUse { .. })));
    assert_eq!(house.rows().await, before);
}

#[tokio::test]
async fn b11_of_the_same_invitation_many_times_at_once_one_is_mailed() {
    let house = house_with(without_limits);
    let address = email("bob@example.org");
    let invite = invite(&address);
    let all = (0..5).map(|_| house.identity.store_and_commit_invite(alice(), &invite));
    let all = futures_util::future::join_all(all).await;
    let tokens: Vec<_> = all.into_iter().map(|stored| stored.unwrap().token).collect();
    assert!(tokens.iter().all(|token| *token == tokens[0]), "{tokens:?}");
    assert_eq!(house.all(&tables::INVITATIONS).await.len(), 1);
    assert_eq!(house.letters().await.len(), 1);
}
