//! `event_context.yaml`

use gatehouse_testkit::{started, user::escaped};
use serde_json::{Value, json};

fn texts(events: &Value) -> Vec<&str> {
    let events = events.as_array().unwrap();
    events
        .iter()
        .filter_map(|event| event["content"]["body"].as_str())
        .collect()
}

#[tokio::test]
async fn an_event_comes_with_what_is_around_it_and_with_tokens_to_go_on() {
    let server = started().await;
    let alice = server.user("alice").await;
    let room = alice.public_room().await;
    let mut middle = String::new();
    for text in ["1", "2", "3", "4", "5"] {
        let event = alice.say(&room, text, text).await;
        if text == "3" {
            middle = event;
        }
    }
    let path = format!("/rooms/{}/context/{}?limit=2", escaped(&room), escaped(&middle));
    let context = alice.get(&path).await.ok();
    assert_eq!(context["event"]["event_id"], middle.as_str());
    assert_eq!(texts(&context["events_before"]), ["2"]);
    assert_eq!(texts(&context["events_after"]), ["4"]);
    assert!(!context["state"].as_array().unwrap().is_empty());
    for (token, direction, next) in [("start", "b", "1"), ("end", "f", "5")] {
        let from = context[token].as_str().unwrap();
        let path = format!(
            "/rooms/{}/messages?dir={direction}&limit=1&from={from}",
            escaped(&room)
        );
        assert_eq!(texts(&alice.get(&path).await.ok()["chunk"]), [next]);
    }
}

#[tokio::test]
async fn d05_context_and_event_are_for_those_who_may_see_them() {
    let server = started().await;
    let (alice, stranger) = (server.user("alice").await, server.user("stranger").await);
    let room = alice.public_room().await;
    let event = alice.say(&room, "1", "secret").await;
    let other = alice.public_room().await;
    let at = |kind: &str, room: &str| format!("/rooms/{}/{kind}/{}", escaped(room), escaped(&event));
    stranger
        .get(&at("context", &room))
        .await
        .forbidden("not in this room");
    let hidden = stranger
        .get(&at("event", &room))
        .await
        .refused(404, "M_NOT_FOUND");
    let missing = format!("/rooms/{}/event/%24nothing", escaped(&room));
    assert_eq!(stranger.get(&missing).await.refused(404, "M_NOT_FOUND"), hidden);
    // By way of another room, it does not exist even for those who may see it.
    assert_eq!(
        alice.get(&at("event", &other)).await.refused(404, "M_NOT_FOUND"),
        hidden
    );
    alice
        .get(&at("context", &other))
        .await
        .refused(404, "M_NOT_FOUND");
    assert_eq!(
        alice.get(&at("event", &room)).await.ok()["content"]["body"],
        "secret"
    );
}

#[tokio::test]
async fn d05_the_context_of_a_later_ban_or_invite_has_no_state_of_after_the_leave() {
    for action in ["ban", "invite"] {
        let server = started().await;
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let room = alice.public_room().await;
        bob.join(&room).await.ok();
        bob.leave(&room).await.ok();
        let secret = json!({ "topic": "secret" });
        alice.set_state(&room, "m.room.topic", "", secret).await.ok();
        alice.act_on(action, &room, &bob.id).await.ok();
        let state = alice.get(&format!("/rooms/{}/state", escaped(&room))).await.ok();
        let own = state
            .as_array()
            .unwrap()
            .iter()
            .find(|event| event["state_key"] == bob.id.as_str())
            .unwrap();
        let event = own["event_id"].as_str().unwrap();
        for query in ["", "&filter=%7B%22lazy_load_members%22%3Atrue%7D"] {
            let path = format!(
                "/rooms/{}/context/{}?limit=4{query}",
                escaped(&room),
                escaped(event)
            );
            let context = bob.get(&path).await.ok();
            assert_eq!(context["event"]["event_id"], event);
            assert!(!context.to_string().contains("secret"), "{action}: {context}");
            assert!(!context["state"].as_array().unwrap().is_empty());
        }
    }
}
