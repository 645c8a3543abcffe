//! Rooms that give way to others of another version.

use serde_json::json;

use super::{super::room_acts::wait_for, world::World};

#[tokio::test]
async fn whoever_is_in_a_room_that_is_upgraded_follows_into_its_successor() {
    let world = World::begin().await;
    world
        .tell(async |pair| {
            let (host, guest) = (&pair.host, &pair.guest);
            let room = pair.shared_room().await;
            host.set_state(&room, "m.room.name", "", json!({ "name": "Tea party" }))
                .await;
            let version = pair.version.parse::<u32>().unwrap();
            let next = if version == 12 { 11 } else { version + 1 };
            let body = json!({ "new_version": next.to_string() });
            let upgraded = host.done_room("POST", &room, "/upgrade", Some(body)).await;
            let successor = upgraded["replacement_room"].as_str().unwrap();
            let tombstone = async || guest.state(&room, "m.room.tombstone", "").await;
            let tombstone = wait_for("a tombstone", tombstone).await;
            assert_eq!(tombstone["replacement_room"], successor);
            pair.agree(&room).await;
            guest.join_via(successor, host.server()).await;
            host.sees_member(successor, &guest.id, "join").await;
            let create = guest.state(successor, "m.room.create", "").await.unwrap();
            assert_eq!(create["predecessor"]["room_id"], room.as_str());
            assert_eq!(create["room_version"], next.to_string());
            let name = guest.state(successor, "m.room.name", "").await.unwrap();
            assert_eq!(name["name"], "Tea party");
            pair.agree(successor).await;
            // Nobody below an admin speaks in the old one.
            let body = json!({ "msgtype": "m.text", "body": "echo" });
            let (status, _) = guest
                .ask_room("PUT", &room, "/send/m.room.message/echo", Some(body))
                .await;
            assert_eq!(status, 403);
        })
        .await;
    world.end();
}
