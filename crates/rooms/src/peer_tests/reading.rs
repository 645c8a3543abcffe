//! What servers may read of each other's rooms.

use gatehouse_store::Direction;
use ruma::{OwnedEventId, OwnedRoomId, RoomId};
use serde_json::{Value, json};

use super::town::{Town, name, plain, user, whole};
use crate::{OutgoingPart, PeerError, create::Preset, remote_servers::RawPdu};

fn bodies(pdus: &[RawPdu]) -> Vec<Option<String>> {
    pdus.iter()
        .map(|pdu| serde_json::from_str::<Value>(pdu.get()).unwrap())
        .filter(|event| event["type"] == "m.room.message")
        .map(|event| event["content"]["body"].as_str().map(str::to_owned))
        .collect()
}

/// A room that `b` is in, and one that it is not in.
async fn two_rooms(town: &Town) -> (OwnedRoomId, OwnedEventId, OwnedRoomId, OwnedEventId) {
    let shared = town.room("12", Preset::PublicChat).await;
    town.join("b", &shared).await.unwrap();
    let said = town.say("a", &shared, "for all").await;
    let private = town.room("12", Preset::PrivateChat).await;
    let secret = town.say("a", &private, "secret").await;
    (shared, said, private, secret)
}

#[tokio::test]
async fn d01_d02_an_event_of_another_room_is_one_that_does_not_exist() {
    let town = Town::new().await;
    let (shared, said, _, secret) = two_rooms(&town).await;
    let (a, b) = (town.rooms("a"), name("b"));
    let missing: OwnedEventId = "$missing".try_into().unwrap();
    let not_found = |error: PeerError| {
        assert!(matches!(error, PeerError::NoSuchEvent), "{error:?}");
        error.to_string()
    };
    for id in [&secret, &missing] {
        not_found(a.event_for_server(&b, id).await.unwrap_err());
        not_found(a.event_auth_for_server(&b, &shared, id).await.unwrap_err());
        not_found(a.state_for_server(&b, &shared, id).await.unwrap_err());
        not_found(a.state_ids_for_server(&b, &shared, id).await.unwrap_err());
        let from = std::slice::from_ref(id);
        assert!(
            a.backfill_for_server(&b, &shared, from, 10)
                .await
                .unwrap()
                .is_empty()
        );
        let missing = a.missing_events_for_server(&b, &shared, &[], from, 10, 0).await;
        assert!(missing.unwrap().is_empty());
    }
    // What is there is given.
    assert_eq!(
        bodies(&[a.event_for_server(&b, &said).await.unwrap()]),
        [Some("for all".to_owned())]
    );
    let chain = a.event_auth_for_server(&b, &shared, &said).await.unwrap();
    assert!(!whole(chain).await.unwrap().1.is_empty());
    let state = a.state_for_server(&b, &shared, &said).await.unwrap();
    let (pdus, auth_chain) = whole(state).await.unwrap();
    let ids = a.state_ids_for_server(&b, &shared, &said).await.unwrap();
    assert_eq!(pdus.len(), ids.state.len());
    assert_eq!(auth_chain.len(), ids.auth_chain.len());
    assert!(
        !a.backfill_for_server(&b, &shared, &[said], 10)
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn a_large_state_is_handed_out_in_small_parts() {
    let town = Town::new().await;
    let room = town.room("12", Preset::PublicChat).await;
    for number in 0..450 {
        town.set("a", &room, &format!("kind{number}"), json!({})).await;
    }
    town.join("b", &room).await.unwrap();
    let said = town.say("a", &room, "for all").await;
    let (a, b) = (town.rooms("a"), name("b"));
    let mut state = a.state_for_server(&b, &room, &said).await.unwrap();
    let (mut handed, mut sizes) = (0, Vec::new());
    while let Some(part) = state.next().await.unwrap() {
        if let OutgoingPart::State(pdus) = part {
            handed += pdus.len();
            sizes.push(pdus.len());
        }
    }
    let ids = a.state_ids_for_server(&b, &room, &said).await.unwrap();
    assert_eq!(handed, ids.state.len());
    assert!(handed > 450 && sizes.iter().all(|size| *size <= 200), "{sizes:?}");
}

#[tokio::test]
async fn d03_d05_d06_a_server_that_is_not_in_the_room_is_given_nothing() {
    let town = Town::new().await;
    let (shared, _, private, secret) = two_rooms(&town).await;
    let nowhere: OwnedRoomId = "!nowhere:a".try_into().unwrap();
    let a = town.rooms("a");
    let denied = async |server: &str, room: &RoomId| {
        let server = name(server);
        let from = std::slice::from_ref(&secret);
        let mut told = Vec::new();
        let mut tell = |error: PeerError| {
            assert!(matches!(error, PeerError::NotInRoom), "{error:?}");
            told.push(error.to_string());
        };
        tell(a.event_auth_for_server(&server, room, &secret).await.unwrap_err());
        tell(a.state_for_server(&server, room, &secret).await.unwrap_err());
        tell(a.state_ids_for_server(&server, room, &secret).await.unwrap_err());
        tell(a.backfill_for_server(&server, room, from, 10).await.unwrap_err());
        tell(
            a.missing_events_for_server(&server, room, &[], from, 10, 0)
                .await
                .unwrap_err(),
        );
        tell(
            a.timestamp_to_event_for_server(&server, room, 0, Direction::Forward)
                .await
                .unwrap_err(),
        );
        told
    };
    let of_private = denied("b", &private).await;
    let of_nowhere = denied("b", &nowhere).await;
    assert_eq!(of_private, of_nowhere, "nothing tells them apart");
    denied("c", &shared).await;
    // Whoever has left is out.
    town.rooms("b")
        .leave(&user("b"), &shared, &plain())
        .await
        .unwrap();
    town.deliver("b", "a", &shared).await;
    denied("b", &shared).await;
}

#[tokio::test]
async fn d04_events_that_none_of_a_servers_users_may_see_are_redacted() {
    for (visibility, before, invited, joined) in [
        ("world_readable", true, true, true),
        ("shared", true, true, true),
        ("invited", false, true, true),
        ("joined", false, false, true),
    ] {
        let town = Town::new().await;
        let set = json!({ "history_visibility": visibility });
        let room = town
            .room_with("11", Preset::PrivateChat, &[("m.room.history_visibility", set)])
            .await;
        let first = town.say("a", &room, "before").await;
        town.rooms("a")
            .invite(&user("a"), &user("b"), &room, &plain())
            .await
            .unwrap();
        let second = town.say("a", &room, "invited").await;
        town.join("b", &room).await.unwrap();
        let third = town.say("a", &room, "joined").await;
        let (a, b) = (town.rooms("a"), name("b"));
        let texts = [
            (first, "before", before),
            (second, "invited", invited),
            (third.clone(), "joined", joined),
        ];
        for (id, text, seen) in &texts {
            let event = a.event_for_server(&b, id).await.unwrap();
            let expected = seen.then(|| (*text).to_owned());
            assert_eq!(bodies(&[event]), [expected], "{visibility} {text}");
        }
        let expected: Vec<_> = texts
            .iter()
            .rev()
            .map(|(_, text, seen)| seen.then(|| (*text).to_owned()))
            .collect();
        let filled = a
            .backfill_for_server(&b, &room, std::slice::from_ref(&third), 100)
            .await
            .unwrap();
        assert_eq!(bodies(&filled), expected, "{visibility}");
        // What `b` does itself it sees.
        let join = town.rooms("a").head(&room).await.unwrap().unwrap();
        let join = join.state_event_id("m.room.member", "@b:b").unwrap();
        let event = a.event_for_server(&b, join).await.unwrap();
        assert!(event.get().contains("\"membership\":\"join\""));
    }
}

#[tokio::test]
async fn x17_x18_walks_are_bounded_and_in_order() {
    let town = Town::new().await;
    let room = town.room("12", Preset::PublicChat).await;
    town.join("b", &room).await.unwrap();
    let mut ids = Vec::new();
    for number in 0..120 {
        ids.push(town.say("a", &room, &number.to_string()).await);
    }
    let (a, b) = (town.rooms("a"), name("b"));
    let last = ids.last().unwrap().clone();
    let filled = a
        .backfill_for_server(&b, &room, std::slice::from_ref(&last), 100_000)
        .await
        .unwrap();
    assert_eq!(filled.len(), 100);
    let texts = bodies(&filled);
    assert_eq!(
        (texts[0].as_deref(), texts[99].as_deref()),
        (Some("119"), Some("20"))
    );
    let missing = a
        .missing_events_for_server(&b, &room, &[], std::slice::from_ref(&last), 100_000, 0)
        .await
        .unwrap();
    let texts = bodies(&missing);
    assert_eq!(
        (missing.len(), texts[0].as_deref(), texts[19].as_deref()),
        (20, Some("99"), Some("118"))
    );
    let between = a
        .missing_events_for_server(&b, &room, &ids[115..116], std::slice::from_ref(&last), 20, 0)
        .await
        .unwrap();
    assert_eq!(bodies(&between).len(), 3);
    let (event, _) = a
        .timestamp_to_event_for_server(&b, &room, u64::MAX >> 12, Direction::Backward)
        .await
        .unwrap();
    assert_eq!(event, last);
}
