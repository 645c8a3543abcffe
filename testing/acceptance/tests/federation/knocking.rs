//! Knocking at rooms of other servers.

use gatehouse_testkit::user::escaped;
use serde_json::{Value, json};

use crate::town::{Town, agree, server_of};

fn knockable() -> Value {
    let rules = json!({ "type": "m.room.join_rules", "content": { "join_rule": "knock" } });
    json!({ "name": "Tea", "initial_state": [rules] })
}

#[tokio::test]
async fn one_who_knocks_from_another_server_can_be_let_in() {
    let town = Town::new().await;
    let (alice, bob) = town.people().await;
    let room = alice.create_room(knockable()).await;
    let path = format!("/knock/{}?via={}", escaped(&room), escaped(&server_of(&alice)));
    bob.post(&path, json!({ "reason": "please" })).await.ok();
    alice.sees_membership(&room, &bob.id, "knock").await;
    let knocking = bob.sees_room_as("knock", &room).await;
    let events = knocking["knock_state"]["events"].as_array().unwrap();
    assert!(
        events.iter().any(|event| event["content"]["name"] == "Tea"),
        "{knocking}"
    );
    alice.act_on("invite", &room, &bob.id).await.ok();
    bob.sees_room_as("invite", &room).await;
    bob.join(&room).await.ok();
    alice.sees_membership(&room, &bob.id, "join").await;
    agree(&alice, &bob, &room).await;
}

#[tokio::test]
async fn a_knock_from_another_server_can_be_taken_back() {
    let town = Town::new().await;
    let (alice, bob) = town.people().await;
    let room = alice.create_room(knockable()).await;
    let path = format!("/knock/{}?via={}", escaped(&room), escaped(&server_of(&alice)));
    bob.post(&path, json!({})).await.ok();
    alice.sees_membership(&room, &bob.id, "knock").await;
    bob.leave(&room).await.ok();
    alice.sees_membership(&room, &bob.id, "leave").await;
}

#[tokio::test]
async fn b19_a_room_that_takes_no_knocks_takes_none_from_elsewhere() {
    let town = Town::new().await;
    let (alice, bob) = town.people().await;
    let room = alice.create_room(json!({})).await;
    let path = format!("/knock/{}?via={}", escaped(&room), escaped(&server_of(&alice)));
    bob.post(&path, json!({})).await.refused(403, "M_FORBIDDEN");
    let sync = bob.sync("", 0).await;
    assert!(sync["rooms"]["knock"][&room].is_null(), "{sync}");
}
