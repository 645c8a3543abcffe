//! `rooms.yaml` and `list_joined_rooms.yaml`

use gatehouse_testkit::{started, user::escaped};
use serde_json::json;

#[tokio::test]
async fn an_event_tells_its_sender_alone_the_transaction() {
    let server = started().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let tablet = alice.log_in_again().await;
    let room = alice.public_room().await;
    bob.join(&room).await.ok();
    let event = alice.say(&room, "my-id", "x").await;
    let path = format!("/rooms/{}/event/{}", escaped(&room), escaped(&event));
    let own = alice.get(&path).await.ok();
    assert_eq!(own["unsigned"]["transaction_id"], "my-id");
    assert_eq!(own["room_id"], room.as_str());
    assert_eq!(own["sender"], alice.id);
    for other in [&tablet, &bob] {
        let seen = other.get(&path).await.ok();
        assert_eq!(seen["unsigned"].get("transaction_id"), None);
        assert_eq!(seen["content"], own["content"]);
    }
}

#[tokio::test]
async fn a_redacted_event_says_what_redacted_it() {
    let server = started().await;
    let alice = server.user("alice").await;
    for version in ["10", "11", "12"] {
        let room = alice
            .create_room(json!({ "preset": "public_chat", "room_version": version }))
            .await;
        let event = alice.say(&room, "1", "regret").await;
        let path = format!("/rooms/{}/redact/{}/2", escaped(&room), escaped(&event));
        let redaction = alice.put(&path, json!({ "reason": "typo" })).await.ok();
        let path = format!("/rooms/{}/event/{}", escaped(&room), escaped(&event));
        let left = alice.get(&path).await.ok();
        assert_eq!(left["content"], json!({}), "{version}");
        let because = &left["unsigned"]["redacted_because"];
        assert_eq!(because["event_id"], redaction["event_id"], "{version}");
        assert_eq!(because["redacts"], event.as_str(), "{version}");
        assert_eq!(
            because["content"],
            json!({ "reason": "typo", "redacts": event }),
            "{version}"
        );
    }
}

#[tokio::test]
async fn state_is_read_by_every_form_of_path() {
    let server = started().await;
    let alice = server.user("alice").await;
    let room = alice
        .create_room(json!({ "preset": "public_chat", "name": "Tea" }))
        .await;
    let base = format!("/rooms/{}/state/m.room.name", escaped(&room));
    for path in [base.clone(), format!("{base}/"), format!("{base}?format=content")] {
        assert_eq!(alice.get(&path).await.ok(), json!({ "name": "Tea" }), "{path}");
    }
    let event = alice.get(&format!("{base}/?format=event")).await.ok();
    assert_eq!(
        (&event["type"], &event["state_key"]),
        (&json!("m.room.name"), &json!(""))
    );
    alice
        .get(&format!("{base}?format=other"))
        .await
        .refused(400, "M_INVALID_PARAM");
    alice
        .get(&format!("{base}/other"))
        .await
        .refused(404, "M_NOT_FOUND");
    let replaced = alice
        .set_state(&room, "m.room.name", "", json!({ "name": "Coffee" }))
        .await
        .ok();
    let path = format!(
        "/rooms/{}/event/{}",
        escaped(&room),
        replaced["event_id"].as_str().map(escaped).unwrap()
    );
    let event = alice.get(&path).await.ok();
    assert_eq!(event["unsigned"]["prev_content"], json!({ "name": "Tea" }));
}

#[tokio::test]
async fn d07_who_left_sees_state_and_members_as_they_were() {
    let server = started().await;
    let (alice, bob, carol) = (
        server.user("alice").await,
        server.user("bob").await,
        server.user("carol").await,
    );
    let room = alice
        .create_room(json!({ "preset": "public_chat", "name": "then" }))
        .await;
    bob.join(&room).await.ok();
    alice.act_on("ban", &room, &bob.id).await.ok();
    alice
        .set_state(&room, "m.room.name", "", json!({ "name": "now" }))
        .await
        .ok();
    carol.join(&room).await.ok();
    assert_eq!(
        bob.state(&room, "m.room.name", "").await.ok(),
        json!({ "name": "then" })
    );
    bob.state(&room, "m.room.member", &carol.id)
        .await
        .refused(404, "M_NOT_FOUND");
    let members = bob.get(&format!("/rooms/{}/members", escaped(&room))).await.ok();
    assert_eq!(members["chunk"].as_array().unwrap().len(), 2);
    assert!(!bob.whole_state(&room).await.to_string().contains("carol"));
    bob.get(&format!("/rooms/{}/joined_members", escaped(&room)))
        .await
        .forbidden("not in this room");
    assert_eq!(
        alice.state(&room, "m.room.name", "").await.ok(),
        json!({ "name": "now" })
    );
}

#[tokio::test]
async fn d06_strangers_see_no_members_at_any_point() {
    let server = started().await;
    let (alice, stranger) = (server.user("alice").await, server.user("stranger").await);
    let room = alice.public_room().await;
    let since = alice.sync("", 0).await["next_batch"].as_str().unwrap().to_owned();
    for path in [
        "members".to_owned(),
        format!("members?at={since}"),
        "joined_members".to_owned(),
        "state".to_owned(),
    ] {
        let path = format!("/rooms/{}/{path}", escaped(&room));
        stranger.get(&path).await.forbidden("not in this room");
    }
    stranger
        .state(&room, "m.room.create", "")
        .await
        .forbidden("not in this room");
}

#[tokio::test]
async fn members_are_chosen_by_membership_and_point() {
    let server = started().await;
    let (alice, bob, carol) = (
        server.user("alice").await,
        server.user("bob").await,
        server.user("carol").await,
    );
    let room = alice.public_room().await;
    bob.join(&room).await.ok();
    let at = alice.sync("", 0).await["next_batch"].as_str().unwrap().to_owned();
    bob.leave(&room).await.ok();
    alice.act_on("invite", &room, &carol.id).await.ok();
    for (query, expected) in [
        (String::new(), vec![&alice.id, &bob.id, &carol.id]),
        ("?membership=join".to_owned(), vec![&alice.id]),
        ("?not_membership=join".to_owned(), vec![&bob.id, &carol.id]),
        (
            "?membership=leave&not_membership=invite".to_owned(),
            vec![&alice.id, &bob.id],
        ),
        (format!("?at={at}&membership=join"), vec![&alice.id, &bob.id]),
    ] {
        let path = format!("/rooms/{}/members{query}", escaped(&room));
        let members = alice.get(&path).await.ok();
        let mut found: Vec<_> = members["chunk"]
            .as_array()
            .unwrap()
            .iter()
            .map(|event| event["state_key"].as_str().unwrap())
            .collect();
        found.sort_unstable();
        assert_eq!(found, expected, "{query}");
    }
}

#[tokio::test]
async fn joined_members_and_joined_rooms_leave_out_the_others() {
    let server = started().await;
    let (alice, bob, carol) = (
        server.user("alice").await,
        server.user("bob").await,
        server.user("carol").await,
    );
    let room = alice.public_room().await;
    alice
        .put(
            &format!("/profile/{}/displayname", escaped(&alice.id)),
            json!({ "displayname": "Alice" }),
        )
        .await
        .ok();
    bob.join(&room).await.ok();
    bob.leave(&room).await.ok();
    alice.act_on("invite", &room, &carol.id).await.ok();
    let joined = alice
        .get(&format!("/rooms/{}/joined_members", escaped(&room)))
        .await
        .ok();
    let expected = json!({ "joined": { alice.id.clone(): { "display_name": "Alice", "avatar_url": null } } });
    assert_eq!(joined, expected);
    for (user, rooms) in [(&alice, vec![room.clone()]), (&bob, vec![]), (&carol, vec![])] {
        assert_eq!(
            user.get("/joined_rooms").await.ok(),
            json!({ "joined_rooms": rooms })
        );
    }
}
