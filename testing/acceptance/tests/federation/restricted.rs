//! Rooms that let in the members of other rooms, across servers.

use serde_json::{Value, json};

use crate::town::{Town, agree, join_via};

fn restricted_to(room: &str, version: &str) -> Value {
    let rules = json!({ "type": "m.room.join_rules", "content": {
        "join_rule": "restricted",
        "allow": [{ "type": "m.room_membership", "room_id": room }],
    } });
    json!({ "room_version": version, "initial_state": [rules] })
}

#[tokio::test]
async fn b04_members_of_the_allowed_room_come_in_and_others_do_not() {
    let town = Town::new().await;
    let (alice, bob) = town.people().await;
    for version in ["8", "10", "12"] {
        let allowed = alice.public_room().await;
        let room = alice.create_room(restricted_to(&allowed, version)).await;
        join_via(&bob, &room, &alice).await.refused(403, "M_FORBIDDEN");
        join_via(&bob, &allowed, &alice).await.ok();
        alice.sees_membership(&allowed, &bob.id, "join").await;
        join_via(&bob, &room, &alice).await.ok();
        alice.sees_membership(&room, &bob.id, "join").await;
        let member = alice.state(&room, "m.room.member", &bob.id).await.ok();
        assert_eq!(member["join_authorised_via_users_server"], alice.id.as_str());
        agree(&alice, &bob, &room).await;
    }
}

#[tokio::test]
async fn a_server_in_the_room_without_the_power_asks_one_that_has_it() {
    let town = Town::new().await;
    let (alice, bob) = town.people().await;
    let allowed = alice.public_room().await;
    let mut body = restricted_to(&allowed, "10");
    body["power_level_content_override"] = json!({ "invite": 50 });
    let room = alice.create_room(body).await;
    join_via(&bob, &allowed, &alice).await.ok();
    alice.sees_membership(&allowed, &bob.id, "join").await;
    join_via(&bob, &room, &alice).await.ok();
    // Bob's server is in the room now, but nobody there may invite.
    let carol = town.there.user("carol").await;
    join_via(&carol, &allowed, &alice).await.ok();
    alice.sees_membership(&allowed, &carol.id, "join").await;
    join_via(&carol, &room, &alice).await.ok();
    alice.sees_membership(&room, &carol.id, "join").await;
    agree(&alice, &bob, &room).await;
}
