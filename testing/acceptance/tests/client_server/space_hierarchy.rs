//! `space_hierarchy.yaml`

use gatehouse_testkit::{User, started, user::escaped};
use serde_json::{Value, json};

async fn space(user: &User<'_>, name: &str) -> String {
    let body = json!({ "preset": "public_chat", "name": name, "creation_content": { "type": "m.space" } });
    user.create_room(body).await
}

async fn add(user: &User<'_>, space: &str, child: &str, content: Value) {
    user.set_state(space, "m.space.child", child, content).await.ok();
}

async fn hierarchy(user: &User<'_>, space: &str, query: &str) -> gatehouse_testkit::Answer {
    let path = format!("/_matrix/client/v1/rooms/{}/hierarchy?{query}", escaped(space));
    user.request("GET", &path, None).await
}

fn names(page: &Value) -> Vec<&str> {
    let rooms = page["rooms"].as_array().unwrap();
    rooms.iter().filter_map(|room| room["name"].as_str()).collect()
}

#[tokio::test]
async fn a_space_shows_what_is_in_it_to_those_who_may_know() {
    let server = started().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let (top, inner) = (space(&alice, "top").await, space(&alice, "inner").await);
    let open = alice
        .create_room(json!({ "preset": "public_chat", "name": "open" }))
        .await;
    let deep = alice
        .create_room(json!({ "preset": "public_chat", "name": "deep" }))
        .await;
    let closed = alice
        .create_room(json!({ "preset": "private_chat", "name": "closed" }))
        .await;
    let removed = alice
        .create_room(json!({ "preset": "public_chat", "name": "removed" }))
        .await;
    let via = json!(["test.example"]);
    add(
        &alice,
        &top,
        &open,
        json!({ "via": via, "order": "a", "suggested": true }),
    )
    .await;
    add(&alice, &top, &inner, json!({ "via": via, "order": "b" })).await;
    add(&alice, &top, &closed, json!({ "via": via, "order": "c" })).await;
    add(&alice, &top, &removed, json!({})).await;
    add(&alice, &inner, &deep, json!({ "via": via })).await;
    add(&alice, &inner, &top, json!({ "via": via })).await;

    let all = hierarchy(&alice, &top, "").await.ok();
    assert_eq!(names(&all), ["top", "open", "inner", "deep", "closed"]);
    assert_eq!(all["rooms"][0]["room_type"], "m.space");
    let child = &all["rooms"][0]["children_state"][0];
    assert_eq!(
        (&child["state_key"], &child["type"]),
        (&json!(open), &json!("m.space.child"))
    );
    assert!(child["origin_server_ts"].is_u64());
    assert_eq!(
        names(&hierarchy(&bob, &top, "").await.ok()),
        ["top", "open", "inner", "deep"]
    );
    assert_eq!(
        names(&hierarchy(&bob, &top, "max_depth=1").await.ok()),
        ["top", "open", "inner"]
    );
    assert_eq!(
        names(&hierarchy(&bob, &top, "suggested_only=true").await.ok()),
        ["top", "open"]
    );

    let first = hierarchy(&bob, &top, "limit=3").await.ok();
    let next = first["next_batch"].as_str().unwrap();
    let second = hierarchy(&bob, &top, &format!("limit=3&from={next}")).await.ok();
    assert_eq!(names(&second), ["deep"]);
    assert_eq!(second.get("next_batch"), None);
    let changed = hierarchy(&bob, &top, &format!("max_depth=1&from={next}")).await;
    changed.refused(400, "M_INVALID_PARAM");
    hierarchy(&bob, &top, "from=nonsense")
        .await
        .refused(400, "M_INVALID_PARAM");
    hierarchy(&bob, &closed, "").await.forbidden("not in this room");
}
