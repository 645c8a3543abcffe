//! What is said on one server and read on another.

use gatehouse_testkit::user::escaped;
use serde_json::json;

use crate::town::{Town, agree, history, join_via, texts};

#[tokio::test]
async fn what_was_said_before_the_join_can_be_read_after_it() {
    let town = Town::new().await;
    let (alice, bob) = town.people().await;
    let room = alice.public_room().await;
    let mut said = Vec::new();
    for number in 0..60 {
        let text = format!("line {number}");
        alice.say(&room, &number.to_string(), &text).await;
        said.push(text);
    }
    join_via(&bob, &room, &alice).await.ok();
    assert_eq!(texts(&bob, &room).await, said);
    // All the way to the room's beginning, and no further.
    let mut token = String::new();
    let mut events = Vec::new();
    loop {
        let from = if token.is_empty() {
            String::new()
        } else {
            format!("&from={token}")
        };
        let path = format!("/rooms/{}/messages?dir=b&limit=10{from}", escaped(&room));
        let page = bob.get(&path).await.ok();
        events.extend(page["chunk"].as_array().unwrap().clone());
        match page["end"].as_str() {
            Some(end) => end.clone_into(&mut token),
            None => break,
        }
        assert!(events.len() < 200, "it never ends");
    }
    assert_eq!(events.last().unwrap()["type"], "m.room.create");
    let mut ids: Vec<_> = events.iter().map(|event| event["event_id"].to_string()).collect();
    ids.sort();
    let count = ids.len();
    ids.dedup();
    assert_eq!(ids.len(), count, "an event came twice");
}

#[tokio::test]
async fn history_that_is_for_members_only_stays_with_them() {
    let town = Town::new().await;
    let (alice, bob) = town.people().await;
    let hidden =
        json!({ "type": "m.room.history_visibility", "content": { "history_visibility": "joined" } });
    let room = alice
        .create_room(json!({ "preset": "public_chat", "initial_state": [hidden] }))
        .await;
    alice.say(&room, "1", "among us").await;
    join_via(&bob, &room, &alice).await.ok();
    let after = alice.say(&room, "2", "for all").await;
    bob.sees_event(&room, &after).await;
    assert_eq!(texts(&bob, &room).await, ["for all"]);
}

#[tokio::test]
async fn a_redaction_takes_out_on_both_servers_what_was_said() {
    let town = Town::new().await;
    let (alice, bob) = town.people().await;
    for version in ["1", "6", "10", "12"] {
        let room = alice
            .create_room(json!({ "preset": "public_chat", "room_version": version }))
            .await;
        join_via(&bob, &room, &alice).await.ok();
        alice.sees_membership(&room, &bob.id, "join").await;
        let said = bob.say(&room, version, "oops").await;
        alice.sees_event(&room, &said).await;
        let path = format!("/rooms/{}/redact/{}/r{version}", escaped(&room), escaped(&said));
        let redaction = alice.put(&path, json!({ "reason": "rude" })).await.ok();
        bob.sees_event(&room, redaction["event_id"].as_str().unwrap())
            .await;
        for user in [&alice, &bob] {
            let path = format!("/rooms/{}/event/{}", escaped(&room), escaped(&said));
            let event = user.get(&path).await.ok();
            assert_eq!(event["content"], json!({}), "version {version}: {event}");
        }
    }
}

#[tokio::test]
async fn many_messages_both_ways_arrive_each_once_and_in_order() {
    let town = Town::new().await;
    let (alice, bob) = town.people().await;
    let room = alice.public_room().await;
    join_via(&bob, &room, &alice).await.ok();
    alice.sees_membership(&room, &bob.id, "join").await;
    let (one, other) = tokio::join!(
        async {
            let mut ids = Vec::new();
            for number in 0..50 {
                ids.push(alice.say(&room, &format!("a{number}"), "from here").await);
            }
            ids
        },
        async {
            let mut ids = Vec::new();
            for number in 0..50 {
                ids.push(bob.say(&room, &format!("b{number}"), "from there").await);
            }
            ids
        }
    );
    alice.sees_event(&room, other.last().unwrap()).await;
    bob.sees_event(&room, one.last().unwrap()).await;
    agree(&alice, &bob, &room).await;
    for user in [&alice, &bob] {
        let mut events = history(user, &room, 200).await;
        events.reverse();
        for sent in [&one, &other] {
            let found: Vec<_> = events
                .iter()
                .filter_map(|event| event["event_id"].as_str())
                .filter(|id| sent.iter().any(|sent| sent == id))
                .collect();
            assert_eq!(&found, sent, "as {} sees it", user.id);
        }
    }
}

#[tokio::test]
async fn a_room_is_upgraded_and_the_members_of_another_server_follow() {
    let town = Town::new().await;
    let (alice, bob) = town.people().await;
    let room = alice
        .create_room(json!({ "preset": "public_chat", "room_version": "10" }))
        .await;
    join_via(&bob, &room, &alice).await.ok();
    alice.sees_membership(&room, &bob.id, "join").await;
    let path = format!("/rooms/{}/upgrade", escaped(&room));
    let upgraded = alice.post(&path, json!({ "new_version": "12" })).await.ok();
    let next = upgraded["replacement_room"].as_str().unwrap().to_owned();
    let mut tombstone = bob.state(&room, "m.room.tombstone", "").await;
    for _ in 0..60 {
        if tombstone.status == 200 {
            break;
        }
        bob.sync(&crate::town::current(&bob).await, 500).await;
        tombstone = bob.state(&room, "m.room.tombstone", "").await;
    }
    assert_eq!(tombstone.ok()["replacement_room"], next.as_str());
    join_via(&bob, &next, &alice).await.ok();
    agree(&alice, &bob, &next).await;
}
