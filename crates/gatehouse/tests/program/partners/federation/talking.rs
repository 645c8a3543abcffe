//! Messages between people of both servers, and what becomes of them.

use gatehouse_testkit::user::escaped;
use serde_json::{Value, json};

use super::{
    super::{person::Person, room_acts::wait_for},
    world::World,
};

/// The texts in a person's history.
fn texts(history: &[Value]) -> Vec<String> {
    let messages = history.iter().filter(|event| event["type"] == "m.room.message");
    messages
        .filter_map(|event| Some(event["content"]["body"].as_str()?.to_owned()))
        .collect()
}

#[tokio::test]
async fn what_is_said_on_either_server_is_read_on_both_in_one_order() {
    let world = World::begin().await;
    world
        .tell(async |pair| {
            let room = pair.shared_room().await;
            let (host, guest) = (&pair.host, &pair.guest);
            let mut said = Vec::new();
            for number in 0..4 {
                for (speaker, hearer) in [(host, guest), (guest, host)] {
                    let text = format!("{number}: \u{1F375} \u{0000e9}\u{2028} & <b>\u{feff}");
                    let event = speaker.say(&room, &text).await;
                    let heard = hearer.sees(&room, &event).await;
                    assert_eq!(
                        (&heard["content"]["body"], &heard["sender"]),
                        (&json!(text), &json!(speaker.id))
                    );
                    said.push(text);
                }
            }
            assert_eq!(texts(&host.history(&room).await), said);
            assert_eq!(texts(&guest.history(&room).await), said);
            pair.agree(&room).await;
        })
        .await;
    world.end();
}

#[tokio::test]
async fn a_guest_reads_what_was_said_before_they_came_as_far_as_they_may() {
    let world = World::begin().await;
    world
        .tell(async |pair| {
            let (host, guest) = (&pair.host, &pair.guest);
            let room = pair.room(json!({ "preset": "public_chat" })).await;
            let mut said = Vec::new();
            for number in 0..15 {
                said.push(format!("before {number}"));
                host.say(&room, &said[number]).await;
            }
            guest.join_via(&room, host.server()).await;
            host.sees_member(&room, &guest.id, "join").await;
            let ids = |history: Vec<Value>| -> Vec<_> {
                history.iter().map(|event| event["event_id"].clone()).collect()
            };
            let seen = wait_for("all of the history", async || {
                let history = guest.history(&room).await;
                (texts(&history) == said).then_some(history)
            })
            .await;
            assert_eq!(ids(seen), ids(host.history(&room).await));
            let visibility = json!({ "type": "m.room.history_visibility", "state_key": "",
                "content": { "history_visibility": "joined" } });
            let body = json!({ "preset": "public_chat", "initial_state": [visibility] });
            let secret = pair.room(body).await;
            host.say(&secret, "not for you").await;
            guest.join_via(&secret, host.server()).await;
            host.sees_member(&secret, &guest.id, "join").await;
            let event = host.say(&secret, "for you").await;
            guest.sees(&secret, &event).await;
            assert_eq!(texts(&guest.history(&secret).await), ["for you"]);
            pair.agree(&secret).await;
        })
        .await;
    world.end();
}

#[tokio::test]
async fn what_is_redacted_on_one_server_is_gone_on_both() {
    let world = World::begin().await;
    world
        .tell(async |pair| {
            let room = pair.shared_room().await;
            let (host, guest) = (&pair.host, &pair.guest);
            let redact = async |by: &Person, event: &str| {
                let event = escaped(event);
                let path = format!("/redact/{event}/{event}");
                let done = by
                    .done_room("PUT", &room, &path, Some(json!({ "reason": "Tea" })))
                    .await;
                done["event_id"].as_str().unwrap().to_owned()
            };
            let is_gone = async |event: &str| {
                for person in [host, guest] {
                    let what = format!("the redaction of {event} to {}", person.id);
                    let found = wait_for(&what, async || {
                        let found = person.event(&room, event).await?;
                        found["unsigned"].get("redacted_because").map(|_| found.clone())
                    })
                    .await;
                    assert_eq!(found["content"], json!({}), "{}", person.id);
                    assert_eq!(found["unsigned"]["redacted_because"]["content"]["reason"], "Tea");
                }
            };
            // The host may redact anybody's, the guest what they said themselves.
            let (theirs, own) = (guest.say(&room, "theirs").await, guest.say(&room, "own").await);
            let his = host.say(&room, "his").await;
            for event in [&theirs, &own] {
                host.sees(&room, event).await;
            }
            guest.sees(&room, &his).await;
            redact(host, &theirs).await;
            is_gone(&theirs).await;
            redact(guest, &own).await;
            is_gone(&own).await;
            pair.agree(&room).await;
        })
        .await;
    world.end();
}
