//! `sync.yaml`, and `old_sync.yaml` and `room_initial_sync.yaml` that it replaced.

use std::time::{Duration, Instant};

use gatehouse_testkit::{User, started, user::escaped};
use serde_json::{Value, json};

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value
        .pointer(pointer)
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default()
}

/// The part of a room in a response: `join`, `invite`, `knock` or `leave`.
fn part<'a>(response: &'a Value, section: &str, room: &str) -> &'a Value {
    response
        .get("rooms")
        .and_then(|rooms| rooms.get(section))
        .and_then(|rooms| rooms.get(room))
        .unwrap_or(&Value::Null)
}

fn bodies(events: &[Value]) -> Vec<&str> {
    events
        .iter()
        .map(|event| text(event, "/content/body"))
        .filter(|body| !body.is_empty())
        .collect()
}

fn types(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| text(event, "/type")).collect()
}

async fn sync_with(user: &User<'_>, since: &str, query: &str) -> Value {
    let since = if since.is_empty() {
        String::new()
    } else {
        format!("&since={since}")
    };
    user.get(&format!("/sync?timeout=0{since}{query}")).await.ok()
}

fn filter(filter: &Value) -> String {
    format!("&filter={}", escaped(&filter.to_string()))
}

#[tokio::test]
async fn an_initial_sync_has_all_parts_that_clients_look_for() {
    let server = started().await;
    let alice = server.user("alice").await;
    let response = alice.sync("", 0).await;
    assert!(!text(&response, "/next_batch").is_empty());
    for pointer in [
        "/rooms/join",
        "/rooms/invite",
        "/rooms/knock",
        "/rooms/leave",
        "/device_one_time_keys_count",
        "/device_lists",
    ] {
        assert!(
            response.pointer(pointer).is_some_and(Value::is_object),
            "{pointer}: {response}"
        );
    }
    for pointer in [
        "/presence/events",
        "/account_data/events",
        "/to_device/events",
        "/device_unused_fallback_key_types",
    ] {
        assert!(
            response.pointer(pointer).is_some_and(Value::is_array),
            "{pointer}: {response}"
        );
    }
    let rules = list(&response, "/account_data/events")
        .iter()
        .find(|event| text(event, "/type") == "m.push_rules");
    assert!(rules.is_some_and(|rules| rules.pointer("/content/global/override").is_some()));
    let rules_page = alice.get("/pushrules/").await.ok();
    assert_eq!(rules.and_then(|rules| rules.get("content")), Some(&rules_page));
}

#[tokio::test]
async fn a_sync_has_what_came_since_and_nothing_twice() {
    let server = started().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let room = alice.public_room().await;
    bob.join(&room).await.ok();
    let first = bob.sync("", 0).await;
    alice.say(&room, "1", "one").await;
    alice.say(&room, "2", "two").await;
    let second = bob.sync(text(&first, "/next_batch"), 0).await;
    let joined = part(&second, "join", &room);
    assert_eq!(bodies(list(joined, "/timeline/events")), ["one", "two"]);
    assert_eq!(joined.pointer("/timeline/limited"), Some(&json!(false)));
    assert!(list(joined, "/state/events").is_empty());
    assert!(joined.get("summary").is_none(), "nothing of it changed");
    let third = bob.sync(text(&second, "/next_batch"), 0).await;
    assert_eq!(third.pointer("/rooms/join"), Some(&json!({})));
    // The same token gives the same again.
    let again = bob.sync(text(&first, "/next_batch"), 0).await;
    assert_eq!(
        bodies(list(part(&again, "join", &room), "/timeline/events")),
        ["one", "two"]
    );
}

#[tokio::test]
async fn a_gap_is_told_and_can_be_filled() {
    let server = started().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let room = alice.public_room().await;
    bob.join(&room).await.ok();
    let first = bob.sync("", 0).await;
    alice
        .set_state(&room, "m.room.topic", "", json!({ "topic": "in the gap" }))
        .await
        .ok();
    for number in 0..5 {
        alice.say(&room, &number.to_string(), &number.to_string()).await;
    }
    let limited = filter(&json!({ "room": { "timeline": { "limit": 2 } } }));
    let second = sync_with(&bob, text(&first, "/next_batch"), &limited).await;
    let joined = part(&second, "join", &room);
    assert_eq!(joined.pointer("/timeline/limited"), Some(&json!(true)));
    assert_eq!(bodies(list(joined, "/timeline/events")), ["3", "4"]);
    assert_eq!(types(list(joined, "/state/events")), ["m.room.topic"]);
    let (from, to) = (text(joined, "/timeline/prev_batch"), text(&first, "/next_batch"));
    let path = format!("/rooms/{}/messages?dir=b&from={from}&to={to}", escaped(&room));
    let page = bob.get(&path).await.ok();
    assert_eq!(bodies(list(&page, "/chunk")), ["2", "1", "0"]);
    assert_eq!(list(&page, "/chunk").len(), 4, "and the topic: {page}");
}

#[tokio::test]
async fn state_after_is_the_state_at_the_end_of_the_timeline() {
    let server = started().await;
    let alice = server.user("alice").await;
    let room = alice.public_room().await;
    let first = sync_with(&alice, "", "&use_state_after=true").await;
    let joined = part(&first, "join", &room);
    assert!(joined.get("state").is_none());
    assert!(types(list(joined, "/state_after/events")).contains(&"m.room.create"));
    alice
        .set_state(&room, "m.room.topic", "", json!({ "topic": "x" }))
        .await
        .ok();
    let second = sync_with(&alice, text(&first, "/next_batch"), "&use_state_after=true").await;
    let joined = part(&second, "join", &room);
    assert_eq!(types(list(joined, "/state_after/events")), ["m.room.topic"]);
    assert_eq!(types(list(joined, "/timeline/events")), ["m.room.topic"]);
    let third = sync_with(
        &alice,
        text(&second, "/next_batch"),
        "&use_state_after=true&full_state=true",
    )
    .await;
    assert!(types(list(part(&third, "join", &room), "/state_after/events")).contains(&"m.room.create"));
}

#[tokio::test]
async fn a_waiting_sync_answers_when_something_happens() {
    let server = started().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let room = alice.public_room().await;
    bob.join(&room).await.ok();
    let first = bob.sync("", 0).await;
    let began = Instant::now();
    let (response, _) = tokio::join!(
        bob.sync(text(&first, "/next_batch"), 30_000),
        alice.say(&room, "1", "hello")
    );
    assert!(began.elapsed() < Duration::from_secs(10));
    assert_eq!(
        bodies(list(part(&response, "join", &room), "/timeline/events")),
        ["hello"]
    );
}

#[tokio::test]
async fn invites_and_knocks_come_with_stripped_state() {
    let server = started().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let room = alice
        .create_room(json!({ "preset": "private_chat", "name": "Tea" }))
        .await;
    alice.act_on("invite", &room, &bob.id).await.ok();
    let response = bob.sync("", 0).await;
    let stripped = list(part(&response, "invite", &room), "/invite_state/events");
    for kind in ["m.room.create", "m.room.name", "m.room.member"] {
        assert!(types(stripped).contains(&kind), "{kind}: {stripped:?}");
    }
    for event in stripped {
        assert!(
            event.get("event_id").is_none() && event.get("unsigned").is_none(),
            "{event}"
        );
    }
    let own = stripped.iter().find(|event| text(event, "/state_key") == bob.id);
    assert_eq!(own.map(|own| text(own, "/content/membership")), Some("invite"));
    // Turned down, it is in `leave` once.
    bob.leave(&room).await.ok();
    let after = bob.sync(text(&response, "/next_batch"), 0).await;
    assert!(part(&after, "leave", &room).is_object());
    let rules = json!({ "join_rule": "knock" });
    alice.set_state(&room, "m.room.join_rules", "", rules).await.ok();
    bob.post(&format!("/knock/{}", escaped(&room)), json!({}))
        .await
        .ok();
    let knocked = bob.sync(text(&after, "/next_batch"), 0).await;
    assert!(types(list(part(&knocked, "knock", &room), "/knock_state/events")).contains(&"m.room.create"));
}

#[tokio::test]
async fn only_the_sending_device_sees_its_transaction_id() {
    let server = started().await;
    let alice = server.user("alice").await;
    let other = alice.log_in_again().await;
    let room = alice.public_room().await;
    alice.say(&room, "mine", "hello").await;
    for (device, expected) in [(&alice, "mine"), (&other, "")] {
        let response = device.sync("", 0).await;
        let events = list(part(&response, "join", &room), "/timeline/events");
        assert_eq!(
            events.last().map(|event| text(event, "/unsigned/transaction_id")),
            Some(expected)
        );
    }
}

#[tokio::test]
async fn lazy_loading_sends_those_who_speak_once() {
    let server = started().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let room = alice
        .create_room(json!({ "preset": "public_chat", "name": "named" }))
        .await;
    bob.join(&room).await.ok();
    for number in 0..3 {
        alice.say(&room, &number.to_string(), "x").await;
    }
    let lazy =
        filter(&json!({ "room": { "timeline": { "limit": 2 }, "state": { "lazy_load_members": true } } }));
    let members = |response: &Value| -> Vec<String> {
        let state = list(part(response, "join", &room), "/state/events");
        let members = state
            .iter()
            .filter(|event| text(event, "/type") == "m.room.member");
        members
            .map(|event| text(event, "/state_key").to_owned())
            .collect()
    };
    let first = sync_with(&alice, "", &lazy).await;
    assert_eq!(members(&first), [alice.id.as_str()]);
    bob.say(&room, "b1", "x").await;
    let second = sync_with(&alice, text(&first, "/next_batch"), &lazy).await;
    assert_eq!(members(&second), [bob.id.as_str()]);
    bob.say(&room, "b2", "x").await;
    let third = sync_with(&alice, text(&second, "/next_batch"), &lazy).await;
    assert_eq!(members(&third), [""; 0]);
    // The response is lost, and asked for again.
    let again = sync_with(&alice, text(&first, "/next_batch"), &lazy).await;
    assert_eq!(members(&again), [bob.id.as_str()]);
}

#[tokio::test]
async fn account_data_comes_when_it_changes() {
    let server = started().await;
    let alice = server.user("alice").await;
    let room = alice.public_room().await;
    let first = alice.sync("", 0).await;
    let user = escaped(&alice.id);
    alice
        .put(
            &format!("/user/{user}/account_data/org.example"),
            json!({ "a": 1 }),
        )
        .await
        .ok();
    let path = format!("/user/{user}/rooms/{}/account_data/org.example", escaped(&room));
    alice.put(&path, json!({ "b": 2 })).await.ok();
    let second = alice.sync(text(&first, "/next_batch"), 0).await;
    let global = json!([{ "type": "org.example", "content": { "a": 1 } }]);
    assert_eq!(second.pointer("/account_data/events"), Some(&global));
    let of_room = json!([{ "type": "org.example", "content": { "b": 2 } }]);
    assert_eq!(
        part(&second, "join", &room).pointer("/account_data/events"),
        Some(&of_room)
    );
    let third = alice.sync(text(&second, "/next_batch"), 0).await;
    assert_eq!(third.pointer("/account_data/events"), Some(&json!([])));
}

#[tokio::test]
async fn bad_parameters_are_refused() {
    let server = started().await;
    let alice = server.user("alice").await;
    for query in [
        "since=nonsense",
        "filter=nonsense",
        "timeout=soon",
        "filter=%7B",
        "filter=%7B%22room%22%3A1%7D",
    ] {
        alice
            .get(&format!("/sync?{query}"))
            .await
            .refused(400, "M_INVALID_PARAM");
    }
    for query in ["from=nonsense", "limit=many", "limit=-1", "timeout=soon"] {
        alice
            .get(&format!("/events?{query}"))
            .await
            .refused(400, "M_INVALID_PARAM");
    }
    alice
        .get("/initialSync?limit=many")
        .await
        .refused(400, "M_INVALID_PARAM");
}

#[tokio::test]
async fn a_restart_loses_nothing_and_repeats_nothing() {
    let mut server = started().await;
    let room = {
        let alice = server.user("alice").await;
        alice.public_room().await
    };
    let login = json!({
        "type": "m.login.password", "identifier": { "type": "m.id.user", "user": "alice" },
        "password": "password of alice",
    });
    let answer = server
        .request("POST", "/_matrix/client/v3/login", Some(&login))
        .await
        .ok();
    let since = {
        let alice = User::from_login(&server, &answer);
        let since = text(&alice.sync("", 0).await, "/next_batch").to_owned();
        alice.say(&room, "1", "before").await;
        since
    };
    server.restart().await.unwrap();
    let alice = User::from_login(&server, &answer);
    alice.say(&room, "2", "after").await;
    let response = alice.sync(&since, 0).await;
    assert_eq!(
        bodies(list(part(&response, "join", &room), "/timeline/events")),
        ["before", "after"]
    );
}

#[tokio::test]
async fn the_event_stream_goes_on_where_initial_sync_ends() {
    let server = started().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let room = alice
        .create_room(json!({ "preset": "public_chat", "visibility": "public" }))
        .await;
    alice.say(&room, "1", "before").await;
    let start = alice.get("/initialSync?limit=2").await.ok();
    let snapshot = list(&start, "/rooms").first().cloned().unwrap_or_default();
    assert_eq!(text(&snapshot, "/membership"), "join");
    assert_eq!(text(&snapshot, "/visibility"), "public");
    assert_eq!(list(&snapshot, "/messages/chunk").len(), 2);
    assert!(types(list(&snapshot, "/state")).contains(&"m.room.create"));
    let from = text(&start, "/end").to_owned();
    bob.join(&room).await.ok();
    bob.say(&room, "1", "after").await;
    let page = alice.get(&format!("/events?from={from}&timeout=0")).await.ok();
    assert_eq!(types(list(&page, "/chunk")), ["m.room.member", "m.room.message"]);
    assert!(
        list(&page, "/chunk")
            .iter()
            .all(|event| text(event, "/room_id") == room)
    );
    let end = text(&page, "/end").to_owned();
    let path = format!("/events?from={end}&timeout=30000");
    let (page, _) = tokio::join!(alice.get(&path), bob.say(&room, "2", "later"));
    assert_eq!(bodies(list(&page.ok(), "/chunk")), ["later"]);
}

#[tokio::test]
async fn a_room_can_be_looked_at_alone() {
    let server = started().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let room = alice.public_room().await;
    let path = format!("/rooms/{}/initialSync?limit=1", escaped(&room));
    bob.get(&path).await.refused(403, "M_FORBIDDEN");
    bob.join(&room).await.ok();
    alice.say(&room, "1", "while in").await;
    bob.leave(&room).await.ok();
    alice.say(&room, "2", "secret").await;
    let snapshot = bob.get(&path).await.ok();
    assert_eq!(text(&snapshot, "/membership"), "leave");
    assert!(!snapshot.to_string().contains("secret"));
    // Everybody may look into a world readable room, and follow it.
    let visibility = json!({ "history_visibility": "world_readable" });
    alice
        .set_state(&room, "m.room.history_visibility", "", visibility)
        .await
        .ok();
    let carol = server.user("carol").await;
    let seen = carol.get(&path).await.ok();
    assert_eq!(text(&seen, "/room_id"), room);
    assert_eq!(text(&seen, "/membership"), "leave", "who only looks is no member");
    let from = carol.get("/events?timeout=0").await.ok();
    let follow = format!(
        "/events?room_id={}&timeout=30000&from={}",
        escaped(&room),
        text(&from, "/end")
    );
    let (page, _) = tokio::join!(carol.get(&follow), alice.say(&room, "3", "public"));
    assert_eq!(bodies(list(&page.ok(), "/chunk")), ["public"]);
}

#[tokio::test]
async fn who_joins_is_told_of_data_set_for_the_room_before() {
    let server = started().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let room = alice.public_room().await;
    let begin = bob.sync("", 0).await;
    let path = format!("/user/{}/rooms/{}/tags/u.work", escaped(&bob.id), escaped(&room));
    bob.put(&path, json!({ "order": 0.5 })).await.ok();
    let before = bob.sync(text(&begin, "/next_batch"), 0).await;
    bob.join(&room).await.ok();
    let joined = bob.sync(text(&before, "/next_batch"), 0).await;
    let data = &joined["rooms"]["join"][&room]["account_data"]["events"];
    let tags = json!([{ "type": "m.tag", "content": { "tags": { "u.work": { "order": 0.5 } } } }]);
    assert_eq!(*data, tags);
    bob.leave(&room).await.ok();
    bob.join(&room).await.ok();
    let stayed = bob.sync(text(&joined, "/next_batch"), 0).await;
    let data = &stayed["rooms"]["join"][&room]["account_data"]["events"];
    assert_eq!(*data, json!([]), "the client has it");
}
