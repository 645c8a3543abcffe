//! `message_pagination.yaml`

use gatehouse_testkit::{User, started, user::escaped};
use serde_json::{Value, json};

async fn page(user: &User<'_>, room: &str, query: &str) -> Value {
    user.get(&format!("/rooms/{}/messages?{query}", escaped(room)))
        .await
        .ok()
}

fn texts(page: &Value) -> Vec<&str> {
    let events = page["chunk"].as_array().unwrap();
    events
        .iter()
        .filter_map(|event| event["content"]["body"].as_str())
        .collect()
}

#[tokio::test]
async fn history_is_paged_back_and_forth_without_gap_or_repeat() {
    let server = started().await;
    let alice = server.user("alice").await;
    let room = alice.public_room().await;
    let said: Vec<String> = (0..25).map(|number| number.to_string()).collect();
    for text in &said {
        alice.say(&room, text, text).await;
    }
    for direction in ["f", "b"] {
        let mut seen = Vec::new();
        let mut from = String::new();
        loop {
            let page = page(&alice, &room, &format!("dir={direction}&limit=10{from}")).await;
            seen.extend(texts(&page).into_iter().map(str::to_owned));
            match page["end"].as_str() {
                Some(end) => from = format!("&from={end}"),
                None => break,
            }
        }
        if direction == "b" {
            seen.reverse();
        }
        assert_eq!(seen, said, "dir={direction}");
    }
}

#[tokio::test]
async fn tokens_of_sync_lead_into_history() {
    let server = started().await;
    let alice = server.user("alice").await;
    let room = alice.public_room().await;
    for text in ["1", "2", "3"] {
        alice.say(&room, text, text).await;
    }
    let filter = escaped(r#"{"room":{"timeline":{"limit":1}}}"#);
    let sync = alice.get(&format!("/sync?filter={filter}")).await.ok();
    let timeline = &sync["rooms"]["join"][&room]["timeline"];
    assert_eq!(timeline["events"][0]["content"]["body"], "3");
    let before = timeline["prev_batch"].as_str().unwrap();
    let earlier = page(&alice, &room, &format!("dir=b&limit=2&from={before}")).await;
    assert_eq!(texts(&earlier), ["2", "1"]);
    let since = sync["next_batch"].as_str().unwrap();
    alice.say(&room, "4", "4").await;
    let later = page(&alice, &room, &format!("dir=f&from={since}")).await;
    assert_eq!(texts(&later), ["4"]);
    let between = page(&alice, &room, &format!("dir=b&from={since}&to={before}")).await;
    assert_eq!(texts(&between), ["3"]);
}

#[tokio::test]
async fn a_filter_chooses_events_and_lazy_loading_their_senders() {
    let server = started().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let room = alice.public_room().await;
    bob.join(&room).await.ok();
    alice.say(&room, "1", "from alice").await;
    bob.say(&room, "1", "from bob").await;
    let filter = json!({ "types": ["m.room.mess*"], "not_senders": [alice.id], "lazy_load_members": true });
    let query = format!("dir=b&filter={}", escaped(&filter.to_string()));
    let page = page(&alice, &room, &query).await;
    assert_eq!(texts(&page), ["from bob"]);
    let members = page["state"].as_array().unwrap();
    assert_eq!(members.len(), 1);
    assert_eq!(members[0]["state_key"], bob.id);
}

#[tokio::test]
async fn lazy_loading_forward_has_those_who_joined_on_the_page() {
    let server = started().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let room = alice.public_room().await;
    alice.say(&room, "1", "from alice").await;
    bob.join(&room).await.ok();
    bob.say(&room, "1", "from bob").await;
    let filter = json!({ "types": ["m.room.message"], "lazy_load_members": true });
    for direction in ["b", "f"] {
        let query = format!("dir={direction}&filter={}", escaped(&filter.to_string()));
        let page = page(&alice, &room, &query).await;
        let members = page["state"].as_array().unwrap();
        let mut members: Vec<_> = members
            .iter()
            .map(|event| event["state_key"].as_str().unwrap())
            .collect();
        members.sort_unstable();
        assert_eq!(members, [alice.id.as_str(), bob.id.as_str()], "{direction}");
    }
}

#[tokio::test]
async fn null_in_a_filter_is_the_same_as_absent() {
    let server = started().await;
    let alice = server.user("alice").await;
    let room = alice.public_room().await;
    alice.say(&room, "1", "x").await;
    let filter = json!({
        "limit": null, "types": ["m.room.message"], "not_types": null, "senders": null, "not_senders": null,
        "rooms": null, "not_rooms": null, "contains_url": null, "lazy_load_members": null,
    });
    let query = format!("dir=b&filter={}", escaped(&filter.to_string()));
    assert_eq!(texts(&page(&alice, &room, &query).await), ["x"]);
}

#[tokio::test]
async fn bad_parameters_are_refused() {
    let server = started().await;
    let alice = server.user("alice").await;
    let room = alice.public_room().await;
    for (query, errcode) in [
        ("", "M_MISSING_PARAM"),
        ("dir=x", "M_INVALID_PARAM"),
        ("dir=b&from=nonsense", "M_INVALID_PARAM"),
        ("dir=b&to=t-1", "M_INVALID_PARAM"),
        ("dir=b&limit=-1", "M_INVALID_PARAM"),
        ("dir=b&filter=%7B", "M_NOT_JSON"),
        ("dir=b&filter=%5B%5D", "M_BAD_JSON"),
    ] {
        let path = format!("/rooms/{}/messages?{query}", escaped(&room));
        alice.get(&path).await.refused(400, errcode);
    }
    let huge = page(&alice, &room, "dir=b&limit=1000000").await;
    assert!(!huge["chunk"].as_array().unwrap().is_empty());
}

#[tokio::test]
async fn d05_history_is_for_those_who_may_see_it() {
    let server = started().await;
    let (alice, stranger) = (server.user("alice").await, server.user("stranger").await);
    for (visibility, before_joining, readable) in [
        ("world_readable", true, true),
        ("shared", true, false),
        ("invited", false, false),
        ("joined", false, false),
    ] {
        let room = alice
            .create_room(json!({
                "preset": "public_chat",
                "initial_state": [{
                    "type": "m.room.history_visibility", "state_key": "",
                    "content": { "history_visibility": visibility },
                }],
            }))
            .await;
        alice.say(&room, "1", "early").await;
        let path = format!("/rooms/{}/messages?dir=b&limit=100", escaped(&room));
        let answer = stranger.get(&path).await;
        if readable {
            assert!(texts(&answer.ok()).contains(&"early"), "{visibility}");
        } else {
            answer.forbidden("not in this room");
        }
        stranger.join(&room).await.ok();
        alice.say(&room, "2", "between").await;
        let joined = stranger.get(&path).await.ok();
        assert_eq!(texts(&joined).contains(&"early"), before_joining, "{visibility}");
        assert!(texts(&joined).contains(&"between"), "{visibility}");
        stranger.leave(&room).await.ok();
        alice.say(&room, "3", "late").await;
        let left = stranger.get(&path).await.ok();
        assert!(texts(&left).contains(&"between"), "{visibility}");
        assert_eq!(texts(&left).contains(&"late"), readable, "{visibility}");
    }
}

#[tokio::test]
async fn a_forgotten_room_has_no_history() {
    let server = started().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let room = alice.public_room().await;
    bob.join(&room).await.ok();
    bob.leave(&room).await.ok();
    bob.post(&format!("/rooms/{}/forget", escaped(&room)), json!({}))
        .await
        .ok();
    let path = format!("/rooms/{}/messages?dir=b", escaped(&room));
    bob.get(&path).await.forbidden("not in this room");
    bob.get("/rooms/%21nowhere%3Atest.example/messages?dir=b")
        .await
        .forbidden("not in this room");
}
