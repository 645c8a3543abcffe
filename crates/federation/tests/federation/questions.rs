//! What is asked of other servers, and what is made of their answers.

use gatehouse_events::RoomVersion;
use gatehouse_rooms::remote_servers::{
    Fetch, OutgoingInvite, RemoteError, RemoteMembership, RemoteServers as _, WantedState,
};
use gatehouse_test_peers::{Received, Reply};
use http::header::AUTHORIZATION;
use ruma::{event_id, room_id, user_id};
use serde_json::json;
use tokio::sync::mpsc;

use crate::house::{House, key, signed};

/// Whether the request is signed by us for this server.
fn is_signed_by_us(received: &Received, destination: &str) -> bool {
    let mut object = json!({
        "method": received.method.as_str(),
        "uri": received.uri,
        "origin": "us.example",
        "destination": destination,
    });
    if !received.body.is_empty() {
        object["content"] = received.json();
    }
    let signed = signed(&crate::house::name("us.example"), &key("own"), object);
    let sig = signed["signatures"]["us.example"]["ed25519:own"]
        .as_str()
        .unwrap();
    received.header(&AUTHORIZATION).contains(sig)
}

#[tokio::test]
async fn memberships_are_asked_for_with_all_versions_that_we_know() {
    let house = House::new().await;
    let (peer, server) = house
        .peer(|_| {
            Reply::json(
                200,
                &json!({ "room_version": "11", "event": { "type": "m.room.member" } }),
            )
        })
        .await;
    let made = house
        .federation
        .make_membership(
            &server,
            room_id!("!a/b:x"),
            user_id!("@u:us.example"),
            RemoteMembership::Joining,
        )
        .await
        .unwrap();
    assert_eq!(made.room_version.as_deref(), Some("11"));
    let received = &peer.received()[0];
    let path = "/_matrix/federation/v1/make_join/%21a%2Fb%3Ax/%40u%3Aus.example?ver=1&ver=2&";
    assert!(received.uri.starts_with(path), "{}", received.uri);
    assert_eq!(received.uri.matches("ver=").count(), RoomVersion::all().count());
    assert!(is_signed_by_us(received, server.as_str()));
}

#[tokio::test]
async fn joins_fall_back_to_the_old_operation_where_the_new_one_is_not_known() {
    let house = House::new().await;
    let (peer, server) = house
        .peer(|received| {
            if received.uri.contains("/v2/") {
                return Reply::json(404, &json!({ "errcode": "M_UNRECOGNIZED" }));
            }
            let joined = json!({ "state": [{ "a": 1 }], "auth_chain": [], "servers_in_room": ["a", "b b"] });
            Reply::json(200, &json!([200, joined]))
        })
        .await;
    let joined = house
        .federation
        .send_join(
            &server,
            room_id!("!a:x"),
            event_id!("$e"),
            r#"{"depth":1}"#,
            WantedState::WithoutMembers,
        )
        .await
        .unwrap();
    assert_eq!((joined.state.len(), joined.servers_in_room.len()), (1, 1));
    let received = peer.received();
    // The old operation knows nothing of members that are left out.
    assert_eq!(
        received.iter().map(|it| it.uri.as_str()).collect::<Vec<_>>(),
        [
            "/_matrix/federation/v2/send_join/%21a%3Ax/%24e?omit_members=true",
            "/_matrix/federation/v1/send_join/%21a%3Ax/%24e",
        ]
    );
    assert!(received.iter().all(|it| is_signed_by_us(it, server.as_str())));
}

#[tokio::test]
async fn invites_fall_back_for_the_first_two_room_versions_only() {
    let house = House::new().await;
    let (peer, server) = house
        .peer(|received| {
            if received.uri.contains("/v2/") {
                return Reply::json(404, &json!({ "errcode": "M_UNRECOGNIZED" }));
            }
            Reply::json(200, &json!([200, { "event": received.json() }]))
        })
        .await;
    let invite = |version| OutgoingInvite {
        room_id: room_id!("!a:x"),
        event_id: event_id!("$e"),
        version,
        pdu: r#"{"depth":1,"type":"m.room.member"}"#,
        invite_room_state: r#"[{"type":"m.room.create","content":{}}]"#,
    };
    let invited = house.federation.invite(&server, invite("2")).await.unwrap();
    assert!(invited.get().contains("invite_room_state"));
    let refused = house.federation.invite(&server, invite("3")).await;
    assert!(matches!(refused, Err(RemoteError::Refused { status: 404, .. })));
    let received = peer.received();
    assert_eq!(received.len(), 3);
    assert!(received.iter().all(|it| is_signed_by_us(it, server.as_str())));
    assert_eq!(received[0].json()["room_version"], json!("2"));
}

#[tokio::test]
async fn w12_what_lies_between_the_servers_does_not_reach_a_user() {
    let house = House::new().await;
    for (status, body, expected) in [
        (
            401,
            json!({ "errcode": "M_UNKNOWN_TOKEN", "soft_logout": true }),
            RemoteError::Unreachable,
        ),
        (500, json!({}), RemoteError::Unreachable),
        (
            429,
            json!({ "errcode": "M_LIMIT_EXCEEDED" }),
            refused(429, "M_LIMIT_EXCEEDED", ""),
        ),
        (
            403,
            json!({ "errcode": "M_FORBIDDEN", "error": "no\u{7}\n" }),
            refused(403, "M_FORBIDDEN", "no"),
        ),
        (403, json!({ "errcode": "<script>" }), refused(403, "", "")),
        (200, json!([]), RemoteError::BadAnswer),
    ] {
        let (_peer, server) = house.peer(move |_| Reply::json(status, &body)).await;
        let event_id = event_id!("$e");
        let answer = house.federation.fetch(&server, Fetch::Event { event_id }).await;
        assert_eq!(answer.map(|_| ()), Err(expected), "{status}");
    }
}

fn refused(status: u16, errcode: &str, error: &str) -> RemoteError {
    RemoteError::Refused {
        errcode: errcode.to_owned(),
        error: error.to_owned(),
        status,
    }
}

#[tokio::test]
async fn events_are_asked_for_as_the_specification_says() {
    let house = House::new().await;
    let (peer, server) = house
        .peer(|_| {
            let none = json!([]);
            let answer = json!({
                "pdus": none, "events": none, "auth_chain": none, "pdu_ids": none, "auth_chain_ids": none,
            });
            Reply::json(200, &answer)
        })
        .await;
    let (room_id, event_id) = (room_id!("!a:x"), event_id!("$e"));
    let ids = [event_id.to_owned(), event_id!("$f").to_owned()];
    for fetch in [
        Fetch::Event { event_id },
        Fetch::EventAuth { room_id, event_id },
        Fetch::Backfill {
            room_id,
            from: &ids,
            limit: 7,
        },
        Fetch::MissingEvents {
            room_id,
            earliest: &ids,
            latest: &ids[..1],
            limit: 20,
            min_depth: 3,
        },
    ] {
        house.federation.fetch(&server, fetch).await.unwrap();
    }
    let (parts, _taken) = mpsc::channel(2);
    house
        .federation
        .state(&server, room_id, event_id, parts)
        .await
        .unwrap();
    house
        .federation
        .state_ids(&server, room_id, event_id)
        .await
        .unwrap();
    assert_eq!(
        peer.uris(),
        [
            "/_matrix/federation/v1/event/%24e",
            "/_matrix/federation/v1/event_auth/%21a%3Ax/%24e",
            "/_matrix/federation/v1/backfill/%21a%3Ax?v=%24e&v=%24f&limit=7",
            "/_matrix/federation/v1/get_missing_events/%21a%3Ax",
            "/_matrix/federation/v1/state/%21a%3Ax?event_id=%24e",
            "/_matrix/federation/v1/state_ids/%21a%3Ax?event_id=%24e",
        ]
    );
    let received = peer.received();
    assert_eq!(
        received[3].json(),
        json!({ "earliest_events": ["$e", "$f"], "latest_events": ["$e"], "limit": 20, "min_depth": 3 })
    );
    assert!(received.iter().all(|it| is_signed_by_us(it, server.as_str())));
    assert_eq!(peer.connections(), 1);
}

#[tokio::test]
async fn x07_answers_that_are_too_long_are_given_up() {
    let house = House::new().await;
    let (_peer, server) = house.peer(|_| Reply::bytes(200, vec![b' '; (1 << 20) + 1])).await;
    let event_id = event_id!("$e");
    let answer = house.federation.fetch(&server, Fetch::Event { event_id }).await;
    assert_eq!(answer.map(|_| ()), Err(RemoteError::Unreachable));
}
