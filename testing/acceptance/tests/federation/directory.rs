//! Aliases, published rooms and profiles of other servers.

use gatehouse_testkit::user::escaped;
use serde_json::json;

use crate::town::{Town, server_of};

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
