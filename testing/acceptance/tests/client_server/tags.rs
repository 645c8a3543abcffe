//! `tags.yaml`

use gatehouse_testkit::{User, started, user::escaped};
use serde_json::json;

fn path(user: &User<'_>, room: &str) -> String {
    format!("/user/{}/rooms/{}/tags", escaped(&user.id), escaped(room))
}

#[tokio::test]
async fn tags_are_set_replaced_and_removed_and_seen_in_a_sync() {
    let server = started().await;
    let alice = server.user("alice").await;
    let room = alice.public_room().await;
    let tags = path(&alice, &room);
    assert_eq!(alice.get(&tags).await.ok(), json!({ "tags": {} }));
    let since = alice.sync("", 0).await;
    for (tag, order) in [("m.favourite", 0.1), ("u.work", 0.9), ("u.work", 0.5)] {
        alice
            .put(&format!("{tags}/{tag}"), json!({ "order": order }))
            .await
            .ok();
    }
    let both = json!({ "m.favourite": { "order": 0.1 }, "u.work": { "order": 0.5 } });
    assert_eq!(alice.get(&tags).await.ok(), json!({ "tags": both }));
    let sync = alice.sync(since["next_batch"].as_str().unwrap(), 0).await;
    assert_eq!(
        sync["rooms"]["join"][&room]["account_data"]["events"],
        json!([{ "type": "m.tag", "content": { "tags": both } }])
    );
    for _ in 0..2 {
        alice.delete(&format!("{tags}/u.work")).await.ok();
    }
    let left = json!({ "tags": { "m.favourite": { "order": 0.1 } } });
    assert_eq!(alice.get(&tags).await.ok(), left);
}

#[tokio::test]
async fn tags_are_ones_own() {
    let server = started().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let room = alice.public_room().await;
    bob.join(&room).await.ok();
    let tags = path(&alice, &room);
    alice.put(&format!("{tags}/u.mine"), json!({})).await.ok();
    bob.get(&tags).await.refused(403, "M_FORBIDDEN");
    bob.put(&format!("{tags}/u.yours"), json!({}))
        .await
        .refused(403, "M_FORBIDDEN");
    bob.delete(&format!("{tags}/u.mine"))
        .await
        .refused(403, "M_FORBIDDEN");
    assert_eq!(alice.get(&tags).await.ok(), json!({ "tags": { "u.mine": {} } }));
    assert_eq!(bob.get(&path(&bob, &room)).await.ok(), json!({ "tags": {} }));
}

#[tokio::test]
async fn names_of_tags_are_bounded() {
    let server = started().await;
    let alice = server.user("alice").await;
    let room = alice.public_room().await;
    let tags = path(&alice, &room);
    let longest = "u".repeat(255);
    alice.put(&format!("{tags}/{longest}"), json!({})).await.ok();
    alice
        .put(&format!("{tags}/{longest}u"), json!({}))
        .await
        .refused(400, "M_INVALID_PARAM");
}
