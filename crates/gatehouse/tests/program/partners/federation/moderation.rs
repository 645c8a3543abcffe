//! Kicks, bans and powers over people of the other server.

use serde_json::json;

use super::world::World;

#[tokio::test]
async fn who_is_kicked_or_banned_by_one_server_is_out_for_both() {
    let world = World::begin().await;
    world
        .tell(async |pair| {
            let room = pair.shared_room().await;
            // So that the guest's server stays in the room.
            let neighbour = pair.another_guest().await;
            neighbour.join(&room).await;
            let (host, guest) = (&pair.host, &pair.guest);
            let via = host.server();
            host.sees_member(&room, &neighbour.id, "join").await;
            host.act("kick", &room, &guest.id).await;
            let member = neighbour.sees_member(&room, &guest.id, "leave").await;
            assert_eq!(member["reason"], "kick for a reason");
            let (status, _) = guest
                .ask_room("PUT", &room, "/state/m.room.topic", Some(json!({})))
                .await;
            assert_eq!(status, 403);
            guest.join_via(&room, via).await;
            host.sees_member(&room, &guest.id, "join").await;
            host.act("ban", &room, &guest.id).await;
            neighbour.sees_member(&room, &guest.id, "ban").await;
            // A server that knows of the ban refuses by itself, Synapse with an errcode of its own.
            let (status, answer) = guest.try_join_via(&room, via).await;
            assert_eq!(status, 403, "{answer}");
            host.act("unban", &room, &guest.id).await;
            neighbour.sees_member(&room, &guest.id, "leave").await;
            guest.join_via(&room, via).await;
            host.sees_member(&room, &guest.id, "join").await;
            pair.agree(&room).await;
        })
        .await;
    world.end();
}

#[tokio::test]
async fn a_guest_to_whom_power_is_given_uses_it_in_both_servers() {
    let world = World::begin().await;
    world
        .tell(async |pair| {
            let room = pair.shared_room().await;
            let (host, guest, friend) = (&pair.host, &pair.guest, pair.another_host().await);
            friend.join(&room).await;
            guest.sees_member(&room, &friend.id, "join").await;
            let (status, _) = guest.try_to("kick", &room, &friend.id).await;
            assert_eq!(status, 403);
            let mut levels = host.state(&room, "m.room.power_levels", "").await.unwrap();
            levels["users"][&guest.id] = json!(60);
            let event = host.set_state(&room, "m.room.power_levels", "", levels).await;
            guest.sees(&room, &event).await;
            guest
                .set_state(&room, "m.room.topic", "", json!({ "topic": "Tea" }))
                .await;
            guest.act("kick", &room, &friend.id).await;
            host.sees_member(&room, &friend.id, "leave").await;
            pair.agree(&room).await;
            guest.act("ban", &room, &friend.id).await;
            host.sees_member(&room, &friend.id, "ban").await;
            let (status, _) = friend.try_join_via(&room, host.server()).await;
            assert_eq!(status, 403);
            guest.act("unban", &room, &friend.id).await;
            host.sees_member(&room, &friend.id, "leave").await;
            // Nobody is above the host.
            let (status, _) = guest.try_to("ban", &room, &host.id).await;
            assert_eq!(status, 403);
            pair.agree(&room).await;
        })
        .await;
    world.end();
}
