use serde_json::{Value, json};

use super::{house, id, object};
use crate::{FilterError, filters::check_filter};

#[tokio::test]
async fn equal_filters_share_an_id_and_can_be_read_back() {
    let house = house();
    let filter = json!({ "room": { "timeline": { "limit": 10 } }, "org.example": [1] });
    let define = async |filter: &Value| {
        house
            .accounts
            .define_filter(&id("alice"), &object(filter.clone()))
            .await
            .unwrap()
    };
    let first = define(&filter).await;
    assert_eq!(first, define(&filter).await);
    assert_ne!(first, define(&json!({})).await);
    assert!(!first.starts_with('{'));
    let stored = house
        .accounts
        .filter(&id("alice"), &first)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(serde_json::from_str::<Value>(&stored).unwrap(), filter);
    assert!(house.accounts.filter(&id("bob"), &first).await.unwrap().is_none());
}

#[tokio::test]
async fn a_filter_of_more_than_64_kib_is_refused() {
    let house = house();
    let filter = object(json!({ "x": "y".repeat(65_536) }));
    let defined = house.accounts.define_filter(&id("alice"), &filter).await;
    assert!(matches!(defined, Err(FilterError::TooLarge)), "{defined:?}");
}

#[test]
fn known_fields_must_have_their_types() {
    let refused = [
        json!({ "room": [] }),
        json!({ "room": { "rooms": "!a:b" } }),
        json!({ "room": { "rooms": ["nonsense"] } }),
        json!({ "room": { "timeline": { "limit": "10" } } }),
        json!({ "room": { "timeline": { "limit": -1 } } }),
        json!({ "room": { "timeline": { "types": [1] } } }),
        json!({ "room": { "state": { "lazy_load_members": "yes" } } }),
        json!({ "presence": { "senders": ["alice"] } }),
        json!({ "event_format": "xml" }),
        json!({ "event_fields": "content" }),
    ];
    for filter in refused {
        assert!(check_filter(&object(filter.clone())).is_err(), "{filter}");
    }
    let accepted = json!({
        "event_fields": ["content.body"], "event_format": "client",
        "presence": { "not_types": ["*"], "senders": ["@a:b"] },
        "room": { "not_rooms": ["!a:b"], "include_leave": true, "timeline": { "limit": 1, "contains_url": null } },
    });
    assert!(check_filter(&object(accepted)).is_ok());
}
