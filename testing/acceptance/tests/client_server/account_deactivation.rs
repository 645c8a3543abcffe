//! `account_deactivation.yaml`

use gatehouse_testkit::{Answer, User, started, user::escaped};
use serde_json::{Value, json};

use crate::uia::{challenged, password, password_of, within};

async fn deactivate(user: &User<'_>, body: Value) -> Answer {
    user.post("/account/deactivate", body).await
}

#[tokio::test]
async fn an_account_is_closed_by_who_has_its_password() {
    let server = started().await;
    let alice = server.user("alice").await;
    let phone = alice.log_in_again().await;
    let session = challenged(&deactivate(&alice, json!({})).await, &["m.login.password"]);
    let auth = within(&session, password_of(&alice));
    let answer = deactivate(&alice, json!({ "auth": auth })).await.ok();
    assert_eq!(answer, json!({ "id_server_unbind_result": "success" }));
    for session in [&alice, &phone] {
        session
            .get("/account/whoami")
            .await
            .refused(401, "M_UNKNOWN_TOKEN");
    }
}

#[tokio::test]
async fn w03_nothing_but_the_password_of_the_user_closes_an_account() {
    let server = started().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    for auth in [
        Value::Null,
        json!([]),
        json!("x"),
        json!({ "type": "m.login.dummy" }),
        password(&alice.id, "wrong"),
    ] {
        let answer = deactivate(&alice, json!({ "auth": auth })).await;
        challenged(&answer, &["m.login.password"]);
    }
    deactivate(&alice, json!({ "auth": password_of(&bob) }))
        .await
        .refused(403, "M_FORBIDDEN");
    let path = "/_matrix/client/v3/account/deactivate";
    let body = json!({ "auth": password_of(&alice) });
    server
        .request("POST", path, Some(&body))
        .await
        .refused(401, "M_MISSING_TOKEN");
    alice.log_in_again().await;
}

#[tokio::test]
async fn w02_who_is_gone_neither_logs_in_nor_refreshes() {
    let server = started().await;
    let alice = server.user("alice").await;
    let login = json!({
        "type": "m.login.password", "user": "alice", "password": "password of alice", "refresh_token": true,
    });
    let path = "/_matrix/client/v3/login";
    let tokens = server.request("POST", path, Some(&login)).await.ok();
    deactivate(&alice, json!({ "auth": password_of(&alice) }))
        .await
        .ok();
    server
        .request("POST", path, Some(&login))
        .await
        .refused(403, "M_FORBIDDEN");
    let refresh = json!({ "refresh_token": tokens["refresh_token"] });
    server
        .request("POST", "/_matrix/client/v3/refresh", Some(&refresh))
        .await
        .refused(401, "M_UNKNOWN_TOKEN");
}

#[tokio::test]
async fn who_is_gone_has_left_their_rooms_and_declined_their_invites() {
    let server = started().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let (joined, invited) = (alice.public_room().await, alice.public_room().await);
    bob.join(&joined).await.ok();
    alice.act_on("invite", &invited, &bob.id).await.ok();
    deactivate(&bob, json!({ "auth": password_of(&bob) })).await.ok();
    for room in [joined, invited] {
        let member = alice.state(&room, "m.room.member", &bob.id).await.ok();
        assert_eq!(member["membership"], "leave", "{member}");
    }
}

#[tokio::test]
async fn a_name_is_never_given_again() {
    let server = started().await;
    let alice = server.user("alice").await;
    deactivate(&alice, json!({ "auth": password_of(&alice) }))
        .await
        .ok();
    let register = json!({ "username": "alice", "password": "x", "auth": { "type": "m.login.dummy" } });
    server
        .request("POST", "/_matrix/client/v3/register", Some(&register))
        .await
        .refused(400, "M_USER_IN_USE");
    let available = "/_matrix/client/v3/register/available?username=alice";
    server
        .request("GET", available, None)
        .await
        .refused(400, "M_USER_IN_USE");
}

#[tokio::test]
async fn who_wants_to_be_erased_leaves_no_profile() {
    let server = started().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let profile = format!("/profile/{}", escaped(&alice.id));
    let name = json!({ "displayname": "Alice of old" });
    alice.put(&format!("{profile}/displayname"), name).await.ok();
    let body = json!({ "auth": password_of(&alice), "erase": true });
    deactivate(&alice, body).await.ok();
    let left = bob.get(&profile).await;
    assert!(!left.body.to_string().contains("of old"), "{left:?}");
    left.refused(404, "M_NOT_FOUND");
    let search = bob
        .post("/user_directory/search", json!({ "search_term": "of old" }))
        .await;
    assert!(!search.body.to_string().contains("of old"), "{search:?}");
}
