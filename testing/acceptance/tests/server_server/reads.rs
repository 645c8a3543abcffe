//! `events.yaml`, `event_auth.yaml` and `backfill.yaml`: what servers may read, and of which rooms.

use std::collections::HashSet;

use gatehouse_test_peers::Authority;
use gatehouse_testkit::{TestServer, User, user::escaped};
use serde_json::{Value, json};

use crate::visitor::{VERSIONS, VisitedRoom, Visitor, host, message};

const V1: &str = "/_matrix/federation/v1";

/// A room of alice with bob of the visitor in it, in which both have spoken.
async fn conversation<'a>(
    server: &'a TestServer,
    visitor: &Visitor<'a>,
    version: &str,
    visibility: &str,
) -> (User<'a>, String, VisitedRoom, Vec<String>) {
    let alice = server.anybody().await;
    let room = alice
        .create_room(json!({
            "preset": "public_chat", "room_version": version,
            "initial_state": [{ "type": "m.room.history_visibility", "content": { "history_visibility": visibility } }],
        }))
        .await;
    let mut said = vec![alice.say(&room, "t1", "before bob came").await];
    let bob = visitor.home.user("bob");
    let mut visited = visitor.join(&room, &bob).await;
    let event = visitor.next(&mut visited, &bob, "m.room.message", &message("bob's"));
    visitor.send(&[event.pdu]).await;
    said.push(event.id);
    said.push(alice.say(&room, "t2", "after bob came").await);
    (alice, room, visited, said)
}

fn ids(room: &VisitedRoom, pdus: &Value) -> Vec<String> {
    let pdus = pdus.as_array().unwrap().iter();
    pdus.map(|pdu| room.read(pdu).id).collect()
}

#[tokio::test]
async fn servers_in_the_room_read_events_state_and_history() {
    let authority = Authority::new().unwrap();
    let server = host(&authority).await;
    let visitor = Visitor::new(&authority, &server).await;
    for version in VERSIONS {
        let (_, room, visited, said) = conversation(&server, &visitor, version, "shared").await;
        let (room, last) = (escaped(&room), said[2].as_str());
        let event = visitor.get(&format!("{V1}/event/{}", escaped(last))).await.ok();
        assert_eq!(event["origin"], "test.example");
        assert_eq!(ids(&visited, &event["pdus"]), [last], "{version}");

        let at = format!("{room}?event_id={}", escaped(last));
        let state = visitor.get(&format!("{V1}/state/{at}")).await.ok();
        let state_ids = visitor.get(&format!("{V1}/state_ids/{at}")).await.ok();
        let sorted = |mut ids: Vec<String>| {
            ids.sort();
            ids
        };
        let named = |list: &Value| -> Vec<String> { serde_json::from_value(list.clone()).unwrap() };
        for (pdus, list) in [("pdus", "pdu_ids"), ("auth_chain", "auth_chain_ids")] {
            assert_eq!(
                sorted(ids(&visited, &state[pdus])),
                sorted(named(&state_ids[list])),
                "{version}"
            );
        }
        let held: HashSet<_> = visited.state.values().map(|event| event.id.clone()).collect();
        assert_eq!(
            held,
            ids(&visited, &state["pdus"]).into_iter().collect(),
            "{version}"
        );

        let chain = visitor
            .get(&format!("{V1}/event_auth/{room}/{}", escaped(last)))
            .await
            .ok();
        assert!(!chain["auth_chain"].as_array().unwrap().is_empty());
        let from = format!("{V1}/backfill/{room}?v={}&limit=3", escaped(last));
        let history = ids(&visited, &visitor.get(&from).await.ok()["pdus"]);
        assert_eq!(history.len(), 3, "{version}");
        assert!(
            history.contains(&said[1]) && history.contains(&said[2]),
            "{version}"
        );
    }
}

#[tokio::test]
async fn missing_events_are_those_between() {
    let authority = Authority::new().unwrap();
    let server = host(&authority).await;
    let visitor = Visitor::new(&authority, &server).await;
    let (alice, room, visited, said) = conversation(&server, &visitor, "10", "shared").await;
    let mut all = vec![said[2].clone()];
    for number in 0..25 {
        all.push(alice.say(&room, &format!("m{number}"), "more").await);
    }
    let ask = async |earliest: &str, latest: &str, limit: usize| {
        let body = json!({ "earliest_events": [earliest], "latest_events": [latest], "limit": limit, "min_depth": 0 });
        let path = format!("{V1}/get_missing_events/{}", escaped(&room));
        let answer = visitor.ask("POST", &path, Some(&body)).await.ok();
        ids(&visited, &answer["events"])
    };
    assert_eq!(
        ask(&all[0], &all[4], 10).await,
        all[1..4],
        "in the order in which they were sent"
    );
    assert_eq!(ask(&all[0], &all[4], 2).await.len(), 2);
    assert_eq!(
        ask(&all[0], &all[25], 100).await.len(),
        20,
        "never more than twenty"
    );
    assert_eq!(ask(&all[3], &all[4], 10).await, Vec::<String>::new());
    // Between nothing and nothing lies nothing.
    let path = format!("{V1}/get_missing_events/{}", escaped(&room));
    let answer = visitor.ask("POST", &path, Some(&json!({}))).await.ok();
    assert_eq!(answer, json!({ "events": [] }));
}

#[tokio::test]
async fn what_erased_users_wrote_is_redacted_for_other_servers() {
    let authority = Authority::new().unwrap();
    let server = host(&authority).await;
    let visitor = Visitor::new(&authority, &server).await;
    let (_, room, visited, _) = conversation(&server, &visitor, "10", "shared").await;
    let carol = server.user("carol").await;
    carol.join(&room).await.ok();
    let said = carol.say(&room, "1", "forget me").await;
    let texts = async || {
        let one = visitor.get(&format!("{V1}/event/{}", escaped(&said))).await.ok();
        let path = format!("{V1}/backfill/{}?v={}&limit=1", escaped(&room), escaped(&said));
        let history = visitor.get(&path).await.ok();
        [one, history].map(|answer| {
            assert_eq!(visited.read(&answer["pdus"][0]).id, said);
            answer["pdus"][0]["content"].clone()
        })
    };
    assert_eq!(texts().await, [message("forget me"), message("forget me")]);
    let body = json!({ "erase": true, "auth": {
        "type": "m.login.password", "password": "password of carol",
        "identifier": { "type": "m.id.user", "user": "carol" },
    } });
    carol.post("/account/deactivate", body).await.ok();
    assert_eq!(texts().await, [json!({}), json!({})]);
}

#[tokio::test]
async fn d01_d02_events_of_another_room_are_not_there() {
    let authority = Authority::new().unwrap();
    let server = host(&authority).await;
    let visitor = Visitor::new(&authority, &server).await;
    let (_, room, ..) = conversation(&server, &visitor, "10", "shared").await;
    let alice = server.user("alice").await;
    // The visitor is not in this one.
    let secret = alice.create_room(json!({ "preset": "private_chat" })).await;
    let said = alice.say(&secret, "t", "secret").await;
    let (room, secret) = (escaped(&room), escaped(&secret));
    for at in [
        "state/ROOM?event_id=EVENT",
        "state_ids/ROOM?event_id=EVENT",
        "event_auth/ROOM/EVENT",
    ] {
        let ask = async |room: &str, event: &str| {
            let path = at.replace("ROOM", room).replace("EVENT", &escaped(event));
            visitor.get(&format!("{V1}/{path}")).await
        };
        let of_another = ask(&room, &said).await;
        let of_none = ask(&room, "$nothing").await;
        assert_eq!(of_another.body, of_none.body, "{at}");
        of_another.refused(404, "M_NOT_FOUND");
        let closed = ask(&secret, &said).await;
        assert!(matches!(closed.status, 403 | 404), "{at}: {}", closed.status);
    }
    let event = visitor.get(&format!("{V1}/event/{}", escaped(&said))).await;
    let nothing = visitor.get(&format!("{V1}/event/$nothing")).await;
    assert_eq!(event.body, nothing.body);
    event.refused(404, "M_NOT_FOUND");
    let body = json!({ "earliest_events": [], "latest_events": [said], "limit": 10 });
    let path = format!("{V1}/get_missing_events/{room}");
    assert_eq!(
        visitor.ask("POST", &path, Some(&body)).await.ok(),
        json!({ "events": [] })
    );
    let history = visitor
        .get(&format!("{V1}/backfill/{room}?v={}&limit=10", escaped(&said)))
        .await;
    assert!(
        history.status == 404 || history.body["pdus"] == json!([]),
        "{}",
        history.body
    );
}

#[tokio::test]
async fn d03_times_are_looked_up_by_servers_in_the_room() {
    let authority = Authority::new().unwrap();
    let server = host(&authority).await;
    let visitor = Visitor::new(&authority, &server).await;
    let other = Visitor::new(&authority, &server).await;
    let (_, room, ..) = conversation(&server, &visitor, "11", "shared").await;
    let path = format!("{V1}/timestamp_to_event/{}?ts=0&dir=f", escaped(&room));
    let found = visitor.get(&path).await.ok();
    assert!(found["event_id"].is_string() && found["origin_server_ts"].is_u64());
    other.get(&path).await.refused(403, "M_FORBIDDEN");
    visitor
        .get(&path.replace("dir=f", "dir=x"))
        .await
        .refused(400, "M_INVALID_PARAM");
}

#[tokio::test]
async fn d04_what_was_said_before_they_came_is_redacted_for_servers_where_members_may_not_see_it() {
    let authority = Authority::new().unwrap();
    let server = host(&authority).await;
    let visitor = Visitor::new(&authority, &server).await;
    for (visibility, shown) in [
        ("shared", true),
        ("world_readable", true),
        ("joined", false),
        ("invited", false),
    ] {
        let (_, room, visited, said) = conversation(&server, &visitor, "10", visibility).await;
        let room = escaped(&room);
        let (before, after) = (said[0].as_str(), said[2].as_str());
        let body_of = |pdus: &Value, id: &str| {
            let mut pdus = pdus.as_array().unwrap().iter();
            let pdu = pdus.find(|pdu| visited.read(pdu).id == id).unwrap();
            pdu["content"].get("body").cloned()
        };
        let history = visitor
            .get(&format!("{V1}/backfill/{room}?v={}&limit=100", escaped(after)))
            .await
            .ok();
        assert_eq!(
            body_of(&history["pdus"], before).is_some(),
            shown,
            "backfill, {visibility}"
        );
        assert!(body_of(&history["pdus"], after).is_some(), "{visibility}");
        let body = json!({ "earliest_events": [], "latest_events": [after], "limit": 20 });
        let path = format!("{V1}/get_missing_events/{room}");
        let missing = visitor.ask("POST", &path, Some(&body)).await.ok();
        assert_eq!(
            body_of(&missing["events"], before).is_some(),
            shown,
            "missing, {visibility}"
        );
        let event = visitor.get(&format!("{V1}/event/{}", escaped(before))).await;
        if shown {
            assert!(
                body_of(&event.ok()["pdus"], before).is_some(),
                "event, {visibility}"
            );
        } else if event.status == 200 {
            assert!(
                body_of(&event.body["pdus"], before).is_none(),
                "event, {visibility}"
            );
        }
    }
}

#[tokio::test]
async fn servers_that_are_not_in_the_room_read_nothing_of_it() {
    let authority = Authority::new().unwrap();
    let server = host(&authority).await;
    let visitor = Visitor::new(&authority, &server).await;
    let other = Visitor::new(&authority, &server).await;
    let (_, room, _, said) = conversation(&server, &visitor, "10", "shared").await;
    let (room, last) = (escaped(&room), escaped(&said[2]));
    for path in [
        format!("state/{room}?event_id={last}"),
        format!("state_ids/{room}?event_id={last}"),
        format!("event_auth/{room}/{last}"),
        format!("backfill/{room}?v={last}&limit=10"),
    ] {
        other
            .get(&format!("{V1}/{path}"))
            .await
            .refused(403, "M_FORBIDDEN");
    }
    other
        .get(&format!("{V1}/event/{last}"))
        .await
        .refused(404, "M_NOT_FOUND");
    let body = json!({ "earliest_events": [], "latest_events": [said[2]], "limit": 10 });
    let path = format!("{V1}/get_missing_events/{room}");
    other
        .ask("POST", &path, Some(&body))
        .await
        .refused(403, "M_FORBIDDEN");
}
