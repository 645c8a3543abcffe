use ruma::CanonicalJsonObject;
use serde_json::json;

use super::*;
use crate::{BindError, LookupRequest, UnbindError, UnbindProof, ValidatedError, lookup::SHA256};

impl House {
    async fn owner(&self, threepid: &Threepid) -> Option<OwnedUserId> {
        self.identity.lookup_one(alice(), threepid).await.unwrap()
    }

    async fn unbind_signed(
        &self,
        signer: &str,
        threepid: &Threepid,
        mxid: &UserId,
    ) -> Result<(), UnbindError> {
        let request = SignedRequest {
            method: "POST".to_owned(),
            uri: "/_matrix/identity/v2/3pid/unbind".to_owned(),
            authorization: vec![signer.to_owned()],
            body: Some(json!({})),
        };
        self.identity
            .unbind(UnbindProof::Homeserver(&request), threepid, mxid)
            .await
    }
}

#[tokio::test]
async fn a_proven_address_is_bound_with_a_signature_that_others_can_check() {
    let house = house();
    let address = email("alice@example.org");
    let bound = house.bound(alice(), &address, "secret").await;
    assert_eq!(bound["address"], "alice@example.org");
    assert_eq!(bound["medium"], "email");
    assert_eq!(bound["mxid"], "@alice:one.test");
    assert_eq!(bound["ts"], bound["not_before"]);
    assert!(bound["not_after"].as_u64() > bound["ts"].as_u64());
    let public_key = house.identity.public_key("ed25519:0").await.unwrap().unwrap();
    let keys = serde_json::from_value(json!({ "id.test": { "ed25519:0": public_key } })).unwrap();
    let mut object: CanonicalJsonObject = serde_json::from_value(bound).unwrap();
    ruma::signatures::verify_json(&keys, &object).unwrap();
    object.insert("mxid".to_owned(), "@evil:one.test".to_owned().into());
    ruma::signatures::verify_json(&keys, &object).unwrap_err();

    assert_eq!(house.owner(&address).await.as_deref(), Some(alice()));
    let pepper = house.identity.hash_details().await.unwrap().lookup_pepper;
    let peppers = house.identity.peppers().await.unwrap();
    let hash = peppers.current.hash("email", "alice@example.org");
    let hash = base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, hash);
    let request = LookupRequest {
        algorithm: SHA256,
        pepper: &pepper,
        addresses: std::slice::from_ref(&hash),
    };
    let found = house.identity.lookup(bob(), &request).await.unwrap();
    assert_eq!(found.get(&hash).map(|user| &**user), Some(alice()));
}

#[tokio::test]
async fn binding_again_for_the_same_user_answers_the_same() {
    let house = house();
    let sid = house.proven(alice(), &email("alice@example.org"), "secret").await;
    let first = house
        .identity
        .bind(Some(alice()), &sid, "secret", alice())
        .await
        .unwrap();
    house.clock.advance(Duration::from_mins(1));
    let second = house
        .identity
        .bind(Some(alice()), &sid, "secret", alice())
        .await
        .unwrap();
    assert_eq!(first, second);
}

#[tokio::test]
async fn t24_an_unproven_address_is_not_bound() {
    let house = house();
    let address = email("alice@example.org");
    let sid = house.request(alice(), &address, "secret", 1).await;
    let before = house.rows().await;
    let outcome = house.identity.bind(Some(alice()), &sid, "secret", alice()).await;
    assert!(matches!(
        outcome,
        Err(BindError::Session(ValidatedError::NotValidated))
    ));
    let outcome = house.identity.bind(Some(alice()), &sid, "guess", alice()).await;
    assert!(matches!(
        outcome,
        Err(BindError::Session(ValidatedError::NoSession))
    ));
    let outcome = house
        .identity
        .bind(Some(alice()), "guess", "secret", alice())
        .await;
    assert!(matches!(
        outcome,
        Err(BindError::Session(ValidatedError::NoSession))
    ));
    assert_eq!(house.rows().await, before);
}

#[tokio::test]
async fn t24_a_session_of_another_account_binds_nothing() {
    let house = house();
    let sid = house.proven(alice(), &email("alice@example.org"), "secret").await;
    let before = house.rows().await;
    for (requester, mxid) in [
        (Some(bob()), bob()),
        (Some(alice()), bob()),
        (Some(bob()), alice()),
        (None, bob()),
    ] {
        let outcome = house.identity.bind(requester, &sid, "secret", mxid).await;
        assert!(matches!(outcome, Err(BindError::NotYours)));
    }
    assert_eq!(house.rows().await, before);
}

#[tokio::test]
async fn t24_a_session_of_the_legacy_api_binds_for_one_user_only() {
    let house = house();
    let address = email("alice@example.org");
    let sid = house
        .identity
        .request_token(None, &request(&address, "secret", 1))
        .await
        .unwrap();
    let token = token_in(&house.last_letter().await);
    let submission = submission(Medium::Email, &sid, "secret", &token);
    house.identity.submit_token(&submission).await.unwrap();
    house.identity.bind(None, &sid, "secret", alice()).await.unwrap();
    let outcome = house.identity.bind(None, &sid, "secret", bob()).await;
    assert!(matches!(outcome, Err(BindError::NotYours)));
    assert_eq!(house.owner(&address).await.as_deref(), Some(alice()));
}

#[tokio::test]
async fn an_old_session_binds_nothing() {
    let house = house();
    let sid = house.proven(alice(), &email("alice@example.org"), "secret").await;
    house.clock.advance(Duration::from_hours(24));
    let outcome = house.identity.bind(Some(alice()), &sid, "secret", alice()).await;
    assert!(matches!(
        outcome,
        Err(BindError::Session(ValidatedError::Expired))
    ));
}

#[tokio::test]
async fn whoever_proves_the_address_last_has_it() {
    let house = house();
    let address = email("shared@example.org");
    house.bound(alice(), &address, "secret").await;
    house.bound(bob(), &address, "other").await;
    assert_eq!(house.owner(&address).await.as_deref(), Some(bob()));
}

#[tokio::test]
async fn the_owner_of_the_address_can_take_it_back() {
    let house = house();
    let address = email("alice@example.org");
    house.bound(alice(), &address, "secret").await;
    let sid = house.proven(bob(), &email("bob@example.org"), "other").await;
    let other = UnbindProof::Session {
        sid: &sid,
        client_secret: "other",
    };
    let outcome = house.identity.unbind(other, &address, alice()).await;
    assert!(matches!(outcome, Err(UnbindError::OtherAddress)));
    assert!(house.owner(&address).await.is_some());

    let sid = house.proven(alice(), &address, "again").await;
    let mine = UnbindProof::Session {
        sid: &sid,
        client_secret: "again",
    };
    house.identity.unbind(mine, &address, bob()).await.unwrap();
    assert!(house.owner(&address).await.is_some(), "it was not bob's");
    house.identity.unbind(mine, &address, alice()).await.unwrap();
    assert!(house.owner(&address).await.is_none());
    assert!(house.all(&tables::HASHES).await.is_empty());
    house.identity.unbind(mine, &address, alice()).await.unwrap();
}

#[tokio::test]
async fn t24_a_homeserver_takes_back_what_is_its_own_users_and_no_other() {
    let house = house();
    let address = email("alice@example.org");
    house.bound(alice(), &address, "secret").await;
    let outcome = house.unbind_signed("two.test", &address, alice()).await;
    assert!(matches!(outcome, Err(UnbindError::NotTheirUser)));
    let outcome = house.unbind_signed("not a server", &address, alice()).await;
    assert!(matches!(
        outcome,
        Err(UnbindError::Homeserver(HomeserverError::Never(_)))
    ));
    house.unbind_signed("two.test", &address, bob()).await.unwrap();
    assert_eq!(house.owner(&address).await.as_deref(), Some(alice()));
    house.unbind_signed("one.test", &address, alice()).await.unwrap();
    assert!(house.owner(&address).await.is_none());
}

#[tokio::test]
async fn w07_a_session_does_not_bind_again_what_was_taken_back() {
    let house = house();
    let address = email("alice@example.org");
    let sid = house.proven(alice(), &address, "secret").await;
    let identity = &house.identity;
    identity
        .bind(Some(alice()), &sid, "secret", alice())
        .await
        .unwrap();
    house.unbind_signed("one.test", &address, alice()).await.unwrap();
    let before = house.rows().await;
    let outcome = identity.bind(Some(alice()), &sid, "secret", alice()).await;
    assert!(matches!(outcome, Err(BindError::Used)));
    assert_eq!(house.rows().await, before);
}
