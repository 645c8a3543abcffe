//! `room_upgrades.yaml`

use gatehouse_testkit::{User, started, user::escaped};
use serde_json::{Value, json};

use crate::snapshot;

#[tokio::test]
async fn a_room_is_replaced_by_one_with_its_rules_name_and_aliases() {
    let server = started().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let old = alice
        .create_room(json!({
            "preset": "public_chat", "visibility": "public", "room_version": "11", "room_alias_name": "tea",
            "name": "Tea", "topic": "All of it", "power_level_content_override": { "invite": 7 },
        }))
        .await;
    bob.join(&old).await.ok();
    let path = format!("/rooms/{}/upgrade", escaped(&old));
    let answer = alice.post(&path, json!({ "new_version": "12" })).await.ok();
    let new = answer["replacement_room"].as_str().unwrap();
    let create = alice.state(new, "m.room.create", "").await.ok();
    assert_eq!(create["room_version"], "12");
    assert_eq!(create["predecessor"]["room_id"], old.as_str());
    for (kind, field, value) in [
        ("m.room.name", "name", json!("Tea")),
        ("m.room.topic", "topic", json!("All of it")),
        ("m.room.join_rules", "join_rule", json!("public")),
        ("m.room.power_levels", "invite", json!(7)),
    ] {
        assert_eq!(alice.state(new, kind, "").await.ok()[field], value, "{kind}");
    }
    let tombstone = alice.state(&old, "m.room.tombstone", "").await.ok();
    assert_eq!(tombstone["replacement_room"], new);
    let send = format!("/rooms/{}/send/m.room.message/1", escaped(&old));
    bob.put(&send, json!({ "body": "x" }))
        .await
        .forbidden("power level");
    let alias = alice
        .get(&format!("/directory/room/{}", escaped("#tea:test.example")))
        .await
        .ok();
    assert_eq!(alias["room_id"], new);
    let listed = alice.get("/publicRooms").await.ok();
    assert_eq!(listed["chunk"].as_array().unwrap().len(), 1);
    assert_eq!(listed["chunk"][0]["room_id"], new);
    bob.join(new).await.ok();
}

#[tokio::test]
async fn upgrading_takes_power_a_known_version_and_a_room() {
    let server = started().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let room = alice.public_room().await;
    bob.join(&room).await.ok();
    let before = snapshot::of(&alice, &room).await;
    let path = format!("/rooms/{}/upgrade", escaped(&room));
    alice
        .post(&path, json!({ "new_version": "bogus" }))
        .await
        .refused(400, "M_UNSUPPORTED_ROOM_VERSION");
    alice.post(&path, json!({})).await.refused(400, "M_MISSING_PARAM");
    bob.post(&path, json!({ "new_version": "12" }))
        .await
        .forbidden("power level");
    let nowhere = format!("/rooms/{}/upgrade", escaped("!nowhere:test.example"));
    bob.post(&nowhere, json!({ "new_version": "12" }))
        .await
        .refused(404, "M_NOT_FOUND");
    assert_eq!(snapshot::of(&alice, &room).await, before);
    assert_eq!(
        bob.get("/joined_rooms").await.ok()["joined_rooms"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

/// What the user's data says of direct chats and of a room's tags.
async fn own_data(user: &User<'_>, room: &str) -> (Value, Value) {
    let path = format!("/user/{}/account_data/m.direct", escaped(&user.id));
    let direct = user.get(&path).await.body;
    let path = format!("/user/{}/rooms/{}/tags", escaped(&user.id), escaped(room));
    (direct, user.get(&path).await.ok()["tags"].clone())
}

async fn mark(user: &User<'_>, other: &str, room: &str) {
    let path = format!("/user/{}/account_data/m.direct", escaped(&user.id));
    user.put(&path, json!({ other: [room] })).await.ok();
    let path = format!(
        "/user/{}/rooms/{}/tags/m.favourite",
        escaped(&user.id),
        escaped(room)
    );
    user.put(&path, json!({ "order": 0.5 })).await.ok();
}

#[tokio::test]
async fn direct_chats_and_tags_go_along_with_everybody_who_comes() {
    let server = started().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    for version in ["11", "12"] {
        let old = alice.public_room().await;
        bob.join(&old).await.ok();
        mark(&alice, &bob.id, &old).await;
        mark(&bob, &alice.id, &old).await;
        let path = format!("/rooms/{}/upgrade", escaped(&old));
        let answer = alice.post(&path, json!({ "new_version": version })).await.ok();
        let new = answer["replacement_room"].as_str().unwrap();
        bob.join(new).await.ok();
        bob.join(new).await.ok();
        for (user, other) in [(&alice, &bob), (&bob, &alice)] {
            let (direct, tags) = own_data(user, new).await;
            assert_eq!(direct, json!({ &other.id: [old, new] }), "{version}");
            assert_eq!(tags, json!({ "m.favourite": { "order": 0.5 } }), "{version}");
        }
    }
}

#[tokio::test]
async fn room_that_only_claims_to_replace_another_gets_none_of_its_data() {
    let server = started().await;
    let (alice, mallory) = (server.user("alice").await, server.user("mallory").await);
    let old = alice.public_room().await;
    mark(&alice, "@bob:test.example", &old).await;
    let claim = json!({ "predecessor": { "room_id": old } });
    let new = mallory
        .create_room(json!({ "preset": "public_chat", "creation_content": claim }))
        .await;
    alice.join(&new).await.ok();
    let (direct, tags) = own_data(&alice, &new).await;
    assert_eq!(direct, json!({ "@bob:test.example": [old] }));
    assert_eq!(tags, json!({}));
}
