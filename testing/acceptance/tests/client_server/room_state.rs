//! `room_state.yaml`

use gatehouse_testkit::{started, user::escaped};
use serde_json::json;

use crate::snapshot;

#[tokio::test]
async fn every_form_of_the_path_sets_the_same_state() {
    let server = started().await;
    let alice = server.user("alice").await;
    let room = alice.public_room().await;
    let base = format!("/rooms/{}/state/org.example", escaped(&room));
    for (n, path) in [base.clone(), format!("{base}/")].iter().enumerate() {
        let answer = alice.put(path, json!({ "n": n })).await.ok();
        assert!(answer["event_id"].as_str().unwrap().starts_with('$'));
        assert_eq!(
            alice.state(&room, "org.example", "").await.ok(),
            json!({ "n": n })
        );
    }
    alice
        .put(&format!("{base}/{}", escaped("a/b c")), json!({ "n": 9 }))
        .await
        .ok();
    assert_eq!(
        alice.state(&room, "org.example", "a/b c").await.ok(),
        json!({ "n": 9 })
    );
}

#[tokio::test]
async fn setting_what_is_so_already_writes_nothing() {
    let server = started().await;
    let alice = server.user("alice").await;
    let room = alice.public_room().await;
    let first = alice
        .set_state(&room, "m.room.topic", "", json!({ "topic": "x" }))
        .await
        .ok();
    let before = snapshot::of(&alice, &room).await;
    let second = alice
        .set_state(&room, "m.room.topic", "", json!({ "topic": "x" }))
        .await
        .ok();
    assert_eq!(first, second);
    assert_eq!(snapshot::of(&alice, &room).await, before);
}

#[tokio::test]
async fn b20_a_membership_is_one_of_five() {
    let server = started().await;
    let alice = server.user("alice").await;
    let room = alice.public_room().await;
    let before = snapshot::of(&alice, &room).await;
    for content in [
        json!({}),
        json!({ "membership": "bogus" }),
        json!({ "membership": 1 }),
    ] {
        alice
            .set_state(&room, "m.room.member", &alice.id, content)
            .await
            .refused(400, "M_BAD_JSON");
    }
    let join = json!({ "membership": "join" });
    alice
        .set_state(&room, "m.room.member", "nobody", join)
        .await
        .refused(400, "M_BAD_JSON");
    assert_eq!(snapshot::of(&alice, &room).await, before);
}

#[tokio::test]
async fn memberships_set_as_state_follow_the_rules_of_their_action() {
    let server = started().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let room = alice.create_room(json!({})).await;
    let set = async |target: &str, membership: &str| {
        alice
            .set_state(
                &room,
                "m.room.member",
                target,
                json!({ "membership": membership }),
            )
            .await
    };
    set(&bob.id, "invite").await.ok();
    bob.set_state(
        &room,
        "m.room.member",
        &bob.id,
        json!({ "membership": "join", "displayname": "B" }),
    )
    .await
    .ok();
    assert_eq!(
        alice.state(&room, "m.room.member", &bob.id).await.ok()["displayname"],
        "B"
    );
    set(&bob.id, "invite").await.forbidden("already in this room");
    set(&bob.id, "ban").await.ok();
    set(&bob.id, "leave").await.ok();
    bob.join(&room).await.forbidden("not invited");
}

#[tokio::test]
async fn b21_state_of_others_is_theirs() {
    let server = started().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let room = alice.create_room(json!({ "room_version": "11" })).await;
    alice
        .set_state(&room, "org.example", &bob.id, json!({}))
        .await
        .refused(403, "M_FORBIDDEN");
    alice
        .set_state(&room, "org.example", &alice.id, json!({}))
        .await
        .ok();
}

#[tokio::test]
async fn b23_b24_power_levels_are_changed_by_those_above_and_hold_integers() {
    let server = started().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let users = json!({ &alice.id: 100, &bob.id: 100 });
    let mut levels = json!({ "users": users });
    let room = alice
        .create_room(
            json!({ "preset": "public_chat", "room_version": "11", "power_level_content_override": levels }),
        )
        .await;
    bob.join(&room).await.ok();
    let before = snapshot::of(&alice, &room).await;
    let set = async |levels: &serde_json::Value| {
        bob.set_state(&room, "m.room.power_levels", "", levels.clone())
            .await
    };
    for (user, level) in [(&bob.id, 101), (&alice.id, 50)] {
        let mut changed = levels.clone();
        changed["users"][user] = json!(level);
        set(&changed).await.refused(403, "M_FORBIDDEN");
    }
    for bad in [json!("100"), json!(1.5), json!(null)] {
        levels["users"][&bob.id] = bad;
        set(&levels).await.refused(400, "M_BAD_JSON");
    }
    set(&json!({ "ban": "50" })).await.refused(400, "M_BAD_JSON");
    set(&json!({ "users": { "bob": 1 } }))
        .await
        .refused(400, "M_BAD_JSON");
    assert_eq!(snapshot::of(&alice, &room).await, before);

    let room = alice.public_room().await;
    let listed = json!({ "users": { &alice.id: 100 } });
    alice
        .set_state(&room, "m.room.power_levels", "", listed)
        .await
        .refused(400, "M_BAD_JSON");
}

#[tokio::test]
async fn a_canonical_alias_leads_to_its_room() {
    let server = started().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let room = alice
        .create_room(json!({ "preset": "public_chat", "room_alias_name": "tea" }))
        .await;
    alice.create_room(json!({ "room_alias_name": "coffee" })).await;
    bob.join(&room).await.ok();
    let kind = "m.room.canonical_alias";
    let before = snapshot::of(&alice, &room).await;
    for elsewhere in [
        "#coffee:test.example",
        "#nowhere:test.example",
        "#tea:other.example",
    ] {
        let content = json!({ "alias": elsewhere });
        alice
            .set_state(&room, kind, "", content.clone())
            .await
            .refused(400, "M_BAD_ALIAS");
        let content = json!({ "alias": "#tea:test.example", "alt_aliases": [elsewhere] });
        alice
            .set_state(&room, kind, "", content.clone())
            .await
            .refused(400, "M_BAD_ALIAS");
        bob.set_state(&room, kind, "", content)
            .await
            .forbidden("power level");
    }
    alice
        .set_state(&room, kind, "", json!({ "alias": "tea" }))
        .await
        .refused(400, "M_INVALID_PARAM");
    assert_eq!(snapshot::of(&alice, &room).await, before);
    let alias = format!("/directory/room/{}", escaped("#chai:test.example"));
    alice.put(&alias, json!({ "room_id": room })).await.ok();
    let both = json!({ "alias": "#chai:test.example", "alt_aliases": ["#tea:test.example"] });
    alice.set_state(&room, kind, "", both).await.ok();
}

#[tokio::test]
async fn a_room_is_not_replaced_by_itself() {
    let server = started().await;
    let alice = server.user("alice").await;
    let room = alice.public_room().await;
    let circle = json!({ "body": "gone", "replacement_room": room });
    alice
        .set_state(&room, "m.room.tombstone", "", circle.clone())
        .await
        .refused(400, "M_INVALID_PARAM");
    let send = format!("/rooms/{}/send/m.room.tombstone", escaped(&room));
    alice.post(&send, circle).await.refused(400, "M_INVALID_PARAM");
}

#[tokio::test]
async fn strangers_set_nothing_wherever_it_is() {
    let server = started().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let room = alice.public_room().await;
    let there = bob
        .set_state(&room, "m.room.name", "", json!({ "name": "x" }))
        .await;
    let nowhere = bob
        .set_state("!nowhere:test.example", "m.room.name", "", json!({ "name": "x" }))
        .await;
    assert_eq!(there.body, nowhere.body);
    there.forbidden("you are not in this room");
}
