//! Servers that are away for a while.

use std::time::Duration;

use gatehouse_testkit::user::escaped;
use serde_json::json;

use crate::town::{Town, join_via};

#[tokio::test]
async fn r12_what_was_said_while_a_server_was_away_reaches_it_when_it_is_back() {
    let mut town = Town::new().await;
    let (room, token) = {
        let (alice, bob) = town.people().await;
        let room = alice.public_room().await;
        join_via(&bob, &room, &alice).await.ok();
        alice.sees_membership(&room, &bob.id, "join").await;
        (room, bob.token.clone())
    };
    town.there.stop().await;
    let alice = town.here.user("eve").await;
    alice.join(&room).await.ok();
    let mut said = Vec::new();
    for number in 0..120 {
        said.push(alice.say(&room, &number.to_string(), "are you there?").await);
    }
    town.there.restart().await.unwrap();
    // Pauses are measured by the clock, which stands in tests.
    town.here.clock().advance(Duration::from_hours(2));
    let last = alice.say(&room, "last", "welcome back").await;
    let mut found = 0;
    for _ in 0..600 {
        let path = format!(
            "/_matrix/client/v3/rooms/{}/messages?dir=b&limit=200",
            escaped(&room)
        );
        let page = town.there.request_with(&token, "GET", &path, None).await.ok();
        let ids: Vec<_> = page["chunk"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|event| event["event_id"].as_str())
            .collect();
        found = said.iter().filter(|id| ids.contains(&id.as_str())).count();
        if found == said.len() && ids.contains(&last.as_str()) {
            return;
        }
        let sync = "/_matrix/client/v3/sync?timeout=300";
        town.there.request_with(&token, "GET", sync, None).await.ok();
    }
    panic!("{found} of {} events arrived", said.len());
}

#[tokio::test]
async fn r01_events_that_wait_for_a_server_survive_a_restart_of_their_own() {
    let mut town = Town::new().await;
    let (room, alice, bob) = {
        let (alice, bob) = town.people().await;
        let room = alice.public_room().await;
        join_via(&bob, &room, &alice).await.ok();
        alice.sees_membership(&room, &bob.id, "join").await;
        (room, alice.token.clone(), bob.token.clone())
    };
    town.there.stop().await;
    let path = format!(
        "/_matrix/client/v3/rooms/{}/send/m.room.message/1",
        escaped(&room)
    );
    let body = json!({ "msgtype": "m.text", "body": "kept" });
    let sent = town
        .here
        .request_with(&alice, "PUT", &path, Some(&body))
        .await
        .ok();
    town.here.restart().await.unwrap();
    town.there.restart().await.unwrap();
    town.here.clock().advance(Duration::from_hours(2));
    for _ in 0..600 {
        let path = format!(
            "/_matrix/client/v3/rooms/{}/messages?dir=b&limit=50",
            escaped(&room)
        );
        let page = town.there.request_with(&bob, "GET", &path, None).await.ok();
        let events = page["chunk"].as_array().unwrap();
        if events.iter().any(|event| event["event_id"] == sent["event_id"]) {
            return;
        }
        let sync = "/_matrix/client/v3/sync?timeout=300";
        town.there.request_with(&bob, "GET", sync, None).await.ok();
    }
    panic!("the event never arrived");
}
