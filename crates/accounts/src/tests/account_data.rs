use gatehouse_store::Position;
use ruma::room_id;
use serde_json::{json, value::RawValue};

use super::{House, house, id, object};
use crate::AccountDataError;

async fn set(house: &House, kind: &str, content: &str) -> Result<Position, AccountDataError> {
    let content = RawValue::from_string(content.to_owned()).unwrap();
    house
        .accounts
        .set_account_data(&id("alice"), None, kind, &content)
        .await
}

async fn since(house: &House, after: Position) -> Vec<(String, String)> {
    let through = house.store.position();
    let changes = house
        .accounts
        .account_data_since(&id("alice"), after, through)
        .await
        .unwrap();
    changes
        .into_iter()
        .map(|data| (data.kind, data.content.get().to_owned()))
        .collect()
}

#[tokio::test]
async fn what_changed_comes_once_and_in_order() {
    let house = house();
    let start = house.store.position();
    let first = set(&house, "a", r#"{"n":1}"#).await.unwrap();
    set(&house, "b", r#"{"n":2}"#).await.unwrap();
    let last = set(&house, "a", r#"{"n":3}"#).await.unwrap();
    assert!(first < last && last == house.store.position());
    let change = |kind: &str, content: &str| (kind.to_owned(), content.to_owned());
    let (a, b) = (change("a", r#"{"n":3}"#), change("b", r#"{"n":2}"#));
    assert_eq!(since(&house, start).await, [b.clone(), a.clone()]);
    assert_eq!(since(&house, first).await, [b, a]);
    assert_eq!(since(&house, last).await, []);
    let earlier = house
        .accounts
        .account_data_since(&id("alice"), start, first)
        .await
        .unwrap();
    assert!(earlier.is_empty(), "a has changed since, and comes later");
}

#[tokio::test]
async fn rooms_and_users_are_apart() {
    let house = house();
    set(&house, "a", "{}").await.unwrap();
    let room = room_id!("!r:house.test");
    let content = RawValue::from_string("{\"in\":\"room\"}".to_owned()).unwrap();
    house
        .accounts
        .set_account_data(&id("alice"), Some(room), "a", &content)
        .await
        .unwrap();
    house
        .accounts
        .set_account_data(&id("alicea"), None, "b", &content)
        .await
        .unwrap();
    let all = house.accounts.all_account_data(&id("alice")).await.unwrap();
    assert_eq!(all.len(), 2);
    let in_room = house
        .accounts
        .room_account_data(&id("alice"), room)
        .await
        .unwrap();
    assert_eq!(in_room.len(), 1);
    assert_eq!(in_room[0].room_id.as_deref(), Some(room));
    let none = house.accounts.account_data(&id("bob"), None, "a").await.unwrap();
    assert!(none.is_none());
}

#[tokio::test]
async fn values_are_bounded_alone_and_together() {
    let house = house();
    for kind in ["m.push_rules", "m.fully_read"] {
        assert!(matches!(
            set(&house, kind, "{}").await,
            Err(AccountDataError::ReadOnly)
        ));
    }
    for content in ["[]", "1", "\"x\"", "null"] {
        assert!(matches!(
            set(&house, "a", content).await,
            Err(AccountDataError::NotAnObject)
        ));
    }
    let of = |bytes: usize| format!("{{\"a\":\"{}\"}}", "x".repeat(bytes - 8));
    assert!(matches!(
        set(&house, "a", &of(1024 * 1024 + 1)).await,
        Err(AccountDataError::TooLarge)
    ));
    for n in 0..15 {
        set(&house, &format!("k{n}"), &of(1024 * 1024)).await.unwrap();
    }
    assert!(matches!(
        set(&house, "k15", &of(1024 * 1024)).await,
        Err(AccountDataError::TooLarge)
    ));
    set(&house, "k3", "{}").await.unwrap();
    set(&house, "k15", &of(1024 * 1024)).await.unwrap();
}

#[tokio::test]
async fn concurrent_tags_are_all_kept() {
    let house = house();
    let room = room_id!("!r:house.test");
    let tag = |n: u32| {
        let (accounts, content) = (house.accounts.clone(), object(json!({ "order": 0.5 })));
        async move {
            accounts
                .set_tag(&id("alice"), room, &format!("u.{n}"), &content)
                .await
        }
    };
    let (a, b, c) = tokio::join!(tag(1), tag(2), tag(3));
    assert!(a.is_ok() && b.is_ok() && c.is_ok());
    house
        .accounts
        .remove_tag(&id("alice"), room, "u.2")
        .await
        .unwrap();
    house
        .accounts
        .remove_tag(&id("alice"), room, "u.2")
        .await
        .unwrap();
    let tags = house.accounts.tags(&id("alice"), room).await.unwrap();
    assert_eq!(tags.keys().collect::<Vec<_>>(), ["u.1", "u.3"]);
    let long = house
        .accounts
        .set_tag(&id("alice"), room, &"x".repeat(256), &object(json!({})))
        .await;
    assert!(long.is_err());
}
