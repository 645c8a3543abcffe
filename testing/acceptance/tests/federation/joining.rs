//! Joining rooms of other servers.

use gatehouse_testkit::user::escaped;
use serde_json::json;

use crate::town::{Town, VERSIONS, agree, join_via, server_of};

#[tokio::test]
async fn a_user_joins_by_alias_at_another_server_and_both_agree() {
    let town = Town::new().await;
    let (alice, bob) = town.people().await;
    let room = alice
        .create_room(json!({ "preset": "public_chat", "room_alias_name": "tea", "name": "Tea" }))
        .await;
    let alias = format!("#tea:{}", server_of(&alice));
    let joined = bob
        .post(&format!("/join/{}", escaped(&alias)), json!({}))
        .await
        .ok();
    assert_eq!(joined["room_id"], room.as_str());
    let name = bob.state(&room, "m.room.name", "").await.ok();
    assert_eq!(name["name"], "Tea");
    alice.sees_membership(&room, &bob.id, "join").await;
    agree(&alice, &bob, &room).await;
    let sync = bob.sync("", 0).await;
    assert!(!sync["rooms"]["join"][&room].is_null(), "{sync}");
}

#[tokio::test]
async fn rooms_of_every_version_can_be_joined_and_spoken_in() {
    let town = Town::new().await;
    let (alice, bob) = town.people().await;
    for version in VERSIONS {
        let room = alice
            .create_room(json!({ "preset": "public_chat", "room_version": version }))
            .await;
        let hello = alice.say(&room, "1", "hello").await;
        join_via(&bob, &room, &alice).await.ok();
        alice.sees_membership(&room, &bob.id, "join").await;
        let answer = bob.say(&room, version, "thank you").await;
        alice.sees_event(&room, &answer).await;
        let again = alice.say(&room, "2", "welcome").await;
        bob.sees_event(&room, &again).await;
        agree(&alice, &bob, &room).await;
        let path = format!("/rooms/{}/event/{}", escaped(&room), escaped(&hello));
        let texts = crate::town::texts(&bob, &room).await;
        assert_eq!(texts, ["hello", "thank you", "welcome"], "version {version}");
        assert_eq!(bob.get(&path).await.ok()["content"]["body"], "hello");
    }
}

#[tokio::test]
async fn b01_b02_whoever_is_not_let_in_here_is_not_let_in_from_there() {
    let town = Town::new().await;
    let (alice, bob) = town.people().await;
    let closed = alice.create_room(json!({})).await;
    join_via(&bob, &closed, &alice).await.refused(403, "M_FORBIDDEN");
    let room = alice.public_room().await;
    alice.act_on("ban", &room, &bob.id).await.ok();
    join_via(&bob, &room, &alice).await.refused(403, "M_FORBIDDEN");
    let sync = bob.sync("", 0).await;
    assert!(
        sync["rooms"]["join"]
            .as_object()
            .is_none_or(serde_json::Map::is_empty)
    );
}

#[tokio::test]
async fn a_room_that_no_server_knows_is_not_found() {
    let town = Town::new().await;
    let (alice, bob) = town.people().await;
    let nowhere = format!("!nowhere:{}", server_of(&alice));
    join_via(&bob, &nowhere, &alice).await.refused(404, "M_NOT_FOUND");
    let alias = format!("#nothing:{}", server_of(&alice));
    bob.post(&format!("/join/{}", escaped(&alias)), json!({}))
        .await
        .refused(404, "M_NOT_FOUND");
}

#[tokio::test]
async fn who_has_left_can_come_back_and_sees_what_is_new() {
    let town = Town::new().await;
    let (alice, bob) = town.people().await;
    let room = alice.public_room().await;
    join_via(&bob, &room, &alice).await.ok();
    alice.sees_membership(&room, &bob.id, "join").await;
    bob.leave(&room).await.ok();
    alice.sees_membership(&room, &bob.id, "leave").await;
    alice
        .set_state(&room, "m.room.name", "", json!({ "name": "Meanwhile" }))
        .await
        .ok();
    alice.say(&room, "1", "while you were away").await;
    join_via(&bob, &room, &alice).await.ok();
    alice.sees_membership(&room, &bob.id, "join").await;
    assert_eq!(
        bob.state(&room, "m.room.name", "").await.ok()["name"],
        "Meanwhile"
    );
    agree(&alice, &bob, &room).await;
    let after = alice.say(&room, "2", "welcome back").await;
    bob.sees_event(&room, &after).await;
    let texts = crate::town::texts(&bob, &room).await;
    assert_eq!(texts, ["while you were away", "welcome back"]);
}

#[tokio::test]
async fn a_second_user_of_a_server_joins_without_asking_others() {
    let mut town = Town::new().await;
    {
        let (alice, bob) = town.people().await;
        let room = alice.public_room().await;
        join_via(&bob, &room, &alice).await.ok();
        alice.sees_membership(&room, &bob.id, "join").await;
        drop((alice, bob));
        let here = &mut town.here;
        here.stop().await;
        let carol = town.there.user("carol").await;
        carol.join(&room).await.ok();
        assert_eq!(
            carol.state(&room, "m.room.member", &carol.id).await.ok()["membership"],
            "join"
        );
    }
}

#[tokio::test]
async fn b25_a_room_that_keeps_to_its_server_lets_nobody_of_another_in() {
    let town = Town::new().await;
    let (alice, bob) = town.people().await;
    let room = alice
        .create_room(json!({ "preset": "public_chat", "creation_content": { "m.federate": false } }))
        .await;
    join_via(&bob, &room, &alice).await.refused(403, "M_FORBIDDEN");
    alice
        .act_on("invite", &room, &bob.id)
        .await
        .refused(403, "M_FORBIDDEN");
}

#[tokio::test]
async fn guests_join_rooms_of_other_servers_that_let_guests_in() {
    let town = Town::new().await;
    let (alice, _) = town.people().await;
    let guest = town.there.guest().await;
    for (access, is_let_in) in [("can_join", true), ("forbidden", false)] {
        let room = alice
            .create_room(json!({ "preset": "trusted_private_chat" }))
            .await;
        let content = json!({ "guest_access": access });
        alice
            .set_state(&room, "m.room.guest_access", "", content)
            .await
            .ok();
        alice.act_on("invite", &room, &guest.id).await.ok();
        let joined = join_via(&guest, &room, &alice).await;
        if is_let_in {
            joined.ok();
            alice.sees_membership(&room, &guest.id, "join").await;
            alice
                .set_state(
                    &room,
                    "m.room.guest_access",
                    "",
                    json!({ "guest_access": "forbidden" }),
                )
                .await
                .ok();
            alice.sees_membership(&room, &guest.id, "leave").await;
        } else {
            joined.refused(403, "M_GUEST_ACCESS_FORBIDDEN");
        }
    }
}
