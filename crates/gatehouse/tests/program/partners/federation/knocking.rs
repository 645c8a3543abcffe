//! Knocking at rooms of the other server.

use serde_json::{Value, json};

use super::world::{Whose, World};

/// The first version with knocks.
const SINCE: u32 = 7;

fn knockable() -> Value {
    let rule = json!({ "type": "m.room.join_rules", "state_key": "", "content": { "join_rule": "knock" } });
    json!({ "preset": "private_chat", "name": "Tea party", "initial_state": [rule] })
}

#[tokio::test]
async fn who_knocks_at_the_other_servers_room_is_let_in_sent_away_or_goes() {
    let world = World::begin().await;
    world
        .tell_from(SINCE, async |pair| {
            let (host, guest) = (&pair.host, &pair.guest);
            let room = pair.room(knockable()).await;
            let knock = async || {
                let (status, answer) = guest.try_knock_via(&room, host.server(), "Tea?").await;
                assert_eq!(status, 200, "{answer}");
                let member = host.sees_member(&room, &guest.id, "knock").await;
                assert_eq!(member["reason"], "Tea?");
                guest.sees_room_as("knock", &room).await
            };
            let (status, _) = guest.try_join_via(&room, host.server()).await;
            assert_eq!(status, 403);
            let knocked = knock().await;
            let told = knocked["knock_state"]["events"].as_array().unwrap();
            assert!(
                told.iter().any(|event| event["content"]["name"] == "Tea party"),
                "{knocked}"
            );
            guest.leave(&room).await;
            // Synapse tells nobody that a knock was taken back: it does not remember whom.
            if pair.whose == Whose::Synapse {
                host.sees_member(&room, &guest.id, "leave").await;
            }
            knock().await;
            host.act("kick", &room, &guest.id).await;
            // Synapse does not tell whom it sends away, nor does it believe that somebody was. Whoever was knocks again.
            knock().await;
            host.act("invite", &room, &guest.id).await;
            guest.sees_room_as("invite", &room).await;
            guest.join(&room).await;
            host.sees_member(&room, &guest.id, "join").await;
            pair.agree(&room).await;
        })
        .await;
    world
        .tell(async |pair| {
            if pair.version.parse::<u32>().unwrap() >= SINCE {
                return;
            }
            let room = pair.room(json!({ "preset": "private_chat" })).await;
            let (status, answer) = pair.guest.try_knock_via(&room, pair.host.server(), "Tea?").await;
            assert!(status == 400 || status == 403, "{status} {answer}");
        })
        .await;
    world.end();
}
