//! Identity servers that are slow, huge, lying or gone: whoever named them is told, and nothing is written.

use std::time::{Duration, Instant};

use gatehouse_testkit::user::escaped;
use serde_json::{Value, json};

use crate::hostile::{Answer, FOR_AN_INVITE, Hostile, IS_VALID, invite, join, misbehaviours};

#[tokio::test]
async fn t17_r30_an_identity_server_that_misbehaves_gets_nothing_written() {
    let hostile = Hostile::start().await;
    let server = hostile.trusted().await;
    for path in FOR_AN_INVITE {
        for misbehaviour in misbehaviours() {
            // Whose token is not kept yet.
            let alice = server.anybody().await;
            let room = alice.create_room(json!({})).await;
            let before = alice.whole_state(&room).await;
            hostile.answers(path, misbehaviour.clone());
            invite(&alice, &room, &hostile).await.refused(502, "M_UNKNOWN");
            assert!(hostile.was_asked(path));
            assert_eq!(alice.whole_state(&room).await, before);
        }
    }
    assert!(!hostile.was_asked("/elsewhere"), "a redirect was followed");
}

#[tokio::test]
async fn t15_r30_a_slow_or_absent_identity_server_is_not_waited_for() {
    let hostile = Hostile::start().await;
    let server = hostile.trusted().await;
    let alice = server.anybody().await;
    let room = alice.create_room(json!({})).await;
    let before = alice.whole_state(&room).await;
    hostile.answers(FOR_AN_INVITE[3], Answer::Slow);
    let begun = Instant::now();
    let path = format!("/rooms/{}/send/m.room.message/1", escaped(&room));
    let said = json!({ "msgtype": "m.text", "body": "nobody waits for it" });
    // Whoever else uses the room does not wait.
    let (invited, ()) = tokio::join!(invite(&alice, &room, &hostile), async {
        alice.put(&path, said).await.ok();
        assert!(begun.elapsed() < Duration::from_secs(4));
    });
    invited.refused(502, "M_UNKNOWN");
    assert!(begun.elapsed() < Duration::from_secs(10));
    let gone = hostile.gone();
    let server = gone.trusted().await;
    let bob = server.anybody().await;
    let other = bob.create_room(json!({})).await;
    invite(&bob, &other, &gone).await.refused(502, "M_UNKNOWN");
    assert_eq!(alice.whole_state(&room).await, before);
}

#[tokio::test]
async fn t15_a_key_that_cannot_be_checked_lets_nobody_in() {
    let hostile = Hostile::start().await;
    let server = hostile.trusted().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let room = alice.create_room(json!({})).await;
    invite(&alice, &room, &hostile).await.ok();
    let signed = hostile.signed(&json!({ "mxid": bob.id, "token": "token" }));
    let before = alice.whole_state(&room).await;
    for misbehaviour in misbehaviours() {
        hostile.answers(IS_VALID, misbehaviour);
        join(&bob, &room, &signed).await.refused(502, "M_UNKNOWN");
    }
    hostile.answers(IS_VALID, Answer::Lies(json!({ "valid": "yes" })));
    join(&bob, &room, &signed).await.refused(502, "M_UNKNOWN");
    hostile.answers(IS_VALID, Answer::Says(json!({ "valid": false })));
    join(&bob, &room, &signed)
        .await
        .forbidden("is not valid any more");
    assert_eq!(alice.whole_state(&room).await, before);
    assert!(!hostile.was_asked("/elsewhere"), "a redirect was followed");
    hostile.behaves();
    join(&bob, &room, &signed).await.ok();
    let member = alice.state(&room, "m.room.member", &bob.id).await.ok();
    assert_eq!(member["membership"], "join");
}

#[tokio::test]
async fn t15_r30_a_slow_word_on_a_key_lets_nobody_in_and_is_not_waited_for() {
    let hostile = Hostile::start().await;
    let server = hostile.trusted().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let room = alice.create_room(json!({})).await;
    invite(&alice, &room, &hostile).await.ok();
    let signed = hostile.signed(&json!({ "mxid": bob.id, "token": "token" }));
    let before = alice.whole_state(&room).await;
    hostile.answers(IS_VALID, Answer::Slow);
    let begun = Instant::now();
    let joined = join(&bob, &room, &signed).await;
    assert!(begun.elapsed() < Duration::from_secs(10));
    joined.refused(502, "M_UNKNOWN");
    assert_eq!(alice.whole_state(&room).await, before);
    hostile.behaves();
    join(&bob, &room, &signed).await.ok();
}

#[tokio::test]
async fn r30_many_addresses_of_a_new_room_are_not_waited_for_one_after_the_other() {
    let hostile = Hostile::start().await;
    let server = hostile.trusted().await;
    let alice = server.user("alice").await;
    // Slow, but in time for each.
    hostile.answers(FOR_AN_INVITE[2], Answer::Sluggish);
    let addresses: Vec<_> = (0..5)
        .map(|number| {
            let address = format!("bob{number}@mail.example");
            json!({ "id_server": hostile.name, "medium": "email", "address": address })
        })
        .collect();
    let begun = Instant::now();
    let refused = alice
        .post("/createRoom", json!({ "invite_3pid": addresses }))
        .await;
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    refused.refused(502, "M_UNKNOWN");
    let joined = alice.get("/joined_rooms").await.ok();
    assert_eq!(joined["joined_rooms"], json!([]), "no half-made room");
    assert!(
        !hostile.was_asked(FOR_AN_INVITE[3]),
        "and nothing is kept elsewhere"
    );
}

#[tokio::test]
async fn t05_t06_t08_t10_blocks_that_are_not_true_of_the_joiner_and_the_room_are_refused() {
    let hostile = Hostile::start().await;
    let server = hostile.trusted().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let room = alice.create_room(json!({})).await;
    let other = alice.create_room(json!({})).await;
    invite(&alice, &room, &hostile).await.ok();
    let before = alice.whole_state(&room).await;
    let good = hostile.signed(&json!({ "mxid": bob.id, "token": "token" }));
    let mut altered = hostile.signed(&json!({ "mxid": alice.id, "token": "token" }));
    altered["mxid"] = json!(bob.id);
    let mut by_another_key = good.clone();
    by_another_key["signatures"] = json!({ "x": { "ed25519:0": "A".repeat(86) } });
    let carols = hostile.signed(&json!({ "mxid": "@carol:test.example", "token": "token" }));
    let unknown = hostile.signed(&json!({ "mxid": bob.id, "token": "other" }));
    for (block, because) in [
        (&altered, "signature"),
        (&by_another_key, "signature"),
        (&carols, "another user"),
        (&unknown, "no such invitation"),
    ] {
        join(&bob, &room, block).await.forbidden(because);
        let path = format!("/join/{}", escaped(&room));
        let body = json!({ "third_party_signed": block });
        bob.post(&path, body).await.forbidden(because);
    }
    join(&bob, &other, &good).await.forbidden("no such invitation");
    for malformed in [
        json!("block"),
        json!({}),
        json!({ "mxid": "bob", "token": "token", "signatures": {} }),
    ] {
        join(&bob, &room, &malformed).await.refused(400, "M_BAD_JSON");
    }
    assert_eq!(alice.whole_state(&room).await, before);
    join(&bob, &room, &good).await.ok();
    alice.act_on("kick", &room, &bob.id).await.ok();
    join(&bob, &room, &good).await.forbidden("has been used");
}

#[tokio::test]
async fn t20_t21_a_name_or_url_with_the_address_in_it_is_not_put_into_the_room() {
    let hostile = Hostile::start().await;
    let server = hostile.trusted().await;
    let alice = server.anybody().await;
    let room = alice.create_room(json!({})).await;
    let before = alice.whole_state(&room).await;
    let good = hostile.good(FOR_AN_INVITE[3]);
    let spoil = |field: &str, value: Value| {
        let mut answer = good.clone();
        *answer.pointer_mut(field).unwrap() = value;
        answer
    };
    for answer in [
        spoil("/display_name", json!("Bob@Mail.example")),
        spoil("/display_name", json!("bob @ mail . example")),
        spoil(
            "/public_keys/0/key_validity_url",
            json!("https://id.example/?bob%40mail.example"),
        ),
        spoil("/public_keys/0/public_key", json!("no key")),
        spoil("/public_keys", json!([])),
        spoil("/token", json!("t".repeat(300))),
        spoil("/token", json!("bob@mail.example")),
    ] {
        hostile.answers(FOR_AN_INVITE[3], Answer::Lies(answer));
        invite(&alice, &room, &hostile).await.refused(502, "M_UNKNOWN");
        let body = json!({ "invite_3pid": [{ "id_server": hostile.name, "medium": "email", "address": "bob@mail.example" }] });
        alice.post("/createRoom", body).await.refused(502, "M_UNKNOWN");
    }
    assert_eq!(alice.whole_state(&room).await, before);
    let joined = alice.get("/joined_rooms").await.ok();
    assert_eq!(joined["joined_rooms"], json!([room]), "no half-made room");
}
