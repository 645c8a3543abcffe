//! Rooms whose access control list has no place for the other server.

use serde_json::json;

use super::world::{Whose, World};

#[tokio::test]
async fn a_server_that_the_rooms_acl_denies_is_not_heard_until_it_is_allowed_again() {
    let world = World::begin().await;
    world
        .tell(async |pair| {
            let (host, guest) = (&pair.host, &pair.guest);
            let (room, other) = (pair.shared_room().await, pair.shared_room().await);
            // Gatehouse has an address for a name here, and Synapse `localhost`.
            let denied = match pair.whose {
                Whose::Synapse => json!({ "allow": ["*"], "allow_ip_literals": false }),
                Whose::Gatehouse => json!({ "allow": ["*"], "deny": ["localhost"] }),
            };
            let event = host.set_state(&room, "m.room.server_acl", "", denied).await;
            guest.sees(&room, &event).await;
            let unheard = guest.say(&room, "unheard").await;
            // What was said after it in another room was sent after it.
            let heard = guest.say(&other, "heard").await;
            host.sees(&other, &heard).await;
            assert_eq!(host.event(&room, &unheard).await, None);
            let neighbour = pair.another_guest().await;
            neighbour.join(&room).await;
            let heard = guest.say(&other, "heard again").await;
            host.sees(&other, &heard).await;
            assert_eq!(host.state(&room, "m.room.member", &neighbour.id).await, None);
            let allowed = json!({ "allow": ["*"] });
            let event = host.set_state(&room, "m.room.server_acl", "", allowed).await;
            guest.sees(&room, &event).await;
            let heard = guest.say(&room, "and now?").await;
            host.sees(&room, &heard).await;
            pair.agree(&room).await;
        })
        .await;
    world.end_despite(&[
        "the room's server ACL denies the sending server",
        "from banned server",
    ]);
}
