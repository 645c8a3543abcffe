//! `account-data.yaml`

use gatehouse_testkit::{User, started, user::escaped};
use serde_json::{Value, json};

fn global(user: &User<'_>, kind: &str) -> String {
    format!("/user/{}/account_data/{kind}", escaped(&user.id))
}

fn of_room(user: &User<'_>, room: &str, kind: &str) -> String {
    format!(
        "/user/{}/rooms/{}/account_data/{kind}",
        escaped(&user.id),
        escaped(room)
    )
}

/// How often this type is among the events.
fn count(events: &Value, kind: &str) -> usize {
    events.as_array().map_or(0, |events| {
        events.iter().filter(|event| event["type"] == kind).count()
    })
}

#[tokio::test]
async fn account_data_is_kept_and_replaced_for_all_rooms_and_for_one() {
    let server = started().await;
    let alice = server.user("alice").await;
    let room = alice.public_room().await;
    for path in [
        global(&alice, "org.example.a"),
        of_room(&alice, &room, "org.example.a"),
    ] {
        alice.get(&path).await.refused(404, "M_NOT_FOUND");
        alice.put(&path, json!({ "is": &path, "n": 1 })).await.ok();
        alice.put(&path, json!({ "is": &path })).await.ok();
        assert_eq!(alice.get(&path).await.ok(), json!({ "is": &path }));
    }
    let kept = alice.get(&global(&alice, "org.example.a")).await.ok();
    assert_eq!(kept["is"], json!(global(&alice, "org.example.a")));
}

#[tokio::test]
async fn account_data_is_ones_own() {
    let server = started().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let room = alice.public_room().await;
    bob.join(&room).await.ok();
    for path in [
        global(&alice, "org.example.a"),
        of_room(&alice, &room, "org.example.a"),
    ] {
        alice.put(&path, json!({ "secret": true })).await.ok();
        bob.get(&path).await.refused(403, "M_FORBIDDEN");
        bob.put(&path, json!({})).await.refused(403, "M_FORBIDDEN");
        assert_eq!(alice.get(&path).await.ok(), json!({ "secret": true }));
    }
    let sync = bob.sync("", 0).await;
    assert!(!sync.to_string().contains("org.example.a"), "{sync}");
}

#[tokio::test]
async fn types_of_the_servers_own_cannot_be_set() {
    let server = started().await;
    let alice = server.user("alice").await;
    let room = alice.public_room().await;
    for kind in ["m.fully_read", "m.push_rules"] {
        for path in [global(&alice, kind), of_room(&alice, &room, kind)] {
            alice
                .put(&path, json!({ "event_id": "$x" }))
                .await
                .refused(405, "M_BAD_JSON");
        }
    }
}

#[tokio::test]
async fn account_data_is_an_object_of_a_bounded_type_and_size() {
    let server = started().await;
    let alice = server.user("alice").await;
    for bad in [json!([]), json!("text"), json!(1), json!(null)] {
        alice
            .put(&global(&alice, "org.example.a"), bad)
            .await
            .refused(400, "M_BAD_JSON");
    }
    let long = "a".repeat(256);
    alice
        .put(&global(&alice, &long), json!({}))
        .await
        .refused(400, "M_INVALID_PARAM");
    let large = json!({ "x": "x".repeat(1024 * 1024) });
    alice
        .put(&global(&alice, "org.example.a"), large)
        .await
        .refused(413, "M_TOO_LARGE");
    alice
        .get(&global(&alice, "org.example.a"))
        .await
        .refused(404, "M_NOT_FOUND");
}

#[tokio::test]
async fn a_sync_shows_account_data_once() {
    let server = started().await;
    let alice = server.user("alice").await;
    let room = alice.public_room().await;
    let first = alice.sync("", 0).await;
    for number in 0..3 {
        alice
            .put(&global(&alice, "org.example.a"), json!({ "n": number }))
            .await
            .ok();
        alice
            .put(&of_room(&alice, &room, "org.example.b"), json!({ "n": number }))
            .await
            .ok();
    }
    let second = alice.sync(first["next_batch"].as_str().unwrap(), 0).await;
    let own = &second["account_data"]["events"];
    let rooms = &second["rooms"]["join"][&room]["account_data"]["events"];
    assert_eq!(
        (count(own, "org.example.a"), count(rooms, "org.example.b")),
        (1, 1),
        "{second}"
    );
    assert_eq!(own[0], json!({ "type": "org.example.a", "content": { "n": 2 } }));
    let third = alice.sync(second["next_batch"].as_str().unwrap(), 0).await;
    assert!(!third.to_string().contains("org.example"), "{third}");
}

#[tokio::test]
async fn numbers_that_nobody_can_read_are_refused_and_syncs_go_on() {
    let server = started().await;
    let alice = server.user("alice").await;
    let path = format!(
        "{}/_matrix/client/v3/user/{}/account_data/org.example",
        server.base(),
        escaped(&alice.id)
    );
    let endless = "9".repeat(400);
    for number in ["1e400", "-1e400", &endless] {
        let asked = server.http().put(&path).bearer_auth(&alice.token);
        let answer = asked.body(format!("{{\"a\":{number}}}")).send().await.unwrap();
        assert_eq!(answer.status(), 400, "{number}");
        let body = answer.text().await.unwrap();
        assert!(body.contains("M_BAD_JSON"), "{number}: {body}");
    }
    alice.sync("", 0).await;
    alice.get("/initialSync").await.ok();
}
