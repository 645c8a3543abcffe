use std::collections::BTreeMap;

use serde_json::json;

use super::{House, house_with, id};
use crate::{Policy, PolicyText};

fn policy(id: &str, version: &str) -> Policy {
    let text = |language: &str| PolicyText {
        name: format!("{id} in {language}"),
        url: format!("https://id.test/{id}-{version}-{language}"),
    };
    Policy {
        id: id.to_owned(),
        version: version.to_owned(),
        languages: BTreeMap::from([("en".to_owned(), text("en")), ("de".to_owned(), text("de"))]),
    }
}

fn house_with_policies() -> House {
    house_with(|config| config.policies = vec![policy("terms", "1"), policy("privacy", "2")])
}

async fn has_agreed(house: &House, name: &str) -> bool {
    let token = house.token(&id(name)).await;
    house
        .identity
        .authenticate(token.expose())
        .await
        .unwrap()
        .has_agreed
}

async fn agree(house: &House, name: &str, urls: &[&str]) {
    let urls: Vec<_> = urls.iter().map(|url| (*url).to_owned()).collect();
    house.identity.agree(&id(name), &urls).await.unwrap();
}

#[tokio::test]
async fn policies_are_described_in_all_languages() {
    let house = house_with(|config| config.policies = vec![policy("terms", "1")]);
    let described = json!({
        "terms": {
            "version": "1",
            "en": { "name": "terms in en", "url": "https://id.test/terms-1-en" },
            "de": { "name": "terms in de", "url": "https://id.test/terms-1-de" },
        }
    });
    assert_eq!(json!(house.identity.policies()), described);
}

#[tokio::test]
async fn everything_has_to_be_agreed_to_in_any_language_and_in_any_number_of_steps() {
    let house = house_with_policies();
    assert!(!has_agreed(&house, "alice").await);
    agree(
        &house,
        "alice",
        &["https://id.test/terms-1-de", "https://elsewhere.test/"],
    )
    .await;
    assert!(!has_agreed(&house, "alice").await);
    agree(&house, "alice", &["https://id.test/privacy-2-en"]).await;
    assert!(has_agreed(&house, "alice").await);
    assert!(!has_agreed(&house, "bob").await, "everybody for themselves");
}

#[tokio::test]
async fn a_new_version_has_to_be_agreed_to_anew() {
    let house = house_with_policies();
    agree(
        &house,
        "alice",
        &["https://id.test/terms-1-en", "https://id.test/privacy-2-en"],
    )
    .await;
    let (store, clock) = (&house.store, &house.clock);
    let later = super::identity(store, clock, house.homeservers.clone(), |config| {
        config.policies = vec![policy("terms", "1"), policy("privacy", "3")];
    });
    assert!(!later.has_agreed(&id("alice")).await.unwrap());
    let urls = ["https://id.test/privacy-2-en".to_owned()];
    later.agree(&id("alice"), &urls).await.unwrap();
    assert!(
        !later.has_agreed(&id("alice")).await.unwrap(),
        "the old text is not the new one"
    );
    let urls = ["https://id.test/privacy-3-en".to_owned()];
    later.agree(&id("alice"), &urls).await.unwrap();
    assert!(later.has_agreed(&id("alice")).await.unwrap());
}
