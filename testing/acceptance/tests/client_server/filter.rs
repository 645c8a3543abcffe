//! `filter.yaml`

use gatehouse_testkit::{User, started, user::escaped};
use serde_json::{Value, json};

fn path(user: &User<'_>) -> String {
    format!("/user/{}/filter", escaped(&user.id))
}

#[tokio::test]
async fn a_stored_filter_comes_back_and_filters() {
    let server = started().await;
    let alice = server.user("alice").await;
    let room = alice.public_room().await;
    alice.say(&room, "1", "hello").await;
    let filter = json!({ "room": { "timeline": { "limit": 3, "types": ["m.room.create"] } } });
    let stored = alice.post(&path(&alice), filter.clone()).await.ok();
    let id = stored["filter_id"].as_str().unwrap();
    assert!(!id.starts_with('{'), "{id}");
    let got = alice.get(&format!("{}/{id}", path(&alice))).await.ok();
    assert_eq!(got, filter);
    let sync = alice.get(&format!("/sync?filter={id}")).await.ok();
    let timeline = &sync["rooms"]["join"][&room]["timeline"]["events"];
    let kinds: Vec<&Value> = timeline
        .as_array()
        .unwrap()
        .iter()
        .map(|event| &event["type"])
        .collect();
    assert_eq!(kinds, ["m.room.create"]);
}

#[tokio::test]
async fn filters_are_ones_own() {
    let server = started().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let stored = alice.post(&path(&alice), json!({})).await.ok();
    let id = stored["filter_id"].as_str().unwrap();
    bob.post(&path(&alice), json!({}))
        .await
        .refused(403, "M_FORBIDDEN");
    bob.get(&format!("{}/{id}", path(&alice)))
        .await
        .refused(403, "M_FORBIDDEN");
    bob.get(&format!("{}/{id}", path(&bob)))
        .await
        .refused(404, "M_NOT_FOUND");
}

#[tokio::test]
async fn bad_and_large_filters_are_refused() {
    let server = started().await;
    let alice = server.user("alice").await;
    for bad in [
        json!({ "room": [] }),
        json!({ "room": { "timeline": { "limit": "many" } } }),
        json!({ "presence": { "types": "m.presence" } }),
        json!([]),
    ] {
        alice.post(&path(&alice), bad).await.refused(400, "M_BAD_JSON");
    }
    let types: Vec<String> = (0..20_000)
        .map(|number| format!("org.example.{number}"))
        .collect();
    let large = json!({ "presence": { "types": types } });
    alice.post(&path(&alice), large).await.refused(413, "M_TOO_LARGE");
    for unknown in ["0000", "nothing", "%00"] {
        alice
            .get(&format!("{}/{unknown}", path(&alice)))
            .await
            .refused(404, "M_NOT_FOUND");
    }
}
