//! `public_rooms.yaml`

use gatehouse_test_peers::Authority;
use gatehouse_testkit::configured;
use serde_json::json;

use crate::visitor::{Visitor, host};

const PATH: &str = "/_matrix/federation/v1/publicRooms";

#[tokio::test]
async fn published_rooms_are_told_and_searched() {
    let authority = Authority::new().unwrap();
    let server = host(&authority).await;
    let visitor = Visitor::new(&authority, &server).await;
    let alice = server.user("alice").await;
    for name in ["Tea", "Coffee"] {
        alice
            .create_room(json!({ "visibility": "public", "name": name }))
            .await;
    }
    let page = visitor.get(&format!("{PATH}?limit=1")).await.ok();
    assert_eq!(
        (
            page["chunk"].as_array().unwrap().len(),
            &page["total_room_count_estimate"]
        ),
        (1, &json!(2))
    );
    let since = page["next_batch"].as_str().unwrap();
    let next = visitor.get(&format!("{PATH}?limit=1&since={since}")).await.ok();
    assert_ne!(next["chunk"][0]["room_id"], page["chunk"][0]["room_id"]);
    let search = json!({ "filter": { "generic_search_term": "tea" } });
    let found = visitor.ask("POST", PATH, Some(&search)).await.ok();
    assert_eq!(found["chunk"][0]["name"], "Tea");
    assert_eq!(found["chunk"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn the_operator_says_whether_published_rooms_are_told() {
    let authority = Authority::new().unwrap();
    let server = configured(|config| {
        config.federation.extra_ca_files = vec![authority.file()];
        config.federation.deny_ip_ranges = Some(Vec::new());
    })
    .await;
    let visitor = Visitor::new(&authority, &server).await;
    visitor.get(PATH).await.refused(403, "M_FORBIDDEN");
    visitor
        .ask("POST", PATH, Some(&json!({})))
        .await
        .refused(403, "M_FORBIDDEN");
}

#[tokio::test]
async fn servers_that_the_operator_does_not_want_are_refused() {
    let authority = Authority::new().unwrap();
    let server = configured(|config| {
        config.federation.extra_ca_files = vec![authority.file()];
        config.federation.deny_ip_ranges = Some(Vec::new());
        config.federation.deny_servers = vec!["127.0.0.1".to_owned()];
    })
    .await;
    let visitor = Visitor::new(&authority, &server).await;
    visitor.get(PATH).await.refused(403, "M_FORBIDDEN");
    assert!(visitor.home.received().is_empty(), "and not asked for its keys");
}
