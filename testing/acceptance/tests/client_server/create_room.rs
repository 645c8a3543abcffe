//! `create_room.yaml`

use gatehouse_testkit::{configured, started, user::escaped};
use serde_json::{Value, json};

/// The types of a room's events, oldest first.
async fn history(user: &gatehouse_testkit::User<'_>, room: &str) -> Vec<String> {
    let page = user
        .get(&format!("/rooms/{}/messages?dir=f&limit=100", escaped(room)))
        .await
        .ok();
    let kinds = page["chunk"].as_array().unwrap().iter();
    kinds
        .map(|event| event["type"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn a_room_begins_with_everything_that_was_asked_for_in_order() {
    let server = started().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let room = alice
        .create_room(json!({
            "preset": "public_chat", "visibility": "public", "room_alias_name": "tea", "name": "Tea",
            "topic": "All of it", "invite": [bob.id, bob.id], "is_direct": true,
            "creation_content": { "m.federate": false, "room_version": "1", "creator": "@x:y" },
            "initial_state": [
                { "type": "org.example", "state_key": "k", "content": { "a": 1 } },
                { "type": "m.room.name", "content": { "name": "not this" } },
                { "type": "m.room.history_visibility", "content": { "history_visibility": "joined" } },
            ],
            "power_level_content_override": { "invite": 7 },
        }))
        .await;
    assert_eq!(
        history(&alice, &room).await,
        [
            "m.room.create",
            "m.room.member",
            "m.room.power_levels",
            "m.room.canonical_alias",
            "m.room.join_rules",
            "org.example",
            "m.room.history_visibility",
            "m.room.name",
            "m.room.topic",
            "m.room.member",
        ]
    );
    let state = async |kind: &str, key: &str| alice.state(&room, kind, key).await.ok();
    let create = state("m.room.create", "").await;
    assert_eq!(
        (&create["room_version"], &create["m.federate"]),
        (&json!("12"), &json!(false))
    );
    assert!(create["creator"].is_null(), "version 12 has no such field");
    assert_eq!(state("m.room.power_levels", "").await["invite"], 7);
    assert_eq!(
        state("m.room.power_levels", "").await["events"]["m.room.tombstone"],
        150
    );
    assert_eq!(
        state("m.room.canonical_alias", "").await["alias"],
        "#tea:test.example"
    );
    assert_eq!(state("m.room.join_rules", "").await["join_rule"], "public");
    assert_eq!(
        state("m.room.history_visibility", "").await["history_visibility"],
        "joined"
    );
    assert_eq!(state("org.example", "k").await, json!({ "a": 1 }));
    assert_eq!(state("m.room.name", "").await["name"], "Tea");
    assert_eq!(state("m.room.topic", "").await["topic"], "All of it");
    assert_eq!(state("m.room.member", &bob.id).await["is_direct"], true);
    let listed = alice.get("/publicRooms").await.ok();
    assert_eq!(listed["chunk"][0]["room_id"], room.as_str());
}

#[tokio::test]
async fn each_preset_has_its_rules_and_visibility_picks_one() {
    let server = started().await;
    let alice = server.user("alice").await;
    let cases = [
        (json!({}), "invite", "can_join"),
        (json!({ "visibility": "private" }), "invite", "can_join"),
        (json!({ "visibility": "public" }), "public", "forbidden"),
        (
            json!({ "preset": "private_chat", "visibility": "public" }),
            "invite",
            "can_join",
        ),
        (json!({ "preset": "trusted_private_chat" }), "invite", "can_join"),
        (json!({ "preset": "public_chat" }), "public", "forbidden"),
    ];
    for (body, join_rule, guest_access) in cases {
        let room = alice.create_room(body.clone()).await;
        assert_eq!(
            alice.state(&room, "m.room.join_rules", "").await.ok()["join_rule"],
            join_rule,
            "{body}"
        );
        let guests = alice.state(&room, "m.room.guest_access", "").await;
        // Where there is no such event, guests are forbidden (specification, m.room.guest_access).
        assert_eq!(
            guests.body["guest_access"].as_str().unwrap_or("forbidden"),
            guest_access,
            "{body}"
        );
        let history = alice.state(&room, "m.room.history_visibility", "").await.ok();
        assert_eq!(history["history_visibility"], "shared", "{body}");
    }
}

#[tokio::test]
async fn the_trusted_have_the_creators_power() {
    let server = started().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let trusted = json!({ "preset": "trusted_private_chat", "invite": [bob.id], "room_version": "11" });
    let room = alice.create_room(trusted).await;
    let levels = alice.state(&room, "m.room.power_levels", "").await.ok();
    assert_eq!(levels["users"], json!({ &alice.id: 100, &bob.id: 100 }));
    let room = alice
        .create_room(json!({ "preset": "trusted_private_chat", "invite": [bob.id] }))
        .await;
    let create = alice.state(&room, "m.room.create", "").await.ok();
    assert_eq!(create["additional_creators"], json!([bob.id]));
    let levels = alice.state(&room, "m.room.power_levels", "").await.ok();
    assert_eq!(levels["users"], json!({}));
}

#[tokio::test]
async fn rooms_of_every_version_can_be_made_and_talked_in() {
    let server = started().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    for version in 1..=12 {
        let version = version.to_string();
        let room = alice
            .create_room(json!({ "preset": "public_chat", "room_version": version }))
            .await;
        let create = alice.state(&room, "m.room.create", "").await.ok();
        let stated = create["room_version"].as_str().unwrap_or("1");
        assert_eq!(stated, version);
        assert_eq!(room.contains(':'), version != "12", "{room} of version {version}");
        bob.join(&room).await.ok();
        bob.say(&room, &format!("t{version}"), "hello").await;
    }
}

#[tokio::test]
async fn older_paths_make_rooms_whose_ids_their_clients_can_read() {
    let server = started().await;
    let alice = server.user("alice").await;
    for (prefix, version) in [("v3", "12"), ("r0", "11"), ("api/v1", "11")] {
        let path = format!("/_matrix/client/{prefix}/createRoom");
        let answer = alice.request("POST", &path, Some(&json!({}))).await.ok();
        let create = alice
            .state(answer["room_id"].as_str().unwrap(), "m.room.create", "")
            .await
            .ok();
        assert_eq!(create["room_version"], version, "{prefix}");
    }
}

#[tokio::test]
async fn what_cannot_be_made_is_refused_with_a_code_each() {
    let server = started().await;
    let alice = server.user("alice").await;
    let cases = [
        (json!({ "room_version": "bogus" }), "M_UNSUPPORTED_ROOM_VERSION"),
        (json!({ "room_version": 1 }), "M_BAD_JSON"),
        (json!({ "preset": "bogus" }), "M_BAD_JSON"),
        (json!({ "name": 5 }), "M_BAD_JSON"),
        (json!({ "creation_content": [] }), "M_BAD_JSON"),
        (json!({ "creation_content": { "x": 1.5 } }), "M_BAD_JSON"),
        (json!({ "initial_state": [{ "type": "x" }] }), "M_MISSING_PARAM"),
        (json!({ "invite": ["bob"] }), "M_INVALID_PARAM"),
        (json!({ "room_alias_name": "a b" }), "M_INVALID_PARAM"),
        (
            json!({ "initial_state": [{ "type": "m.room.member", "content": {} }] }),
            "M_INVALID_PARAM",
        ),
        (
            json!({ "room_version": "11", "power_level_content_override": { "users": {} }, "name": "x" }),
            "M_INVALID_ROOM_STATE",
        ),
    ];
    for (body, code) in cases {
        let answer = alice.post("/createRoom", body.clone()).await;
        assert_eq!(answer.body["errcode"], code, "{body}");
        answer.refused(400, code);
    }
    assert_eq!(
        alice.get("/joined_rooms").await.ok()["joined_rooms"],
        json!([]),
        "nothing is half made"
    );
}

#[tokio::test]
async fn an_alias_is_given_once() {
    let server = started().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    alice.create_room(json!({ "room_alias_name": "tea" })).await;
    bob.post("/createRoom", json!({ "room_alias_name": "tea" }))
        .await
        .refused(400, "M_ROOM_IN_USE");
    assert_eq!(bob.get("/joined_rooms").await.ok()["joined_rooms"], json!([]));

    let body = json!({ "room_alias_name": "coffee" });
    let tries = (0..10).map(|_| bob.post("/createRoom", body.clone()));
    let answers = futures_util::future::join_all(tries).await;
    let made: Vec<_> = answers.iter().filter(|answer| answer.status == 200).collect();
    assert_eq!(made.len(), 1, "ten at once");
    for answer in answers.iter().filter(|answer| answer.status != 200) {
        assert_eq!(
            (answer.status, &answer.body["errcode"]),
            (400, &json!("M_ROOM_IN_USE"))
        );
    }
}

#[tokio::test]
async fn t03_too_many_invites_are_refused_as_a_whole() {
    let server = configured(|config| config.rate_limits.enabled = true).await;
    let alice = server.user("alice").await;
    let many: Vec<Value> = (0..1_000).map(|n| json!(format!("@u{n}:test.example"))).collect();
    alice
        .post("/createRoom", json!({ "invite": many }))
        .await
        .refused(429, "M_LIMIT_EXCEEDED");
    assert_eq!(
        alice.get("/joined_rooms").await.ok()["joined_rooms"],
        json!([]),
        "no half-made room"
    );
    // The refusal cost nothing: as many as are allowed at once still go through.
    alice.create_room(json!({ "invite": &many[..20] })).await;
    // T01: and they count together with those sent one by one.
    let room = alice.public_room().await;
    alice
        .act_on("invite", &room, "@u20:test.example")
        .await
        .refused(429, "M_LIMIT_EXCEEDED");
}
