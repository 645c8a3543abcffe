//! `space_hierarchy.yaml`

use gatehouse_test_peers::Authority;
use gatehouse_testkit::user::escaped;
use serde_json::{Value, json};

use crate::visitor::{Visitor, host};

#[tokio::test]
async fn a_space_shows_what_the_server_may_know_of() {
    let authority = Authority::new().unwrap();
    let server = host(&authority).await;
    let visitor = Visitor::new(&authority, &server).await;
    let alice = server.user("alice").await;
    let space = json!({ "preset": "public_chat", "creation_content": { "type": "m.space" } });
    let space = alice.create_room(space).await;
    let open = alice
        .create_room(json!({ "preset": "public_chat", "name": "open" }))
        .await;
    let closed = alice
        .create_room(json!({ "preset": "private_chat", "name": "closed" }))
        .await;
    let restricted = alice
        .create_room(
            json!({ "preset": "private_chat", "name": "restricted", "initial_state": [{
            "type": "m.room.join_rules", "content": { "join_rule": "restricted",
            "allow": [{ "type": "m.room_membership", "room_id": space }] },
        }] }),
        )
        .await;
    for (child, suggested) in [(&open, true), (&closed, false), (&restricted, false)] {
        let content = json!({ "via": ["test.example"], "suggested": suggested });
        alice
            .set_state(&space, "m.space.child", child, content)
            .await
            .ok();
    }
    let path = format!("/_matrix/federation/v1/hierarchy/{}", escaped(&space));
    let names = |shown: &Value| -> Vec<String> {
        let children = shown["children"].as_array().unwrap().iter();
        let mut names: Vec<_> = children
            .map(|child| child["name"].as_str().unwrap().to_owned())
            .collect();
        names.sort();
        names
    };
    let shown = visitor.get(&path).await.ok();
    assert_eq!(shown["room"]["room_id"], space);
    assert_eq!(shown["room"]["children_state"].as_array().unwrap().len(), 3);
    assert_eq!(names(&shown), ["open"]);
    let mut hidden: Vec<String> = serde_json::from_value(shown["inaccessible_children"].clone()).unwrap();
    hidden.sort();
    let mut expected = vec![closed.clone(), restricted];
    expected.sort();
    assert_eq!(hidden, expected);
    // Whose user is in the space, may have one in what its members may join.
    visitor.join(&space, &visitor.home.user("bob")).await;
    assert_eq!(names(&visitor.get(&path).await.ok()), ["open", "restricted"]);
    let suggested = visitor.get(&format!("{path}?suggested_only=true")).await.ok();
    assert_eq!(
        (names(&suggested), &suggested["inaccessible_children"]),
        (vec!["open".to_owned()], &json!([]))
    );
    let path = format!("/_matrix/federation/v1/hierarchy/{}", escaped(&closed));
    visitor.get(&path).await.refused(404, "M_NOT_FOUND");
}
