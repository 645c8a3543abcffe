//! `directory.yaml`

use gatehouse_testkit::{started, user::escaped};
use serde_json::json;

fn at(alias: &str) -> String {
    format!("/directory/room/{}", escaped(alias))
}

#[tokio::test]
async fn an_alias_is_given_looked_up_listed_and_taken_back() {
    let server = started().await;
    let (alice, stranger) = (server.user("alice").await, server.user("stranger").await);
    let room = alice.public_room().await;
    let alias = at("#☕:test.example");
    alice.put(&alias, json!({ "room_id": room })).await.ok();
    let found = server
        .request("GET", &format!("/_matrix/client/v3{alias}"), None)
        .await
        .ok();
    assert_eq!(found, json!({ "room_id": room, "servers": ["test.example"] }));
    let list = format!("/rooms/{}/aliases", escaped(&room));
    assert_eq!(
        alice.get(&list).await.ok(),
        json!({ "aliases": ["#☕:test.example"] })
    );
    stranger.get(&list).await.forbidden("not in this room");
    stranger
        .delete(&alias)
        .await
        .forbidden("only who made this alias");
    alice.delete(&alias).await.ok();
    alice.get(&alias).await.refused(404, "M_NOT_FOUND");
    alice.delete(&alias).await.refused(404, "M_NOT_FOUND");
    assert_eq!(alice.get(&list).await.ok(), json!({ "aliases": [] }));
}

#[tokio::test]
async fn bad_aliases_change_nothing() {
    let server = started().await;
    let (alice, stranger) = (server.user("alice").await, server.user("stranger").await);
    let (room, other) = (alice.public_room().await, stranger.public_room().await);
    let body = json!({ "room_id": room });
    alice.put(&at("#taken:test.example"), body.clone()).await.ok();
    stranger
        .put(&at("#taken:test.example"), json!({ "room_id": other }))
        .await
        .refused(409, "M_UNKNOWN");
    stranger
        .put(&at("#new:test.example"), body.clone())
        .await
        .forbidden("not in this room");
    for alias in [
        "#new:elsewhere.example",
        "new:test.example",
        "#a b:test.example",
        "#:test.example",
    ] {
        alice
            .put(&at(alias), body.clone())
            .await
            .refused(400, "M_INVALID_PARAM");
    }
    let long = format!("#{}:test.example", "x".repeat(250));
    alice.put(&at(&long), body).await.refused(400, "M_INVALID_PARAM");
    alice
        .put(&at("#new:test.example"), json!({}))
        .await
        .refused(400, "M_MISSING_PARAM");
    alice
        .put(&at("#new:test.example"), json!({ "room_id": "x" }))
        .await
        .refused(400, "M_INVALID_PARAM");
    alice
        .get(&at("#new:test.example"))
        .await
        .refused(404, "M_NOT_FOUND");
    alice
        .get(&at("#far:elsewhere.example"))
        .await
        .refused(404, "M_NOT_FOUND");
    alice.get(&at("nonsense")).await.refused(400, "M_INVALID_PARAM");
}

#[tokio::test]
async fn a_canonical_alias_leads_to_the_room_and_goes_with_the_alias() {
    let server = started().await;
    let alice = server.user("alice").await;
    let room = alice
        .create_room(json!({ "preset": "public_chat", "room_alias_name": "tea" }))
        .await;
    let canonical = json!({ "alias": "#tea:test.example" });
    assert_eq!(
        alice.state(&room, "m.room.canonical_alias", "").await.ok(),
        canonical
    );
    let set = async |content| {
        alice
            .set_state(&room, "m.room.canonical_alias", "", content)
            .await
    };
    set(json!({ "alias": "#nowhere:test.example" }))
        .await
        .refused(400, "M_BAD_ALIAS");
    set(json!({ "alt_aliases": ["%tea:test.example"] }))
        .await
        .refused(400, "M_INVALID_PARAM");
    alice.delete(&at("#tea:test.example")).await.ok();
    assert_eq!(
        alice.state(&room, "m.room.canonical_alias", "").await.ok(),
        json!({})
    );
}

#[tokio::test]
async fn an_alias_that_is_taken_makes_no_room() {
    let server = started().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    alice.create_room(json!({ "room_alias_name": "tea" })).await;
    bob.post("/createRoom", json!({ "room_alias_name": "tea" }))
        .await
        .refused(400, "M_ROOM_IN_USE");
    assert_eq!(bob.get("/joined_rooms").await.ok(), json!({ "joined_rooms": [] }));
}
