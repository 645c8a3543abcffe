//! `query.yaml`

use gatehouse_test_peers::Authority;
use gatehouse_testkit::user::escaped;
use serde_json::json;

use crate::visitor::{Visitor, host};

#[tokio::test]
async fn aliases_of_this_server_are_told() {
    let authority = Authority::new().unwrap();
    let server = host(&authority).await;
    let visitor = Visitor::new(&authority, &server).await;
    let alice = server.user("alice").await;
    let room = alice.create_room(json!({ "room_alias_name": "tea" })).await;
    let ask = async |alias: &str| {
        let path = format!(
            "/_matrix/federation/v1/query/directory?room_alias={}",
            escaped(alias)
        );
        visitor.get(&path).await
    };
    let found = ask("#tea:test.example").await.ok();
    assert_eq!(found, json!({ "room_id": room, "servers": ["test.example"] }));
    ask("#coffee:test.example").await.refused(404, "M_NOT_FOUND");
    ask(&format!("#tea:{}", visitor.home.name()))
        .await
        .refused(404, "M_NOT_FOUND");
    ask("tea").await.refused(400, "M_INVALID_PARAM");
}

#[tokio::test]
async fn profiles_of_users_of_this_server_are_told() {
    let authority = Authority::new().unwrap();
    let server = host(&authority).await;
    let visitor = Visitor::new(&authority, &server).await;
    let alice = server.user("alice").await;
    let name = format!("/profile/{}/displayname", escaped(&alice.id));
    alice.put(&name, json!({ "displayname": "Alice" })).await.ok();
    let avatar = format!("/profile/{}/avatar_url", escaped(&alice.id));
    alice
        .put(&avatar, json!({ "avatar_url": "mxc://test.example/a" }))
        .await
        .ok();
    let ask = async |query: &str| {
        visitor
            .get(&format!("/_matrix/federation/v1/query/profile?{query}"))
            .await
    };
    let user = format!("user_id={}", escaped(&alice.id));
    let whole = json!({ "displayname": "Alice", "avatar_url": "mxc://test.example/a" });
    assert_eq!(ask(&user).await.ok(), whole);
    assert_eq!(
        ask(&format!("{user}&field=displayname")).await.ok(),
        json!({ "displayname": "Alice" })
    );
    for nobody in ["@nobody:test.example", "@bob:elsewhere.example"] {
        ask(&format!("user_id={}", escaped(nobody)))
            .await
            .refused(404, "M_NOT_FOUND");
    }
    let other = visitor.get("/_matrix/federation/v1/query/weather?city=x").await;
    other.refused(404, "M_UNRECOGNIZED");
    let unsigned = server
        .request(
            "GET",
            &format!("/_matrix/federation/v1/query/profile?{user}"),
            None,
        )
        .await;
    unsigned.refused(401, "M_UNAUTHORIZED");
}

#[tokio::test]
async fn a_request_of_what_is_no_server_is_refused_as_that() {
    let authority = Authority::new().unwrap();
    let server = host(&authority).await;
    let visitor = Visitor::new(&authority, &server).await;
    let path = "/_matrix/federation/v1/query/profile?user_id=@alice:test.example";
    let authorization = "X-Matrix origin=\"localhost:http\",key=\"ed25519:a\",sig=\"AAAA\"";
    visitor
        .ask_with(authorization, "GET", path, None)
        .await
        .refused(400, "M_INVALID_PARAM");
}
