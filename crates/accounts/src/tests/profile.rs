use serde_json::{Value, json};

use super::{house, id};
use crate::{ProfileChange, ProfileError};

#[tokio::test]
async fn fields_are_set_and_taken_away() {
    let house = house();
    let alice = house.user("alice").await.user_id;
    let set = async |key: &str, value: Value| {
        house
            .accounts
            .set_profile_field(&alice, key, value)
            .await
            .unwrap()
    };
    assert_eq!(set("displayname", json!("Alice")).await, ProfileChange::Changed);
    assert_eq!(set("displayname", json!("Alice")).await, ProfileChange::Unchanged);
    set("m.tz", json!("Europe/Berlin")).await;
    set("org.example.pronouns", json!(["she", { "a": 1 }])).await;
    let profile = house.accounts.profile(&alice).await.unwrap().unwrap();
    assert_eq!(profile.displayname(), Some("Alice"));
    assert_eq!(profile.fields.len(), 3);
    for empty in [json!(""), json!(null)] {
        set("displayname", json!("Alice")).await;
        set("displayname", empty).await;
        let profile = house.accounts.profile(&alice).await.unwrap().unwrap();
        assert_eq!(profile.displayname(), None);
    }
    set("org.example.pronouns", json!(null)).await;
    let profile = house.accounts.profile(&alice).await.unwrap().unwrap();
    assert_eq!(
        profile.fields["org.example.pronouns"],
        json!(null),
        "a custom field may be null"
    );
    let deleted = house
        .accounts
        .delete_profile_field(&alice, "org.example.pronouns")
        .await;
    assert_eq!(deleted.unwrap(), ProfileChange::Changed);
    let profile = house.accounts.profile(&alice).await.unwrap().unwrap();
    assert_eq!(profile.fields.keys().collect::<Vec<_>>(), ["m.tz"]);
}

#[tokio::test]
async fn limits_of_a_profile_hold() {
    let house = house();
    let alice = house.user("alice").await.user_id;
    let set = async |key: &str, value: Value| house.accounts.set_profile_field(&alice, key, value).await;
    assert!(set("displayname", json!("é".repeat(256))).await.is_ok());
    let refused = [
        ("displayname", json!("é".repeat(257))),
        ("displayname", json!(3)),
        ("avatar_url", json!("x".repeat(1001))),
        ("m.tz", json!({})),
        ("nodot", json!(1)),
        ("Upper.case", json!(1)),
        ("a..b", json!(1)),
        (".a", json!(1)),
        ("", json!(1)),
    ];
    for (key, value) in refused {
        assert!(set(key, value).await.is_err(), "{key}");
    }
    let long_key = format!("a.{}", "b".repeat(254));
    assert!(matches!(
        set(&long_key, json!(1)).await,
        Err(ProfileError::KeyTooLarge)
    ));
    set("a.a", json!("x".repeat(40_000))).await.unwrap();
    let too_large = set("a.b", json!("x".repeat(40_000))).await;
    assert!(matches!(too_large, Err(ProfileError::TooLarge)), "{too_large:?}");
}

#[tokio::test]
async fn nobody_s_profile_is_none() {
    let house = house();
    assert_eq!(house.accounts.profile(&id("nobody")).await.unwrap(), None);
    let set = house
        .accounts
        .set_profile_field(&id("nobody"), "displayname", json!("x"))
        .await;
    assert!(matches!(set, Err(ProfileError::User(_))), "{set:?}");
}
