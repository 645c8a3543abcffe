//! `list_public_rooms.yaml`

use gatehouse_testkit::{User, configured, started, user::escaped};
use serde_json::{Value, json};

async fn publish(user: &User<'_>, name: &str) -> String {
    let body = json!({ "preset": "public_chat", "visibility": "public", "name": name });
    user.create_room(body).await
}

fn names(page: &Value) -> Vec<&str> {
    let rooms = page["chunk"].as_array().unwrap();
    rooms.iter().filter_map(|room| room["name"].as_str()).collect()
}

#[tokio::test]
async fn the_list_is_searched_and_shows_the_largest_first() {
    let server = started().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    publish(&alice, "Small").await;
    let large = publish(&alice, "Large").await;
    alice
        .create_room(json!({ "preset": "public_chat", "name": "Hidden" }))
        .await;
    bob.join(&large).await.ok();
    let list = bob.get("/publicRooms").await.ok();
    assert_eq!(names(&list), ["Large", "Small"]);
    assert_eq!(list["total_room_count_estimate"], 2);
    let room = &list["chunk"][0];
    assert_eq!(
        (&room["room_id"], &room["num_joined_members"]),
        (&json!(large), &json!(2))
    );
    assert_eq!(
        (&room["join_rule"], &room["world_readable"]),
        (&json!("public"), &json!(false))
    );
    alice
        .set_state(
            &large,
            "m.room.topic",
            "",
            json!({ "topic": "All about Wombles" }),
        )
        .await
        .ok();
    let search = |term: &str| json!({ "filter": { "generic_search_term": term } });
    assert_eq!(
        names(&bob.post("/publicRooms", search("WOMBLE")).await.ok()),
        ["Large"]
    );
    assert!(names(&bob.post("/publicRooms", search("hidden")).await.ok()).is_empty());
    let spaces = json!({ "filter": { "room_types": ["m.space"] } });
    assert!(names(&bob.post("/publicRooms", spaces).await.ok()).is_empty());
    let plain = json!({ "filter": { "room_types": [null] } });
    assert_eq!(names(&bob.post("/publicRooms", plain).await.ok()).len(), 2);
}

#[tokio::test]
async fn pages_of_the_list_show_every_room_once() {
    let server = started().await;
    let alice = server.user("alice").await;
    for number in 0..7 {
        publish(&alice, &number.to_string()).await;
    }
    let mut seen = Vec::new();
    let mut since = Value::Null;
    loop {
        let page = alice
            .post("/publicRooms", json!({ "limit": 3, "since": since }))
            .await
            .ok();
        assert!(names(&page).len() <= 3);
        seen.extend(names(&page).into_iter().map(str::to_owned));
        since = page["next_batch"].clone();
        if since.is_null() {
            let back = alice
                .post("/publicRooms", json!({ "limit": 3, "since": page["prev_batch"] }))
                .await
                .ok();
            assert_eq!(names(&back), seen[3..6]);
            break;
        }
    }
    let mut sorted = seen.clone();
    sorted.sort();
    sorted.dedup();
    assert_eq!((seen.len(), sorted.len()), (7, 7));
    alice
        .get("/publicRooms?since=nonsense")
        .await
        .refused(400, "M_INVALID_PARAM");
}

#[tokio::test]
async fn publishing_is_for_those_with_power_in_the_room() {
    let server = started().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let room = alice.public_room().await;
    bob.join(&room).await.ok();
    let path = format!("/directory/list/room/{}", escaped(&room));
    let visible = async || {
        let path = format!("/_matrix/client/v3{path}");
        server.request("GET", &path, None).await.ok()["visibility"].clone()
    };
    assert_eq!(visible().await, "private");
    bob.put(&path, json!({ "visibility": "public" }))
        .await
        .forbidden("canonical alias");
    assert_eq!(visible().await, "private");
    alice.put(&path, json!({})).await.ok();
    assert_eq!(visible().await, "public");
    alice
        .put(&path, json!({ "visibility": "odd" }))
        .await
        .refused(400, "M_BAD_JSON");
    alice.put(&path, json!({ "visibility": "private" })).await.ok();
    assert!(names(&alice.get("/publicRooms").await.ok()).is_empty());
    let nowhere = "/directory/list/room/%21nowhere%3Atest.example";
    alice.get(nowhere).await.refused(404, "M_NOT_FOUND");
    alice.put(nowhere, json!({})).await.refused(404, "M_NOT_FOUND");
}

#[tokio::test]
async fn strangers_see_the_list_only_where_the_operator_lets_them() {
    let closed = started().await;
    let path = "/_matrix/client/v3/publicRooms";
    closed
        .request("GET", path, None)
        .await
        .refused(401, "M_MISSING_TOKEN");
    let open = configured(|config| config.room_directory.public_without_auth = true).await;
    open.request("GET", path, None).await.ok();
    let away = format!("{path}?server=elsewhere.example");
    open.request("GET", &away, None).await.refused(502, "M_UNKNOWN");
    let here = format!("{path}?server=test.example");
    open.request("GET", &here, None).await.ok();
}

#[tokio::test]
async fn the_list_outlives_the_server() {
    let mut server = started().await;
    let room = publish(&server.user("alice").await, "Lasting").await;
    server.restart().await.unwrap();
    let bob = server.user("bob").await;
    let list = bob.get("/publicRooms").await.ok();
    assert_eq!(list["chunk"][0]["room_id"], room.as_str());
    let visibility = bob
        .get(&format!("/directory/list/room/{}", escaped(&room)))
        .await
        .ok();
    assert_eq!(visibility, json!({ "visibility": "public" }));
}
