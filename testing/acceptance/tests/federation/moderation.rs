//! Kicks, bans and server access lists across servers.

use serde_json::json;

use crate::town::{Town, agree, join_via, server_of};

#[tokio::test]
async fn kicks_bans_and_unbans_reach_the_other_server() {
    let town = Town::new().await;
    let (alice, bob) = town.people().await;
    let room = alice.public_room().await;
    join_via(&bob, &room, &alice).await.ok();
    alice.sees_membership(&room, &bob.id, "join").await;
    alice.act_on("kick", &room, &bob.id).await.ok();
    bob.sees_room_left(&room).await;
    join_via(&bob, &room, &alice).await.ok();
    alice.sees_membership(&room, &bob.id, "join").await;
    alice.act_on("ban", &room, &bob.id).await.ok();
    bob.sees_room_left(&room).await;
    join_via(&bob, &room, &alice).await.refused(403, "M_FORBIDDEN");
    alice.act_on("unban", &room, &bob.id).await.ok();
    join_via(&bob, &room, &alice).await.ok();
    alice.sees_membership(&room, &bob.id, "join").await;
    agree(&alice, &bob, &room).await;
}

#[tokio::test]
async fn a_moderator_on_another_server_bans_a_user_of_the_first() {
    let town = Town::new().await;
    let (alice, bob) = town.people().await;
    let carol = town.here.user("carol").await;
    let room = alice
        .create_room(json!({
            "preset": "public_chat",
            "power_level_content_override": { "users": { bob.id.as_str(): 50 } },
        }))
        .await;
    carol.join(&room).await.ok();
    join_via(&bob, &room, &alice).await.ok();
    bob.act_on("ban", &room, &carol.id).await.ok();
    carol.sees_room_left(&room).await;
    carol.join(&room).await.refused(403, "M_FORBIDDEN");
    agree(&alice, &bob, &room).await;
    // And what one may not do there does not become true here.
    bob.act_on("kick", &room, &alice.id)
        .await
        .refused(403, "M_FORBIDDEN");
}

#[tokio::test]
async fn e30_a_server_that_the_room_shuts_out_reaches_it_no_more() {
    let town = Town::new().await;
    let (alice, bob) = town.people().await;
    let room = alice.public_room().await;
    join_via(&bob, &room, &alice).await.ok();
    alice.sees_membership(&room, &bob.id, "join").await;
    let (address, _) = server_of(&bob)
        .rsplit_once(':')
        .map(|(a, b)| (a.to_owned(), b.to_owned()))
        .unwrap();
    let acl = json!({ "allow": ["*"], "deny": [server_of(&bob), address], "allow_ip_literals": true });
    alice.set_state(&room, "m.room.server_acl", "", acl).await.ok();
    let said = bob.say(&room, "1", "still here?").await;
    let own = alice.say(&room, "2", "quiet").await;
    alice.sees_event(&room, &own).await;
    let texts = crate::town::texts(&alice, &room).await;
    assert_eq!(texts, ["quiet"], "{said} came through");
    // A second user of that server comes in no more, either.
    let dave = town.there.user("dave").await;
    join_via(&dave, &room, &alice).await;
    let member = alice.state(&room, "m.room.member", &dave.id).await;
    assert_eq!(member.status, 404, "{member:?}");
}
