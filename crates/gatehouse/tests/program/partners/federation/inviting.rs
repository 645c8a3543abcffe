//! Inviting people of the other server.

use serde_json::{Value, json};

use super::world::World;

/// What the invited are told of the room.
fn told<'a>(invited: &'a Value, kind: &str) -> Option<&'a Value> {
    let events = invited["invite_state"]["events"].as_array().unwrap();
    events
        .iter()
        .find(|event| event["type"] == kind)
        .map(|event| &event["content"])
}

#[tokio::test]
async fn an_invite_of_the_other_server_is_accepted_rejected_or_taken_back() {
    let world = World::begin().await;
    world
        .tell(async |pair| {
            let (host, guest) = (&pair.host, &pair.guest);
            let body = json!({ "preset": "private_chat", "name": "Tea party", "invite": [guest.id] });
            let room = pair.room(body).await;
            let invited = guest.sees_room_as("invite", &room).await;
            assert_eq!(told(&invited, "m.room.name").unwrap()["name"], "Tea party");
            assert_eq!(
                told(&invited, "m.room.join_rules").unwrap()["join_rule"],
                "invite"
            );
            guest.leave(&room).await;
            host.sees_member(&room, &guest.id, "leave").await;
            guest.sees_room_no_more_as("invite", &room).await;
            host.act("invite", &room, &guest.id).await;
            let invited = guest.sees_room_as("invite", &room).await;
            let member = told(&invited, "m.room.member").unwrap();
            assert!(member["membership"] == "invite" || member["membership"] == "join");
            host.act("kick", &room, &guest.id).await;
            guest.sees_room_no_more_as("invite", &room).await;
            let (status, answer) = guest.try_join_via(&room, host.server()).await;
            assert_eq!(
                (status, &answer["errcode"]),
                (403, &json!("M_FORBIDDEN")),
                "{answer}"
            );
            host.act("invite", &room, &guest.id).await;
            guest.sees_room_as("invite", &room).await;
            guest.join(&room).await;
            host.sees_member(&room, &guest.id, "join").await;
            pair.agree(&room).await;
            // Somebody else there is invited by a guest who has the power, into a room that their server knows.
            let neighbour = pair.another_guest().await;
            host.act("invite", &room, &neighbour.id).await;
            neighbour.sees_room_as("invite", &room).await;
            // It comes in a second way, with the room's other events.
            guest.sees_member(&room, &neighbour.id, "invite").await;
            neighbour.join(&room).await;
            host.sees_member(&room, &neighbour.id, "join").await;
            pair.agree(&room).await;
        })
        .await;
    world.end();
}

#[tokio::test]
async fn a_guest_invites_a_friend_of_the_hosts_and_a_direct_chat_is_marked_as_one() {
    let world = World::begin().await;
    world
        .tell(async |pair| {
            let (host, guest, friend) = (&pair.host, &pair.guest, pair.another_host().await);
            let body = json!({ "preset": "trusted_private_chat", "is_direct": true, "invite": [guest.id] });
            let room = pair.room(body).await;
            let invited = guest.sees_room_as("invite", &room).await;
            let events = invited["invite_state"]["events"].as_array().unwrap().iter();
            let mut own = events.filter(|event| event["state_key"] == guest.id.as_str());
            assert_eq!(own.next().unwrap()["content"]["is_direct"], true);
            guest.join(&room).await;
            guest.act("invite", &room, &friend.id).await;
            friend.sees_room_as("invite", &room).await;
            host.sees_member(&room, &friend.id, "invite").await;
            pair.agree(&room).await;
            friend.leave(&room).await;
            guest.sees_member(&room, &friend.id, "leave").await;
            pair.agree(&room).await;
        })
        .await;
    world.end();
}
