//! Inviting users of other servers.

use gatehouse_testkit::user::escaped;
use serde_json::json;

use crate::town::{Town, VERSIONS, agree, server_of};

#[tokio::test]
async fn somebody_on_another_server_is_invited_and_joins_in_rooms_of_every_version() {
    let town = Town::new().await;
    let (alice, bob) = town.people().await;
    for version in VERSIONS {
        let room = alice
            .create_room(json!({ "name": "Tea", "room_version": version }))
            .await;
        let body = json!({ "user_id": bob.id, "reason": "come" });
        alice
            .post(&format!("/rooms/{}/invite", escaped(&room)), body)
            .await
            .ok();
        let invited = bob.sees_room_as("invite", &room).await;
        let events = invited["invite_state"]["events"].as_array().unwrap();
        assert!(
            events.iter().any(|event| event["content"]["name"] == "Tea"),
            "version {version}: {invited}"
        );
        let own = events
            .iter()
            .find(|event| event["state_key"] == bob.id.as_str())
            .unwrap();
        assert_eq!(own["content"]["reason"], "come");
        assert_eq!(own["sender"], alice.id.as_str());
        bob.join(&room).await.ok();
        alice.sees_membership(&room, &bob.id, "join").await;
        agree(&alice, &bob, &room).await;
    }
}

#[tokio::test]
async fn an_invite_can_be_rejected_from_another_server() {
    let town = Town::new().await;
    let (alice, bob) = town.people().await;
    let room = alice.create_room(json!({})).await;
    alice.act_on("invite", &room, &bob.id).await.ok();
    bob.sees_room_as("invite", &room).await;
    bob.leave(&room).await.ok();
    alice.sees_membership(&room, &bob.id, "leave").await;
    let sync = bob.sync("", 0).await;
    assert!(sync["rooms"]["invite"][&room].is_null(), "{sync}");
}

#[tokio::test]
async fn an_invite_of_a_server_that_is_gone_can_be_rejected_all_the_same() {
    let mut town = Town::new().await;
    let room = {
        let (alice, bob) = town.people().await;
        let room = alice.create_room(json!({})).await;
        alice.act_on("invite", &room, &bob.id).await.ok();
        bob.sees_room_as("invite", &room).await;
        (room, bob.token.clone())
    };
    town.here.stop().await;
    let path = format!("/_matrix/client/v3/rooms/{}/leave", escaped(&room.0));
    town.there
        .request_with(&room.1, "POST", &path, Some(&json!({})))
        .await
        .ok();
    let sync = town
        .there
        .request_with(&room.1, "GET", "/_matrix/client/v3/sync?timeout=0", None)
        .await
        .ok();
    assert!(sync["rooms"]["invite"][&room.0].is_null(), "{sync}");
}

#[tokio::test]
async fn an_invite_is_taken_back_by_a_kick() {
    let town = Town::new().await;
    let (alice, bob) = town.people().await;
    let room = alice.create_room(json!({})).await;
    alice.act_on("invite", &room, &bob.id).await.ok();
    bob.sees_room_as("invite", &room).await;
    alice.act_on("kick", &room, &bob.id).await.ok();
    bob.join(&room).await.refused(403, "M_FORBIDDEN");
}

#[tokio::test]
async fn b12_nobody_there_cannot_be_invited_and_the_room_stays_as_it_was() {
    let town = Town::new().await;
    let (alice, _) = town.people().await;
    let room = alice.create_room(json!({})).await;
    let before = alice.whole_state(&room).await;
    let nobody = format!("@nobody:{}", "127.0.0.1:1");
    let answer = alice.act_on("invite", &room, &nobody).await;
    assert!(answer.status >= 500, "{answer:?}");
    assert_eq!(alice.whole_state(&room).await, before);
}

#[tokio::test]
async fn a_new_room_invites_users_of_other_servers() {
    let town = Town::new().await;
    let (alice, bob) = town.people().await;
    let room = alice
        .create_room(json!({ "invite": [bob.id], "is_direct": true }))
        .await;
    let invited = bob.sees_room_as("invite", &room).await;
    let direct = invited["invite_state"]["events"]
        .as_array()
        .unwrap()
        .iter()
        .any(|event| event["content"]["is_direct"] == true);
    assert!(direct, "{invited}");
    bob.join(&room).await.ok();
    agree(&alice, &bob, &room).await;
}

#[tokio::test]
async fn members_of_any_server_invite_members_of_any_other() {
    let town = Town::new().await;
    let (alice, bob) = town.people().await;
    let third = town.neighbours.server().await;
    let carol = third.user("carol").await;
    let room = alice.create_room(json!({})).await;
    alice.act_on("invite", &room, &bob.id).await.ok();
    bob.sees_room_as("invite", &room).await;
    bob.join(&room).await.ok();
    bob.act_on("invite", &room, &carol.id).await.ok();
    carol.sees_room_as("invite", &room).await;
    carol.join(&room).await.ok();
    alice.sees_membership(&room, &carol.id, "join").await;
    agree(&alice, &carol, &room).await;
    agree(&alice, &bob, &room).await;
    let said = carol.say(&room, "1", "all together").await;
    alice.sees_event(&room, &said).await;
    bob.sees_event(&room, &said).await;
    assert_ne!(server_of(&carol), server_of(&bob));
}

/// An invite shows no more of a room than others take, however huge its state (security.md X02).
#[tokio::test]
async fn x02_a_room_with_huge_state_can_be_invited_to() {
    let town = Town::new().await;
    let (alice, bob) = town.people().await;
    for version in ["2", "11", "12"] {
        let room = alice.create_room(json!({ "room_version": version })).await;
        let long = "\u{e9}".repeat(30_000);
        alice
            .set_state(&room, "m.room.topic", "", json!({ "topic": long }))
            .await
            .ok();
        alice
            .set_state(&room, "m.room.name", "", json!({ "name": long }))
            .await
            .ok();
        alice
            .set_state(&room, "m.room.avatar", "", json!({ "url": long }))
            .await
            .ok();
        alice.act_on("invite", &room, &bob.id).await.ok();
        let invited = bob.sees_room_as("invite", &room).await;
        assert!(invited.to_string().len() <= 512 << 10, "version {version}");
        bob.join(&room).await.ok();
        agree(&alice, &bob, &room).await;
    }
}
