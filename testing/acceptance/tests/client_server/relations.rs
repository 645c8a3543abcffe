//! `relations.yaml` and `threads_list.yaml`

use gatehouse_testkit::{User, started, user::escaped};
use serde_json::{Value, json};

async fn relate(user: &User<'_>, room: &str, id: &str, rel_type: &str, parent: &str) -> String {
    let content = json!({ "body": id, "m.relates_to": { "rel_type": rel_type, "event_id": parent } });
    let path = format!("/rooms/{}/send/m.room.message/{id}", escaped(room));
    let sent = user.put(&path, content).await.ok();
    sent["event_id"].as_str().unwrap().to_owned()
}

async fn relations(user: &User<'_>, room: &str, rest: &str) -> gatehouse_testkit::Answer {
    let path = format!("/_matrix/client/v1/rooms/{}/{rest}", escaped(room));
    user.request("GET", &path, None).await
}

fn ids(page: &Value) -> Vec<&str> {
    let events = page["chunk"].as_array().unwrap();
    events
        .iter()
        .filter_map(|event| event["event_id"].as_str())
        .collect()
}

#[tokio::test]
async fn what_relates_to_an_event_is_found_by_kind_and_in_pages() {
    let server = started().await;
    let (alice, stranger) = (server.user("alice").await, server.user("stranger").await);
    let room = alice.public_room().await;
    let parent = alice.say(&room, "0", "x").await;
    let first = relate(&alice, &room, "1", "m.thread", &parent).await;
    let second = relate(&alice, &room, "2", "m.reference", &parent).await;
    let third = relate(&alice, &room, "3", "m.thread", &parent).await;
    let deep = relate(&alice, &room, "4", "m.reference", &third).await;
    let at = format!("relations/{}", escaped(&parent));
    assert_eq!(
        ids(&relations(&alice, &room, &at).await.ok()),
        [&*third, &*second, &*first]
    );
    assert_eq!(
        ids(&relations(&alice, &room, &format!("{at}?dir=f")).await.ok()),
        [&*first, &*second, &*third]
    );
    let threads = relations(&alice, &room, &format!("{at}/m.thread")).await.ok();
    assert_eq!(ids(&threads), [&*third, &*first]);
    let none = relations(&alice, &room, &format!("{at}/m.thread/m.reaction"))
        .await
        .ok();
    assert!(ids(&none).is_empty());
    let all = relations(&alice, &room, &format!("{at}?recurse=true")).await.ok();
    assert_eq!(ids(&all), [&*deep, &*third, &*second, &*first]);
    assert!(all["recursion_depth"].is_u64());
    let page = relations(&alice, &room, &format!("{at}?limit=2")).await.ok();
    let next = page["next_batch"].as_str().unwrap();
    let rest = relations(&alice, &room, &format!("{at}?limit=2&from={next}"))
        .await
        .ok();
    assert_eq!(ids(&rest), [&*first]);
    assert_eq!(rest.get("next_batch"), None);
    relations(&alice, &room, "relations/%24nothing")
        .await
        .refused(404, "M_NOT_FOUND");
    // The page has one error, for events that are not there and for those that one may not see.
    let hidden = relations(&stranger, &room, &at).await.refused(404, "M_NOT_FOUND");
    let missing = relations(&alice, &room, "relations/%24nothing").await;
    assert_eq!(missing.refused(404, "M_NOT_FOUND"), hidden);
}

#[tokio::test]
async fn threads_are_listed_and_bundled_until_they_are_redacted() {
    let server = started().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let room = alice.public_room().await;
    bob.join(&room).await.ok();
    let (one, two) = (
        alice.say(&room, "0", "one").await,
        alice.say(&room, "1", "two").await,
    );
    let answer = relate(&bob, &room, "2", "m.thread", &two).await;
    relate(&alice, &room, "3", "m.thread", &one).await;
    let all = relations(&alice, &room, "threads").await.ok();
    assert_eq!(ids(&all), [&*one, &*two]);
    let bundle = &all["chunk"][1]["unsigned"]["m.relations"]["m.thread"];
    assert_eq!(
        (&bundle["count"], &bundle["latest_event"]["event_id"]),
        (&json!(1), &json!(answer))
    );
    let own = relations(&bob, &room, "threads?include=participated").await.ok();
    assert_eq!(ids(&own), [&*two]);
    let page = relations(&alice, &room, "threads?limit=1").await.ok();
    let next = page["next_batch"].as_str().unwrap();
    let rest = relations(&alice, &room, &format!("threads?limit=1&from={next}"))
        .await
        .ok();
    assert_eq!(ids(&rest), [&*two]);
    bob.put(
        &format!("/rooms/{}/redact/{}/9", escaped(&room), escaped(&answer)),
        json!({}),
    )
    .await
    .ok();
    assert_eq!(ids(&relations(&alice, &room, "threads").await.ok()), [&*one]);
    relations(&alice, &room, "threads?from=nonsense")
        .await
        .refused(400, "M_INVALID_PARAM");
}

#[tokio::test]
async fn e24_a_redacted_replacement_is_bundled_no_more() {
    let server = started().await;
    let alice = server.user("alice").await;
    let room = alice.public_room().await;
    let event = alice.say(&room, "0", "x").await;
    let content = json!({
        "body": "* secret", "m.new_content": { "body": "secret" },
        "m.relates_to": { "rel_type": "m.replace", "event_id": event },
    });
    let sent = alice
        .put(
            &format!("/rooms/{}/send/m.room.message/1", escaped(&room)),
            content,
        )
        .await
        .ok();
    let edit = sent["event_id"].as_str().unwrap();
    let path = format!("/rooms/{}/event/{}", escaped(&room), escaped(&event));
    let shown = alice.get(&path).await.ok();
    assert_eq!(shown["unsigned"]["m.relations"]["m.replace"]["event_id"], edit);
    assert_eq!(shown["content"]["body"], "x", "the event itself stays as it was");
    alice
        .put(
            &format!("/rooms/{}/redact/{}/2", escaped(&room), escaped(edit)),
            json!({}),
        )
        .await
        .ok();
    assert!(!alice.get(&path).await.ok().to_string().contains("secret"));
    let at = format!("relations/{}", escaped(&event));
    assert!(ids(&relations(&alice, &room, &at).await.ok()).is_empty());
}
