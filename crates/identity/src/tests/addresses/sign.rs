use ruma::CanonicalJsonObject;
use serde_json::json;

use super::*;
use crate::{Secret, SignError};

impl House {
    /// What a client finds behind the link.
    async fn key_behind(&self, code: &str) -> Secret {
        self.identity.invitation_by_code(code).await.unwrap().private_key
    }
}

#[tokio::test]
async fn whoever_has_the_link_gets_a_signature_of_the_invitations_own_key() {
    let house = house();
    let (stored, code) = house.invited(&email("bob@example.org")).await;
    let key = house.key_behind(&code).await;
    let signed = house
        .identity
        .sign_ed25519(bob(), &stored.token, key.expose())
        .await
        .unwrap();
    assert_eq!(signed["mxid"], "@bob:two.test");
    assert_eq!(signed["sender"], "@alice:one.test");
    assert_eq!(signed["token"], stored.token);
    let keys = json!({ "id.test": { "ed25519:0": stored.public_keys[1].public_key } });
    let object: CanonicalJsonObject = serde_json::from_value(signed).unwrap();
    ruma::signatures::verify_json(&serde_json::from_value(keys).unwrap(), &object).unwrap();
}

#[tokio::test]
async fn t22_the_key_of_another_invitation_signs_nothing() {
    let house = house();
    let (mine, my_code) = house.invited(&email("mine@example.org")).await;
    let (theirs, _) = house.invited(&email("theirs@example.org")).await;
    let my_key = house.key_behind(&my_code).await;
    let before = house.rows().await;
    let garbage = "A".repeat(43);
    for (token, key) in [
        (&theirs.token, my_key.expose()),
        (&mine.token, garbage.as_str()),
        (&mine.token, "not base64"),
        (&mine.token, ""),
        (&"unknown".to_owned(), my_key.expose()),
        (&String::new(), my_key.expose()),
        (&my_code, my_key.expose()),
    ] {
        let outcome = house.identity.sign_ed25519(bob(), token, key).await;
        assert!(matches!(outcome, Err(SignError::NoInvitation)));
    }
    assert_eq!(house.rows().await, before);
}

#[tokio::test]
async fn t22_an_invitation_is_signed_for_one_user() {
    let house = house();
    let (stored, code) = house.invited(&email("bob@example.org")).await;
    let key = house.key_behind(&code).await;
    let first = house
        .identity
        .sign_ed25519(bob(), &stored.token, key.expose())
        .await
        .unwrap();
    let again = house
        .identity
        .sign_ed25519(bob(), &stored.token, key.expose())
        .await
        .unwrap();
    assert_eq!(first, again);
    let before = house.rows().await;
    let outcome = house
        .identity
        .sign_ed25519(alice(), &stored.token, key.expose())
        .await;
    assert!(matches!(outcome, Err(SignError::Used)));
    assert_eq!(house.rows().await, before);
}

#[tokio::test]
async fn t11_an_invitation_that_was_signed_for_one_is_not_delivered_to_another() {
    let house = house();
    let address = email("bob@example.org");
    let (stored, code) = house.invited(&address).await;
    let key = house.key_behind(&code).await;
    house
        .identity
        .sign_ed25519(bob(), &stored.token, key.expose())
        .await
        .unwrap();
    house.bound(alice(), &address, "secret").await;
    house.identity.deliver_due().await.unwrap();
    assert!(house.homeservers.take_told().is_empty());
}

#[tokio::test]
async fn t22_an_invitation_that_was_delivered_is_not_signed_for_another() {
    let house = house();
    let address = email("bob@example.org");
    let (stored, code) = house.invited(&address).await;
    let key = house.key_behind(&code).await;
    house.bound(bob(), &address, "secret").await;
    house.identity.deliver_due().await.unwrap();
    let outcome = house
        .identity
        .sign_ed25519(alice(), &stored.token, key.expose())
        .await;
    assert!(matches!(outcome, Err(SignError::Used)));
}

#[tokio::test]
async fn t11_an_invitation_whose_address_is_taken_is_not_signed_for_another() {
    let house = house();
    for (name, by_link) in [("one", true), ("two", false)] {
        let address = email(&format!("{name}@example.org"));
        let (stored, code) = house.invited(&address).await;
        let key = house.key_behind(&code).await;
        if by_link {
            house.identity.accept_by_code(&code, bob()).await.unwrap();
        } else {
            house.bound(bob(), &address, name).await;
        }
        let sign = async |mxid| {
            house
                .identity
                .sign_ed25519(mxid, &stored.token, key.expose())
                .await
        };
        assert!(matches!(sign(alice()).await, Err(SignError::Used)));
        sign(bob()).await.unwrap();
    }
}
