//! `m.room.server_acl`: whoever a room shuts out reaches it by no way (security.md E30).

use gatehouse_test_peers::{Authority, HostedRoom};
use gatehouse_testkit::{User, user::escaped};
use serde_json::{Value, json};

use crate::{
    hostile_answers::Scene,
    transactions::{public_room, texts},
    visitor::{VisitedRoom, Visitor, host, message},
};

/// Alice shuts all other servers of the test out of her room: they are at one address, and ports do not count.
async fn shuts_out_all(alice: &User<'_>, room: &str) {
    let acl = json!({ "allow": ["*"], "deny": ["127.0.0.1"] });
    alice.set_state(room, "m.room.server_acl", "", acl).await.ok();
}

async fn lets_in_all(alice: &User<'_>, room: &str) {
    let acl = json!({ "allow": ["*"], "allow_ip_literals": true });
    alice.set_state(room, "m.room.server_acl", "", acl).await.ok();
}

fn membership(visitor: &Visitor<'_>, visited: &VisitedRoom, user: &str, membership: &str) -> (String, Value) {
    let content = json!({ "membership": membership });
    let event = visitor.build(visited, user, "m.room.member", Some(user), &content);
    let signed = visitor.home.sign(visited.version, &visited.id, &event).unwrap();
    (signed.id, signed.pdu)
}

#[tokio::test]
async fn e30_who_is_shut_out_neither_joins_nor_knocks_nor_leaves_nor_reads() {
    let authority = Authority::new().unwrap();
    let server = host(&authority).await;
    let visitor = Visitor::new(&authority, &server).await;
    let alice = server.user("alice").await;
    let bob = visitor.home.user("bob");
    let room = public_room(&alice, "11").await;
    let visited = visitor.join(&room, &bob).await;
    let event = escaped(&visited.last.id);
    let path = escaped(&room);
    let carol = visitor.home.user("carol");
    let requests: Vec<(&str, String, Option<Value>)> = ["join", "knock", "leave"]
        .into_iter()
        .flat_map(|what| {
            let user = if what == "leave" { &bob } else { &carol };
            let (id, pdu) = membership(&visitor, &visited, user, what);
            let version = if what == "knock" { "v1" } else { "v2" };
            [
                (
                    "GET",
                    format!("v1/make_{what}/{path}/{}?ver=11", escaped(user)),
                    None,
                ),
                (
                    "PUT",
                    format!("{version}/send_{what}/{path}/{}", escaped(&id)),
                    Some(pdu),
                ),
            ]
        })
        .chain([
            ("GET", format!("v1/state/{path}?event_id={event}"), None),
            ("GET", format!("v1/state_ids/{path}?event_id={event}"), None),
            ("GET", format!("v1/backfill/{path}?v={event}&limit=5"), None),
            ("GET", format!("v1/event_auth/{path}/{event}"), None),
            ("GET", format!("v1/timestamp_to_event/{path}?ts=0&dir=f"), None),
            (
                "POST",
                format!("v1/get_missing_events/{path}"),
                Some(json!({ "earliest_events": [], "latest_events": [visited.last.id] })),
            ),
            (
                "PUT",
                format!("v1/exchange_third_party_invite/{path}"),
                Some(json!({
                    "type": "m.room.member", "room_id": room, "sender": alice.id, "state_key": carol,
                    "content": { "membership": "invite", "third_party_invite": {
                        "display_name": "c", "signed": { "mxid": carol, "token": "t", "signatures": {} } } },
                })),
            ),
        ])
        .collect();
    shuts_out_all(&alice, &room).await;
    for (method, path, body) in &requests {
        let answer = visitor
            .ask(method, &format!("/_matrix/federation/{path}"), body.as_ref())
            .await;
        answer.refused(403, "M_FORBIDDEN");
    }
    // One that is not named in the path is one that does not exist, and neither is the room.
    visitor
        .get(&format!("/_matrix/federation/v1/event/{event}"))
        .await
        .refused(404, "M_NOT_FOUND");
    let hierarchy = visitor
        .get(&format!("/_matrix/federation/v1/hierarchy/{path}"))
        .await;
    hierarchy.refused(404, "M_NOT_FOUND");
    let members = alice.get(&format!("/rooms/{path}/joined_members")).await.ok();
    assert_eq!(members["joined"].as_object().unwrap().len(), 2, "{members}");
    // It was for the ACL that all of that was refused.
    lets_in_all(&alice, &room).await;
    for (method, path, body) in &requests {
        let answer = visitor
            .ask(method, &format!("/_matrix/federation/{path}"), body.as_ref())
            .await;
        let is_refused_otherwise = path.contains("knock") || path.contains("exchange");
        assert!(is_refused_otherwise || answer.status == 200, "{path}: {answer:?}");
    }
}

#[tokio::test]
async fn e30_what_comes_from_or_through_a_server_that_is_shut_out_is_dropped() {
    let authority = Authority::new().unwrap();
    let server = host(&authority).await;
    let visitor = Visitor::new(&authority, &server).await;
    let friend = Visitor::new(&authority, &server).await;
    let alice = server.user("alice").await;
    let (bob, dan) = (visitor.home.user("bob"), friend.home.user("dan"));
    let room = public_room(&alice, "11").await;
    let visited = visitor.join(&room, &bob).await;
    let (join, joined) = membership(&visitor, &visited, &visitor.home.user("carol"), "join");
    let mut early = visited;
    let said = visitor.next(&mut early, &bob, "m.room.message", &message("from bob"));
    // It would be taken while nobody is shut out.
    let first = visitor.send(std::slice::from_ref(&said.pdu)).await;
    assert_eq!(first[&said.id], json!({}));
    shuts_out_all(&alice, &room).await;
    let next = visitor.next(&mut early, &bob, "m.room.message", &message("from bob again"));
    let (event, reply) = membership(&friend, &early, &dan, "join");
    for sender in [&visitor, &friend] {
        let told = sender
            .send(&[next.pdu.clone(), joined.clone(), reply.clone()])
            .await;
        for id in [&next.id, &join, &event] {
            assert!(told[id]["error"].is_string(), "{id}: {told}");
        }
    }
    assert_eq!(texts(&alice, &room).await, ["from bob"]);
    let members = alice
        .get(&format!("/rooms/{}/joined_members", escaped(&room)))
        .await
        .ok();
    assert_eq!(members["joined"].as_object().unwrap().len(), 2, "{members}");
}

/// A room that shuts out the server through which ours joins it: what that server sends later is not taken.
#[tokio::test]
async fn e30_a_room_that_is_joined_through_a_server_that_it_shuts_out_listens_to_it_no_more() {
    let authority = Authority::new().unwrap();
    let server = host(&authority).await;
    let scene = Scene::new(&authority, &server, "11").await;
    let acl = json!({ "allow": ["*"], "deny": ["127.*"] });
    scene.add("m.room.server_acl", Some(""), &acl);
    scene.join().await.ok();
    let said = scene.say("said");
    let told = scene.send(&said).await;
    assert!(told["error"].is_string(), "{told}");
    assert_eq!(scene.texts().await, Vec::<String>::new());
    assert_eq!(scene.asked("backfill"), 0, "nor is it asked for history");
}

/// A server that is shut out answers for nobody else's room.
#[tokio::test]
async fn e30_an_invite_into_a_room_that_shuts_its_server_out_is_refused() {
    let authority = Authority::new().unwrap();
    let server = host(&authority).await;
    let scene = Scene::joined(&authority, &server, "11").await;
    let bob = server.user("bob").await;
    let acl = scene.add(
        "m.room.server_acl",
        Some(""),
        &json!({ "allow": ["test.example"] }),
    );
    assert_eq!(scene.send(&acl).await, json!({}));
    let invite = |room: &HostedRoom| {
        let content = json!({ "membership": "invite" });
        let event = room
            .build(&scene.host, "m.room.member", Some(&bob.id), &content)
            .unwrap();
        scene.visitor.home.sign(room.version, &room.id, &event).unwrap()
    };
    let invite = invite(&scene.room);
    let (room, id) = (escaped(scene.room.id.as_str()), escaped(&invite.id));
    let body = json!({ "event": invite.pdu, "room_version": "11", "invite_room_state": [] });
    let answer = scene
        .visitor
        .put(&format!("/_matrix/federation/v2/invite/{room}/{id}"), &body)
        .await;
    answer.refused(403, "M_FORBIDDEN");
    let sync = bob.sync("", 0).await;
    assert!(
        sync["rooms"]["invite"]
            .as_object()
            .is_none_or(serde_json::Map::is_empty),
        "{sync}"
    );
}
