//! `profile.yaml`

use gatehouse_testkit::{User, started, user::escaped};
use serde_json::{Value, json};

fn path(user: &User<'_>, key: &str) -> String {
    format!("/profile/{}/{key}", escaped(&user.id))
}

async fn set(user: &User<'_>, key: &str, value: Value) -> gatehouse_testkit::Answer {
    user.put(&path(user, key), json!({ key: value })).await
}

async fn whole(user: &User<'_>) -> Value {
    user.get(&format!("/profile/{}", escaped(&user.id))).await.ok()
}

#[tokio::test]
async fn profiles_are_set_read_and_cleared() {
    let server = started().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    for (key, value) in [
        ("displayname", json!("Alice")),
        ("avatar_url", json!("mxc://test.example/a")),
        ("m.tz", json!("Europe/Paris")),
        ("org.example.pronouns", json!([{ "summary": "she" }])),
    ] {
        set(&alice, key, value.clone()).await.ok();
        let field = bob.get(&path(&alice, key)).await.ok();
        assert_eq!(field, json!({ key: value }));
        assert_eq!(whole(&alice).await[key], value);
    }
    for key in ["displayname", "avatar_url", "m.tz", "org.example.pronouns"] {
        alice.delete(&path(&alice, key)).await.ok();
        alice.delete(&path(&alice, key)).await.ok();
        assert!(whole(&alice).await.get(key).is_none(), "{key}");
    }
    bob.get(&path(&alice, "m.tz")).await.refused(404, "M_NOT_FOUND");
}

#[tokio::test]
async fn profiles_can_be_read_without_a_token() {
    let server = started().await;
    let alice = server.user("alice").await;
    set(&alice, "displayname", json!("Alice")).await.ok();
    let address = format!("/_matrix/client/v3{}", path(&alice, "displayname"));
    let answer = server.request("GET", &address, None).await.ok();
    assert_eq!(answer, json!({ "displayname": "Alice" }));
}

#[tokio::test]
async fn only_ones_own_profile_can_be_changed() {
    let server = started().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    set(&alice, "displayname", json!("Alice")).await.ok();
    for key in ["displayname", "avatar_url", "org.example.a"] {
        bob.put(&path(&alice, key), json!({ key: "Bob" }))
            .await
            .refused(403, "M_FORBIDDEN");
        bob.delete(&path(&alice, key)).await.refused(403, "M_FORBIDDEN");
    }
    assert_eq!(whole(&alice).await["displayname"], "Alice");
}

#[tokio::test]
async fn profile_of_nobody_is_not_found() {
    let server = started().await;
    let alice = server.user("alice").await;
    for path in ["", "/displayname", "/org.example.a"] {
        alice
            .get(&format!("/profile/%40nobody%3Atest.example{path}"))
            .await
            .refused(404, "M_NOT_FOUND");
    }
}

#[tokio::test]
async fn joined_rooms_are_told_of_name_and_avatar_and_of_nothing_else() {
    let server = started().await;
    let alice = server.user("alice").await;
    let (first, second) = (alice.public_room().await, alice.public_room().await);
    let left = alice.public_room().await;
    alice.leave(&left).await.ok();
    set(&alice, "displayname", json!("Alice")).await.ok();
    set(&alice, "avatar_url", json!("mxc://test.example/a"))
        .await
        .ok();
    set(&alice, "org.example.a", json!("private")).await.ok();
    let expected = json!({
        "membership": "join", "displayname": "Alice", "avatar_url": "mxc://test.example/a",
    });
    for room in [&first, &second] {
        let member = alice.state(room, "m.room.member", &alice.id).await.ok();
        assert_eq!(member, expected);
    }
    let member = alice.state(&left, "m.room.member", &alice.id).await.ok();
    assert_eq!(member["membership"], "leave");
    assert_ne!(member["displayname"], "Alice");
}

#[tokio::test]
async fn names_and_avatars_that_are_too_large_are_refused() {
    let server = started().await;
    let alice = server.user("alice").await;
    for (key, longest) in [
        ("displayname", "ü".repeat(256)),
        ("avatar_url", format!("mxc://test.example/{}", "a".repeat(981))),
    ] {
        set(&alice, key, json!(longest)).await.ok();
        set(&alice, key, json!(format!("{longest}x")))
            .await
            .refused(400, "M_TOO_LARGE");
        set(&alice, key, json!(1)).await.refused(400, "M_INVALID_PARAM");
        assert_eq!(whole(&alice).await[key], json!(longest));
    }
}

#[tokio::test]
async fn fields_need_a_name_of_the_grammar_and_a_value() {
    let server = started().await;
    let alice = server.user("alice").await;
    let longest = format!("org.{}", "a".repeat(251));
    set(&alice, &longest, json!(1)).await.ok();
    let long = format!("{longest}a");
    set(&alice, &long, json!(1)).await.refused(400, "M_KEY_TOO_LARGE");
    for key in ["Org.example", "nodot", "1.a", "org..a"] {
        set(&alice, key, json!(1)).await.refused(400, "M_INVALID_PARAM");
    }
    alice
        .put(&path(&alice, "org.example.a"), json!({ "org.example.b": 1 }))
        .await
        .refused(400, "M_MISSING_PARAM");
    assert_eq!(whole(&alice).await, json!({ longest: 1 }));
}

#[tokio::test]
async fn a_profile_has_64_kib_in_all() {
    let server = started().await;
    let alice = server.user("alice").await;
    set(&alice, "org.example.a", json!("a".repeat(40_000))).await.ok();
    set(&alice, "org.example.b", json!("b".repeat(30_000)))
        .await
        .refused(400, "M_PROFILE_TOO_LARGE");
    assert!(whole(&alice).await.get("org.example.b").is_none());
    alice.delete(&path(&alice, "org.example.a")).await.ok();
    set(&alice, "org.example.b", json!("b".repeat(30_000))).await.ok();
}
