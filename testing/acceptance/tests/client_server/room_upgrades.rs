//! `room_upgrades.yaml`

use gatehouse_testkit::{started, user::escaped};
use serde_json::json;

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
