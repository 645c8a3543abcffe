//! Aliases, published rooms and profiles of other servers.

use gatehouse_testkit::user::escaped;
use serde_json::json;

use crate::town::{Town, join_via, server_of};

#[tokio::test]
async fn an_alias_of_another_server_leads_to_its_room() {
    let town = Town::new().await;
    let (alice, bob) = town.people().await;
    let room = alice
        .create_room(json!({ "preset": "public_chat", "room_alias_name": "tea" }))
        .await;
    let alias = format!("#tea:{}", server_of(&alice));
    let found = bob
        .get(&format!("/directory/room/{}", escaped(&alias)))
        .await
        .ok();
    assert_eq!(found["room_id"], room.as_str());
    let servers = found["servers"].as_array().unwrap();
    assert!(servers.contains(&json!(server_of(&alice))), "{found}");
    let nothing = format!("#nothing:{}", server_of(&alice));
    bob.get(&format!("/directory/room/{}", escaped(&nothing)))
        .await
        .refused(404, "M_NOT_FOUND");
}

#[tokio::test]
async fn the_published_rooms_of_another_server_can_be_read() {
    let town = Town::new().await;
    let (alice, bob) = town.people().await;
    let room = alice
        .create_room(json!({ "preset": "public_chat", "visibility": "public", "name": "Tea" }))
        .await;
    let path = format!("/publicRooms?server={}", escaped(&server_of(&alice)));
    let list = bob.get(&path).await.ok();
    assert_eq!(list["chunk"][0]["room_id"], room.as_str(), "{list}");
    assert_eq!(list["chunk"][0]["name"], "Tea");
    let search = json!({ "filter": { "generic_search_term": "tea" } });
    let list = bob.post(&path, search).await.ok();
    assert_eq!(list["chunk"][0]["room_id"], room.as_str(), "{list}");
    let search = json!({ "filter": { "generic_search_term": "coffee" } });
    let list = bob.post(&path, search).await.ok();
    assert_eq!(list["chunk"], json!([]));
}

#[tokio::test]
async fn the_name_of_a_user_of_another_server_can_be_looked_up() {
    let town = Town::new().await;
    let (alice, bob) = town.people().await;
    alice
        .put(
            &format!("/profile/{}/displayname", escaped(&alice.id)),
            json!({ "displayname": "Alice of Here" }),
        )
        .await
        .ok();
    let profile = bob.get(&format!("/profile/{}", escaped(&alice.id))).await.ok();
    assert_eq!(profile["displayname"], "Alice of Here");
    let name = bob
        .get(&format!("/profile/{}/displayname", escaped(&alice.id)))
        .await
        .ok();
    assert_eq!(name, json!({ "displayname": "Alice of Here" }));
    let nobody = format!("@nobody:{}", server_of(&alice));
    bob.get(&format!("/profile/{}", escaped(&nobody)))
        .await
        .refused(404, "M_NOT_FOUND");
}

#[tokio::test]
async fn the_aliases_of_an_upgraded_room_lead_to_the_new_one_on_every_server_that_has_joined_it() {
    let town = Town::new().await;
    let (alice, bob) = town.people().await;
    let room = alice
        .create_room(json!({
            "preset": "public_chat",
            "power_level_content_override": { "users": { bob.id.as_str(): 100, alice.id.as_str(): 100 } },
            "room_version": "11",
        }))
        .await;
    join_via(&bob, &room, &alice).await.ok();
    let alias = format!(
        "/directory/room/{}",
        escaped(&format!("#tea:{}", server_of(&bob)))
    );
    bob.put(&alias, json!({ "room_id": room })).await.ok();
    let published = format!("/directory/list/room/{}", escaped(&room));
    bob.put(&published, json!({ "visibility": "public" })).await.ok();
    let upgrade = format!("/rooms/{}/upgrade", escaped(&room));
    let upgraded = alice.post(&upgrade, json!({ "new_version": "12" })).await.ok();
    let new = upgraded["replacement_room"].as_str().unwrap();
    bob.sync_until("the tombstone", |sync| {
        sync.to_string().contains("m.room.tombstone")
    })
    .await;
    assert_eq!(bob.get(&alias).await.ok()["room_id"], room.as_str());
    join_via(&bob, new, &alice).await.ok();
    assert_eq!(bob.get(&alias).await.ok()["room_id"], new);
    let list = bob.get("/publicRooms").await.ok();
    assert_eq!(list["chunk"].as_array().unwrap().len(), 1, "{list}");
    assert_eq!(list["chunk"][0]["room_id"], new);
}
