//! Rooms of the other server that only members of another room may join.

use serde_json::json;

use super::world::World;

/// The first version with restricted rooms, and the first where one may knock at them.
const SINCE: u32 = 8;
const KNOCKS_SINCE: u32 = 10;

#[tokio::test]
async fn a_restricted_room_lets_in_who_is_in_the_other_room_and_nobody_else() {
    let world = World::begin().await;
    world
        .tell_from(SINCE, async |pair| {
            let (host, guest) = (&pair.host, &pair.guest);
            let via = host.server();
            let open = pair.room(json!({ "preset": "public_chat" })).await;
            let knocks = pair.version.parse::<u32>().unwrap() >= KNOCKS_SINCE;
            let rule = if knocks { "knock_restricted" } else { "restricted" };
            let rule = json!({ "type": "m.room.join_rules", "state_key": "", "content": { "join_rule": rule,
                "allow": [{ "type": "m.room_membership", "room_id": open }] } });
            // Guests may invite nobody, so that their server has to ask ours to let anybody in.
            let room = pair
                .room(json!({ "preset": "private_chat", "initial_state": [rule],
                    "power_level_content_override": { "invite": 50 } }))
                .await;
            let (status, answer) = guest.try_join_via(&room, via).await;
            assert_eq!(
                (status, &answer["errcode"]),
                (403, &json!("M_FORBIDDEN")),
                "{answer}"
            );
            guest.join_via(&open, via).await;
            guest.join_via(&room, via).await;
            let member = host.sees_member(&room, &guest.id, "join").await;
            assert_eq!(member["join_authorised_via_users_server"], host.id.as_str());
            pair.agree(&room).await;
            // Their server is in both rooms now, and still may let nobody in.
            let neighbour = pair.another_guest().await;
            let (status, answer) = neighbour.try_join_via(&room, via).await;
            assert_eq!(
                (status, &answer["errcode"]),
                (403, &json!("M_FORBIDDEN")),
                "{answer}"
            );
            neighbour.join_via(&open, via).await;
            host.sees_member(&open, &neighbour.id, "join").await;
            neighbour.join_via(&room, via).await;
            let member = host.sees_member(&room, &neighbour.id, "join").await;
            assert_eq!(member["join_authorised_via_users_server"], host.id.as_str());
            pair.agree(&room).await;
            if knocks {
                let stranger = pair.another_guest().await;
                let (status, answer) = stranger.try_knock_via(&room, via, "Tea?").await;
                assert_eq!(status, 200, "{answer}");
                host.sees_member(&room, &stranger.id, "knock").await;
                host.act("invite", &room, &stranger.id).await;
                stranger.sees_room_as("invite", &room).await;
                stranger.join(&room).await;
                host.sees_member(&room, &stranger.id, "join").await;
                pair.agree(&room).await;
            }
        })
        .await;
    world.end();
}
