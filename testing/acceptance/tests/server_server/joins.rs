//! `joins-v1.yaml` and `joins-v2.yaml`

use std::collections::HashSet;

use gatehouse_events::Pdu;
use gatehouse_test_peers::{Authority, Reply};
use gatehouse_testkit::user::escaped;
use ruma::OwnedRoomId;
use serde_json::{Value, json};

use crate::visitor::{VERSIONS, Visitor, host};

fn send_join(room: &str, event: &str) -> String {
    format!(
        "/_matrix/federation/v2/send_join/{}/{}",
        escaped(room),
        escaped(event)
    )
}

#[tokio::test]
async fn whoever_joins_is_handed_the_state_and_what_authorises_it() {
    let authority = Authority::new().unwrap();
    let server = host(&authority).await;
    let visitor = Visitor::new(&authority, &server).await;
    let alice = server.user("alice").await;
    for version in VERSIONS {
        let room = alice
            .create_room(json!({ "preset": "public_chat", "room_version": version }))
            .await;
        alice.say(&room, "t", "before").await;
        let bob = visitor.home.user("bob");
        let made = visitor.make_join(&room, &bob).await.ok();
        assert_eq!(made["room_version"], version);
        assert!(made["event"].get("hashes").is_none() && made["event"].get("signatures").is_none());
        let (version, join) = visitor.signed_join(&room, &made);
        let joined = visitor.put(&send_join(&room, &join.id), &join.pdu).await.ok();
        assert_eq!(joined["members_omitted"], false);
        assert_eq!(joined["servers_in_room"], json!(["test.example"]));
        let id: OwnedRoomId = room.as_str().try_into().unwrap();
        let read = |list: &str| -> Vec<Pdu> {
            let pdus = joined[list].as_array().unwrap().iter();
            pdus.map(|pdu| Pdu::parse(&pdu.to_string(), &id, version).unwrap())
                .collect()
        };
        let (state, chain) = (read("state"), read("auth_chain"));
        // What is in the state stands in the chain as well, unless the answer leaves members out.
        assert!(
            chain
                .iter()
                .any(|pdu| pdu.event.kind.to_string() == "m.room.member"),
            "{version}"
        );
        let kinds: HashSet<_> = state.iter().map(|pdu| pdu.event.kind.to_string()).collect();
        for kind in [
            "m.room.create",
            "m.room.member",
            "m.room.power_levels",
            "m.room.join_rules",
        ] {
            assert!(kinds.contains(kind), "{version}: {kind}");
        }
        require_order(&chain, &[]);
        // Whatever authorises anything is in the answer.
        let ids: HashSet<_> = state
            .iter()
            .chain(&chain)
            .map(|pdu| pdu.event.event_id.clone())
            .collect();
        for pdu in state.iter().chain(&chain) {
            assert!(
                pdu.event.auth_events.iter().all(|id| ids.contains(id)),
                "{version}"
            );
            let signed_by = pdu.object().get("signatures").unwrap();
            assert!(signed_by.as_object().unwrap().contains_key("test.example"));
        }
        let member = alice.state(&room, "m.room.member", &bob).await.ok();
        assert_eq!(member["membership"], "join", "{version}");
    }
}

/// The room after a join of the visitor's bob for which members may be left out, and the answer.
async fn joined_without_members(visitor: &Visitor<'_>, room: &str) -> (Value, Vec<Pdu>, Vec<Pdu>) {
    let bob = visitor.home.user("bob");
    let made = visitor.make_join(room, &bob).await.ok();
    let (version, join) = visitor.signed_join(room, &made);
    let path = format!("{}?omit_members=true", send_join(room, &join.id));
    let joined = visitor.put(&path, &join.pdu).await.ok();
    let id: OwnedRoomId = room.try_into().unwrap();
    let read = |list: &str| -> Vec<Pdu> {
        let pdus = joined[list].as_array().unwrap().iter();
        pdus.map(|pdu| Pdu::parse(&pdu.to_string(), &id, version).unwrap())
            .collect()
    };
    let (state, chain) = (read("state"), read("auth_chain"));
    (joined, state, chain)
}

/// What authorises an event of a chain comes before it, unless it is in the state.
fn require_order(chain: &[Pdu], state: &[Pdu]) {
    let id = |pdu: &Pdu| pdu.event.event_id.clone();
    let mut seen: HashSet<_> = state.iter().map(id).collect();
    for pdu in chain {
        assert!(pdu.event.auth_events.iter().all(|id| seen.contains(id)));
        seen.insert(id(pdu));
    }
}

/// The users whose membership events are among these.
fn members(pdus: &[Pdu]) -> Vec<&str> {
    let members = pdus.iter().map(|pdu| &pdu.event);
    let members = members.filter(|event| event.kind.to_string() == "m.room.member");
    let mut users: Vec<&str> = members.filter_map(|event| event.state_key.as_deref()).collect();
    users.sort_unstable();
    users
}

#[tokio::test]
async fn members_are_left_out_of_a_named_room_for_whoever_can_do_without() {
    let authority = Authority::new().unwrap();
    let server = host(&authority).await;
    let visitor = Visitor::new(&authority, &server).await;
    for version in VERSIONS {
        let alice = server.anybody().await;
        let room = alice
            .create_room(json!({ "preset": "public_chat", "room_version": version, "name": "Elsinore" }))
            .await;
        server.anybody().await.join(&room).await.ok();
        let (joined, state, chain) = joined_without_members(&visitor, &room).await;
        assert_eq!(joined["members_omitted"], true, "{version}");
        assert_eq!(joined["servers_in_room"], json!(["test.example"]));
        assert_eq!(joined["event"]["sender"], visitor.home.user("bob"));
        assert_eq!(members(&state), Vec::<&str>::new(), "{version}");
        // Alice made what the state has.
        assert_eq!(members(&chain), [&*alice.id], "{version}");
        assert!(
            state
                .iter()
                .any(|pdu| pdu.event.kind.to_string() == "m.room.name")
        );
        require_order(&chain, &state);
        // Nothing stands there twice, and whatever authorises anything is there.
        let all: Vec<_> = state.iter().chain(&chain).map(|pdu| &pdu.event).collect();
        let ids: HashSet<_> = all.iter().map(|event| event.event_id.clone()).collect();
        assert_eq!(all.len(), ids.len(), "{version}");
        for event in all {
            assert!(event.auth_events.iter().all(|id| ids.contains(id)), "{version}");
        }
        let member = alice
            .state(&room, "m.room.member", &visitor.home.user("bob"))
            .await
            .ok();
        assert_eq!(member["membership"], "join", "{version}");
    }
}

#[tokio::test]
async fn those_whom_a_room_without_a_name_is_called_after_are_not_left_out() {
    let authority = Authority::new().unwrap();
    let server = host(&authority).await;
    let visitor = Visitor::new(&authority, &server).await;
    let alice = server.user("alice").await;
    let room = alice.create_room(json!({ "preset": "public_chat" })).await;
    let mut here = vec![alice.id.clone()];
    for number in 0..7 {
        let member = server.anybody().await;
        member.join(&room).await.ok();
        if number == 0 {
            member.leave(&room).await.ok();
        } else {
            here.push(member.id.clone());
        }
    }
    let (joined, state, chain) = joined_without_members(&visitor, &room).await;
    assert_eq!(joined["members_omitted"], true);
    let mut heroes = here[..5].to_vec();
    heroes.sort_unstable();
    assert_eq!(members(&state), heroes);
    let ids: HashSet<_> = state
        .iter()
        .chain(&chain)
        .map(|pdu| &pdu.event.event_id)
        .collect();
    for pdu in &state {
        assert!(pdu.event.auth_events.iter().all(|id| ids.contains(id)));
    }
    // An alias is as good as a name.
    let alias = "#elsinore:test.example";
    let path = format!("/directory/room/{}", escaped(alias));
    alice.put(&path, json!({ "room_id": room })).await.ok();
    let content = json!({ "alias": alias });
    alice
        .set_state(&room, "m.room.canonical_alias", "", content)
        .await
        .ok();
    let (_, state, _) = joined_without_members(&visitor, &room).await;
    assert_eq!(members(&state), Vec::<&str>::new());
}

#[tokio::test]
async fn the_old_form_of_the_answer_is_a_list() {
    let authority = Authority::new().unwrap();
    let server = host(&authority).await;
    let visitor = Visitor::new(&authority, &server).await;
    let alice = server.user("alice").await;
    let room = alice
        .create_room(json!({ "preset": "public_chat", "room_version": "1" }))
        .await;
    let made = visitor.make_join(&room, &visitor.home.user("bob")).await.ok();
    let (_, join) = visitor.signed_join(&room, &made);
    let path = send_join(&room, &join.id).replace("/v2/", "/v1/");
    let joined = visitor.put(&path, &join.pdu).await.ok();
    assert_eq!(joined[0], 200);
    assert!(!joined[1]["state"].as_array().unwrap().is_empty());
    assert!(!joined[1]["auth_chain"].as_array().unwrap().is_empty());
}

#[tokio::test]
async fn e05_servers_join_for_their_own_users_and_sign_it() {
    let authority = Authority::new().unwrap();
    let server = host(&authority).await;
    let visitor = Visitor::new(&authority, &server).await;
    let other = Visitor::new(&authority, &server).await;
    let alice = server.user("alice").await;
    let room = alice.create_room(json!({ "preset": "public_chat" })).await;
    let bob = visitor.home.user("bob");
    other.make_join(&room, &bob).await.refused(403, "M_FORBIDDEN");
    other
        .make_join(&room, "@carol:test.example")
        .await
        .refused(403, "M_FORBIDDEN");
    let made = visitor.make_join(&room, &bob).await.ok();
    let (version, join) = visitor.signed_join(&room, &made);
    other
        .put(&send_join(&room, &join.id), &join.pdu)
        .await
        .refused(403, "M_FORBIDDEN");
    let mut unsigned = join.pdu.clone();
    for signatures in [json!({}), json!(null)] {
        unsigned["signatures"] = signatures;
        visitor
            .put(&send_join(&room, &join.id), &unsigned)
            .await
            .refused(403, "M_FORBIDDEN");
    }
    let id: OwnedRoomId = room.as_str().try_into().unwrap();
    let forged = other
        .home
        .sign_as(visitor.home.name(), version, &id, &made["event"])
        .unwrap();
    visitor
        .put(&send_join(&room, &forged.id), &forged.pdu)
        .await
        .refused(403, "M_FORBIDDEN");
    assert_eq!(alice.state(&room, "m.room.member", &bob).await.status, 404);
    visitor.put(&send_join(&room, &join.id), &join.pdu).await.ok();
}

#[tokio::test]
async fn e11_the_path_and_the_event_say_the_same() {
    let authority = Authority::new().unwrap();
    let server = host(&authority).await;
    let visitor = Visitor::new(&authority, &server).await;
    let alice = server.user("alice").await;
    let room = alice.create_room(json!({ "preset": "public_chat" })).await;
    let other = alice.create_room(json!({ "preset": "public_chat" })).await;
    let bob = visitor.home.user("bob");
    let made = visitor.make_join(&room, &bob).await.ok();
    let (version, join) = visitor.signed_join(&room, &made);
    for path in [send_join(&other, &join.id), send_join(&room, "$other")] {
        visitor
            .put(&path, &join.pdu)
            .await
            .refused(400, "M_INVALID_PARAM");
    }
    let id: OwnedRoomId = room.as_str().try_into().unwrap();
    let wrong: [fn(&mut Value, &str); 4] = [
        |event, _| event["type"] = "m.room.topic".into(),
        |event, _| event["content"] = json!({ "membership": "invite" }),
        |event, _| event["state_key"] = "@alice:test.example".into(),
        |event, alice| event["sender"] = alice.into(),
    ];
    for (number, change) in wrong.into_iter().enumerate() {
        let mut event = made["event"].clone();
        change(&mut event, &alice.id);
        let event = visitor.home.sign(version, &id, &event).unwrap();
        let answer = visitor.put(&send_join(&room, &event.id), &event.pdu).await;
        assert!(
            matches!(answer.status, 400 | 403),
            "{number}: {} {}",
            answer.status,
            answer.body
        );
    }
    for room in [&room, &other] {
        assert_eq!(alice.state(room, "m.room.member", &bob).await.status, 404);
    }
}

#[tokio::test]
async fn e27_a_join_that_is_no_canonical_json_is_refused_as_that() {
    let authority = Authority::new().unwrap();
    let server = host(&authority).await;
    let visitor = Visitor::new(&authority, &server).await;
    let alice = server.user("alice").await;
    let room = alice.public_room().await;
    let bob = visitor.home.user("bob");
    let made = visitor.make_join(&room, &bob).await.ok();
    let (_, join) = visitor.signed_join(&room, &made);
    let mut broken = join.pdu.clone();
    broken["content"]["bad"] = json!(1.5);
    visitor
        .put(&send_join(&room, &join.id), &broken)
        .await
        .refused(400, "M_BAD_JSON");
    assert_eq!(alice.state(&room, "m.room.member", &bob).await.status, 404);
}

#[tokio::test]
async fn who_may_not_join_is_not_proposed_to() {
    let authority = Authority::new().unwrap();
    let server = host(&authority).await;
    let visitor = Visitor::new(&authority, &server).await;
    let alice = server.user("alice").await;
    let bob = visitor.home.user("bob");
    let private = alice.create_room(json!({ "preset": "private_chat" })).await;
    visitor
        .make_join(&private, &bob)
        .await
        .refused(403, "M_FORBIDDEN");
    visitor
        .make_join("!nowhere:test.example", &bob)
        .await
        .refused(404, "M_NOT_FOUND");
    let room = alice
        .create_room(json!({ "preset": "public_chat", "room_version": "10" }))
        .await;
    let path = format!(
        "/_matrix/federation/v1/make_join/{}/{}",
        escaped(&room),
        escaped(&bob)
    );
    for query in ["", "?ver=1&ver=9"] {
        let refused = visitor
            .get(&format!("{path}{query}"))
            .await
            .refused(400, "M_INCOMPATIBLE_ROOM_VERSION");
        assert_eq!(refused["room_version"], "10");
    }
    // Nobody here can let anybody into a room that all have left.
    let empty = alice.public_room().await;
    alice.leave(&empty).await.ok();
    visitor.make_join(&empty, &bob).await.refused(404, "M_NOT_FOUND");
    // A proposal does not outlive what it was made for.
    let made = visitor.make_join(&room, &bob).await.ok();
    let (_, join) = visitor.signed_join(&room, &made);
    alice.act_on("ban", &room, &bob).await.ok();
    visitor
        .put(&send_join(&room, &join.id), &join.pdu)
        .await
        .refused(403, "M_FORBIDDEN");
    visitor.make_join(&room, &bob).await.refused(403, "M_FORBIDDEN");
}

#[tokio::test]
async fn whoever_cannot_join_is_told_which_version_the_room_is_of() {
    let authority = Authority::new().unwrap();
    let server = host(&authority).await;
    let visitor = Visitor::new(&authority, &server).await;
    let alice = server.user("alice").await;
    let room = format!("!new:{}", visitor.home.name());
    for (said, told) in [("org.new.13", json!("org.new.13")), ("<b>", json!(null))] {
        visitor
            .home
            .answer("/_matrix/federation/v1/make_join/", move |_| {
                let refusal =
                    json!({ "errcode": "M_INCOMPATIBLE_ROOM_VERSION", "error": "no", "room_version": said });
                Reply::json(400, &refusal)
            });
        let path = format!(
            "/join/{}?server_name={}",
            escaped(&room),
            escaped(visitor.home.name())
        );
        let refused = alice.post(&path, json!({})).await;
        let refused = refused.refused(400, "M_INCOMPATIBLE_ROOM_VERSION");
        assert_eq!(refused["room_version"], told);
    }
}
