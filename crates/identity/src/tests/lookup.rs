use std::{collections::BTreeMap, time::Duration};

use gatehouse_mail::Threepid;

use super::{hash, house, house_with, id};
use crate::{
    LookupError, LookupRequest,
    lookup::{NONE, SHA256},
};

fn request<'a>(pepper: &'a str, addresses: &'a [String]) -> LookupRequest<'a> {
    LookupRequest {
        algorithm: SHA256,
        pepper,
        addresses,
    }
}

#[tokio::test]
async fn bound_addresses_are_found_by_their_hashes() {
    let house = house();
    house.bind("alice@a.test", Some(&id("alice"))).await;
    house.bind("bob@a.test", Some(&id("bob"))).await;
    let found = house
        .owners(&["alice@a.test", "bob@a.test", "carol@a.test"])
        .await;
    let expected = [("alice@a.test", id("alice")), ("bob@a.test", id("bob"))];
    assert_eq!(
        found,
        BTreeMap::from(expected.map(|(address, user)| (address.to_owned(), user)))
    );
    house.bind("alice@a.test", Some(&id("bob"))).await;
    assert_eq!(house.owners(&["alice@a.test"]).await["alice@a.test"], id("bob"));
    house.bind("alice@a.test", None).await;
    assert!(house.owners(&["alice@a.test"]).await.is_empty());
}

#[tokio::test]
async fn what_is_no_hash_matches_nothing_and_harms_nothing() {
    let house = house();
    house.bind("alice@a.test", Some(&id("alice"))).await;
    let pepper = house.identity.hash_details().await.unwrap().lookup_pepper;
    let good = hash("alice@a.test", &pepper);
    let addresses = [
        good.clone(),
        good.clone(),
        format!("{good}="),
        format!("{good} "),
        good[1..].to_owned(),
        String::new(),
        "alice@a.test email".to_owned(),
        "ä".repeat(100),
        "\0".to_owned(),
    ];
    let found = house
        .identity
        .lookup(&id("x"), &request(&pepper, &addresses))
        .await
        .unwrap();
    assert_eq!(found, BTreeMap::from([(good, id("alice"))]));
    assert!(
        house
            .identity
            .lookup(&id("x"), &request(&pepper, &[]))
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn t23_addresses_as_they_are_can_be_looked_up_only_where_allowed() {
    let addresses = [
        "alice@a.test email",
        "Alice@A.test email",
        "alice@a.test",
        "447700900001 msisdn",
    ]
    .map(ToOwned::to_owned);
    for allowed in [false, true] {
        let house = house_with(|config| config.lookup.allow_unhashed = allowed);
        house.bind("alice@a.test", Some(&id("alice"))).await;
        let details = house.identity.hash_details().await.unwrap();
        let unhashed = LookupRequest {
            algorithm: NONE,
            ..request(&details.lookup_pepper, &addresses)
        };
        let found = house.identity.lookup(&id("x"), &unhashed).await;
        if allowed {
            assert_eq!(details.algorithms, ["sha256", "none"]);
            let found: Vec<_> = found.unwrap().into_keys().collect();
            assert_eq!(found, ["Alice@A.test email", "alice@a.test email"]);
        } else {
            assert_eq!(details.algorithms, ["sha256"]);
            assert!(matches!(found, Err(LookupError::UnknownAlgorithm)), "{found:?}");
        }
    }
}

#[tokio::test]
async fn unknown_algorithms_and_peppers_are_refused_with_the_current_pepper() {
    let house = house();
    let pepper = house.identity.hash_details().await.unwrap().lookup_pepper;
    let other = LookupRequest {
        algorithm: "md5",
        ..request(&pepper, &[])
    };
    let refused = house.identity.lookup(&id("x"), &other).await;
    assert!(matches!(refused, Err(LookupError::UnknownAlgorithm)));
    let refused = house
        .identity
        .lookup(&id("x"), &request("matrixrocks", &[]))
        .await;
    assert!(matches!(refused, Err(LookupError::InvalidPepper { lookup_pepper }) if lookup_pepper == pepper));
}

#[tokio::test]
async fn t23_a_request_and_a_day_have_bounds() {
    let house = house_with(|config| {
        config.lookup.max_addresses = 100;
        config.lookup.addresses_per_day = 250;
    });
    let pepper = house.identity.hash_details().await.unwrap().lookup_pepper;
    let hashes: Vec<_> = (0..101).map(|n| hash(&format!("u{n}@a.test"), &pepper)).collect();
    let lookup = async |name: &str, pepper: &str, hashes: &[String]| {
        house.identity.lookup(&id(name), &request(pepper, hashes)).await
    };
    let refused = lookup("alice", &pepper, &hashes).await;
    assert!(matches!(refused, Err(LookupError::TooManyAddresses { max: 100 })));
    for _ in 0..10 {
        lookup("alice", "old", &hashes[..100]).await.unwrap_err();
    }
    for _ in 0..2 {
        lookup("alice", &pepper, &hashes[..100]).await.unwrap();
    }
    let refused = lookup("alice", &pepper, &hashes[..100]).await;
    let Err(LookupError::OverBudget { retry_after_ms }) = refused else {
        panic!("{refused:?}");
    };
    lookup("bob", &pepper, &hashes[..100]).await.unwrap();
    house.clock.advance(Duration::from_millis(retry_after_ms));
    lookup("alice", &pepper, &hashes[..100]).await.unwrap();
}

#[tokio::test]
async fn t23_a_pepper_cannot_be_guessed() {
    let house = house();
    let pepper = house.identity.hash_details().await.unwrap().lookup_pepper;
    assert!(pepper.len() == 32 && pepper.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    let other = super::house()
        .identity
        .hash_details()
        .await
        .unwrap()
        .lookup_pepper;
    assert_ne!(pepper, other);
}

#[tokio::test]
async fn t23_lookups_are_counted_however_few_addresses_are_in_them() {
    let house = house_with(|config| config.rates.enabled = true);
    let pepper = house.identity.hash_details().await.unwrap().lookup_pepper;
    let lookup = async || house.identity.lookup(&id("alice"), &request(&pepper, &[])).await;
    for _ in 0..10 {
        lookup().await.unwrap();
    }
    let refused = lookup().await;
    assert!(
        matches!(
            refused,
            Err(LookupError::OverBudget {
                retry_after_ms: 1_000
            })
        ),
        "{refused:?}"
    );
    house.clock.advance(Duration::from_secs(1));
    lookup().await.unwrap();
}

#[tokio::test]
async fn t23_whoever_has_no_account_gets_signed_associations_up_to_a_bound() {
    let house = house_with(|config| {
        config.lookup.max_addresses = 1;
        config.lookup.addresses_per_day = 2;
    });
    house.bind("alice@a.test", Some(&id("alice"))).await;
    let lookup = async |asker: &str, address: &str| {
        let threepid = Threepid::email(address).unwrap();
        house
            .identity
            .lookup_association(asker.parse().unwrap(), &threepid)
            .await
    };
    let found = lookup("192.0.2.1", "Alice@a.test").await.unwrap().unwrap();
    assert_eq!(found["mxid"], "@alice:house.test");
    assert!(found["signatures"]["id.test"]["ed25519:0"].is_string());
    assert_eq!(lookup("192.0.2.1", "bob@a.test").await.unwrap(), None);
    let refused = lookup("192.0.2.1", "carol@a.test").await;
    assert!(matches!(refused, Err(LookupError::OverBudget { .. })));
    lookup("192.0.2.2", "carol@a.test").await.unwrap();
}
