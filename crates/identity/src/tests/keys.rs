use gatehouse_events::json::canonical_object;
use gatehouse_store::Range;
use ruma::serde::Base64;
use ruma::signatures::{PublicKeyMap, PublicKeySet};
use serde_json::{Value, json};

use super::{House, house, house_with, identity};
use crate::{RevokeKeyError, SealingKey, tables::KEYS};

async fn key(house: &House, id: &str) -> Option<String> {
    house.identity.public_key(id).await.unwrap()
}

async fn is_valid(house: &House, key: &str) -> bool {
    house.identity.is_valid(key).await.unwrap()
}

fn verifies(signed: &Value, id: &str, public_key: &str) -> bool {
    let Value::Object(fields) = signed.clone() else {
        return false;
    };
    let key = Base64::parse(public_key).unwrap();
    let keys = PublicKeyMap::from([("id.test".to_owned(), PublicKeySet::from([(id.to_owned(), key)]))]);
    ruma::signatures::verify_json(&keys, &canonical_object(fields).unwrap()).is_ok()
}

#[tokio::test]
async fn the_first_key_is_called_zero_and_stays_over_a_restart() {
    let house = house();
    let first = key(&house, "ed25519:0").await.unwrap();
    assert!(is_valid(&house, &first).await);
    let again = identity(&house.store, &house.clock, house.homeservers.clone(), |_| ());
    assert_eq!(again.public_key("ed25519:0").await.unwrap(), Some(first));
    for unknown in ["ed25519:1", "ed25519:00", "ed25519:", "0", ""] {
        assert_eq!(key(&house, unknown).await, None, "{unknown}");
    }
    for unknown in ["", "AAAA", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"] {
        assert!(!is_valid(&house, unknown).await, "{unknown}");
    }
}

#[tokio::test]
async fn what_is_signed_verifies_with_the_published_key() {
    let house = house();
    let signed = house
        .identity
        .sign(json!({ "mxid": "@a:b", "ts": 1 }))
        .await
        .unwrap();
    let public_key = key(&house, "ed25519:0").await.unwrap();
    assert!(verifies(&signed, "ed25519:0", &public_key));
    assert_eq!(signed["mxid"], "@a:b");
    let mut forged = signed.clone();
    forged["mxid"] = json!("@c:b");
    assert!(!verifies(&forged, "ed25519:0", &public_key));
}

#[tokio::test]
async fn after_a_rotation_the_new_key_signs_and_the_old_one_counts() {
    let house = house();
    let old = key(&house, "ed25519:0").await.unwrap();
    assert_eq!(house.identity.rotate_key().await.unwrap(), "ed25519:1");
    let new = key(&house, "ed25519:1").await.unwrap();
    assert_ne!(old, new);
    assert_eq!(house.identity.current_public_key().await.unwrap(), new);
    let signed = house.identity.sign(json!({})).await.unwrap();
    assert!(verifies(&signed, "ed25519:1", &new));
    assert!(is_valid(&house, &old).await && is_valid(&house, &new).await);
}

#[tokio::test]
async fn a_revoked_key_counts_no_more_and_another_signs() {
    let house = house();
    let first = key(&house, "ed25519:0").await.unwrap();
    house.identity.revoke_key("ed25519:0").await.unwrap();
    assert!(!is_valid(&house, &first).await);
    assert_eq!(key(&house, "ed25519:0").await, None);
    let second = house.identity.current_public_key().await.unwrap();
    assert_eq!(key(&house, "ed25519:1").await.as_ref(), Some(&second));
    house.identity.rotate_key().await.unwrap();
    house.identity.revoke_key("ed25519:1").await.unwrap();
    assert_eq!(
        house.identity.keys().await.unwrap().len(),
        3,
        "no key is made when an old one is revoked"
    );
    house.identity.revoke_key("ed25519:1").await.unwrap();
    let unknown = house.identity.revoke_key("ed25519:7").await;
    assert!(matches!(unknown, Err(RevokeKeyError::NotFound)));
    let revoked: Vec<_> = house
        .identity
        .keys()
        .await
        .unwrap()
        .iter()
        .map(|key| key.is_revoked)
        .collect();
    assert_eq!(revoked, [true, true, false]);
}

#[tokio::test]
async fn two_nodes_that_start_at_once_have_one_key() {
    let house = house();
    let other = identity(&house.store, &house.clock, house.homeservers.clone(), |_| ());
    let (one, two) = tokio::join!(house.identity.current_public_key(), other.current_public_key());
    assert_eq!(one.unwrap(), two.unwrap());
    assert_eq!(house.identity.keys().await.unwrap().len(), 1);
}

#[tokio::test]
async fn private_keys_are_stored_sealed_and_another_seal_means_another_key() {
    let sealed_with =
        |byte| move |config: &mut crate::Config| config.sealing_key = Some(SealingKey::new([byte; 32]));
    let house = house_with(sealed_with(1));
    let first = house.identity.current_public_key().await.unwrap();
    let rows = house.identity.scan(&KEYS, &Range::all(), 10).await.unwrap();
    assert!(!serde_json::to_string(&rows[0].1).unwrap().contains("Open"));
    let again = identity(
        &house.store,
        &house.clock,
        house.homeservers.clone(),
        sealed_with(1),
    );
    assert_eq!(again.current_public_key().await.unwrap(), first);
    let other = identity(
        &house.store,
        &house.clock,
        house.homeservers.clone(),
        sealed_with(2),
    );
    let second = other.current_public_key().await.unwrap();
    assert_ne!(second, first);
    assert!(is_valid(&house, &first).await && is_valid(&house, &second).await);
    assert_eq!(key(&house, "ed25519:1").await, Some(second));
}
