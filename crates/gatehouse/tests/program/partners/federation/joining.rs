//! Joining a room of the other server.

use serde_json::json;

use super::world::World;

#[tokio::test]
async fn rooms_of_either_server_are_joined_by_id_and_by_alias() {
    let world = World::begin().await;
    world
        .tell(async |pair| {
            let by_id = pair.shared_room().await;
            pair.agree(&by_id).await;
            // Those who come after, on both sides, need nobody's help.
            let (neighbour, friend) = (pair.another_guest().await, pair.another_host().await);
            neighbour.join(&by_id).await;
            friend.join(&by_id).await;
            pair.host.sees_member(&by_id, &neighbour.id, "join").await;
            pair.guest.sees_member(&by_id, &friend.id, "join").await;
            pair.agree(&by_id).await;
            let local = format!("room_{}", pair.host.id[1..].split(':').next().unwrap());
            let body = json!({ "preset": "public_chat", "room_alias_name": local, "topic": "Tea" });
            let by_alias = pair.room(body).await;
            pair.guest.join(&format!("#{local}:{}", pair.host.server())).await;
            pair.agree(&by_alias).await;
        })
        .await;
    world.end();
}
