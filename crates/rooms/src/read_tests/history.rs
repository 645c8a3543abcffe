//! The matrix of D05 through `messages`, `context`, `event` and `timestamp_to_event`; pages and walks.

use gatehouse_store::Direction;
use ruma::{RoomId, UserId, device_id, event_id, room_id};
use serde_json::json;

use super::fixture::{House, ids, shown, user, viewer};
use crate::{
    ReadError,
    filter::RoomEventFilter,
    messages::MessagesQuery,
    present::Viewer,
    room_transaction::{Beside, Transaction},
    token::Token,
};

const VISIBILITIES: [&str; 4] = ["world_readable", "shared", "invited", "joined"];
const MEMBERSHIPS: [&str; 5] = ["none", "invite", "join", "leave", "ban"];

/// Gives the reader one of the five memberships. Those who left or are banned were joined before.
async fn become_one(house: &House, room: &RoomId, owner: &UserId, reader: &UserId, membership: &str) {
    match membership {
        "invite" => {
            house.member(room, owner, reader, "invite").await;
        }
        "join" => {
            house.member(room, reader, reader, "join").await;
        }
        "leave" => {
            house.member(room, reader, reader, "join").await;
            house.member(room, reader, reader, "leave").await;
        }
        "ban" => {
            house.member(room, reader, reader, "join").await;
            house.member(room, owner, reader, "ban").await;
        }
        _ => {}
    }
}

/// Whether one who has this membership when an event is sent, and keeps it, sees the event.
fn sees(visibility: &str, membership: &str) -> bool {
    match visibility {
        "world_readable" => true,
        "invited" => membership == "join" || membership == "invite",
        _ => membership == "join",
    }
}

#[tokio::test]
async fn d05_events_are_shown_as_the_visibility_and_the_membership_then_say() {
    let (owner, reader) = (user("owner"), user("reader"));
    for visibility in VISIBILITIES {
        for membership in MEMBERSHIPS {
            let house = House::new();
            let room = house.room(&owner).await;
            house.visibility(&room, &owner, visibility).await;
            become_one(&house, &room, &owner, &reader, membership).await;
            let event = house.say(&room, &owner, "here?").await;
            let case = format!("{visibility} {membership}");
            let expected = sees(visibility, membership);

            let one = house.rooms.one_event(viewer(&reader), &room, &event).await;
            assert_eq!(one.is_ok(), expected, "event: {case}");

            let messages = house.history(&room, &reader).await;
            let seen = messages.is_ok_and(|page| ids(&page.chunk).contains(&event));
            // The invited read with /messages once they have joined.
            assert_eq!(
                seen,
                expected && (visibility == "world_readable" || membership == "join"),
                "messages: {case}"
            );

            let filter = RoomEventFilter::default();
            let context = house
                .rooms
                .event_context(viewer(&reader), &room, &event, None, &filter)
                .await;
            assert_eq!(context.is_ok(), seen, "context: {case}");

            let ts = house.clock.now_ms();
            let nearest = house
                .rooms
                .event_by_timestamp(&reader, &room, ts, Direction::Backward)
                .await;
            let found = nearest.is_ok_and(|(found, _)| found == event);
            assert_eq!(found, seen, "timestamp_to_event: {case}");

            house.member(&room, &owner, &reader, "leave").await;
            house.member(&room, &reader, &reader, "join").await;
            let later = house.history(&room, &reader).await.unwrap();
            let seen = ids(&later.chunk).contains(&event);
            assert_eq!(seen, expected || visibility == "shared", "after joining: {case}");
        }
    }
}

#[tokio::test]
async fn d05_who_left_reads_up_to_the_leave() {
    let (owner, reader) = (user("owner"), user("reader"));
    for visibility in ["shared", "invited", "joined"] {
        for (by, ended) in [(&reader, "leave"), (&owner, "leave"), (&owner, "ban")] {
            let house = House::new();
            let room = house.room(&owner).await;
            house.visibility(&room, &owner, visibility).await;
            house.member(&room, &reader, &reader, "join").await;
            let before = house.say(&room, &owner, "before").await;
            let leave = house.member(&room, by, &reader, ended).await;
            let after = house.say(&room, &owner, "after").await;
            let page = house.history(&room, &reader).await.unwrap();
            let seen = ids(&page.chunk);
            assert!(
                seen.contains(&before) && seen.contains(&leave),
                "{visibility} {ended}"
            );
            assert!(!seen.contains(&after), "{visibility} {ended}");
            assert_eq!(seen.last(), Some(&leave));
            let one = house.rooms.one_event(viewer(&reader), &room, &after).await;
            assert!(matches!(one, Err(ReadError::EventNotFound)));
        }
    }
}

#[tokio::test]
async fn another_rooms_event_is_as_one_that_does_not_exist() {
    let house = House::new();
    let owner = user("owner");
    let (here, there) = (house.room(&owner).await, house.room(&owner).await);
    let event = house.say(&there, &owner, "x").await;
    let wrong = house
        .rooms
        .one_event(viewer(&owner), &here, &event)
        .await
        .unwrap_err();
    let missing = house
        .rooms
        .one_event(viewer(&owner), &here, event_id!("$nothing"))
        .await
        .unwrap_err();
    let nowhere = house
        .rooms
        .one_event(viewer(&owner), room_id!("!nowhere:s"), &event)
        .await
        .unwrap_err();
    assert_eq!(wrong.to_string(), missing.to_string());
    assert_eq!(wrong.to_string(), nowhere.to_string());
}

#[tokio::test]
async fn a_room_that_does_not_exist_is_as_one_that_is_closed() {
    let house = House::new();
    let (owner, stranger) = (user("owner"), user("stranger"));
    let room = house.room(&owner).await;
    let closed = house.history(&room, &stranger).await.unwrap_err();
    let missing = house
        .history(room_id!("!nowhere:s"), &stranger)
        .await
        .unwrap_err();
    assert!(matches!(closed, ReadError::NotInRoom));
    assert_eq!(closed.to_string(), missing.to_string());
}

#[tokio::test]
async fn pages_back_and_forth_show_every_event_once() {
    let house = House::new();
    let owner = user("owner");
    let room = house.room(&owner).await;
    for number in 0..20 {
        house.say(&room, &owner, &number.to_string()).await;
    }
    let all = ids(&house.history(&room, &owner).await.unwrap().chunk);
    for direction in [Direction::Forward, Direction::Backward] {
        let mut query = MessagesQuery {
            limit: Some(7),
            ..House::everything(direction)
        };
        let mut seen = Vec::new();
        loop {
            let page = house.rooms.messages(viewer(&owner), &room, &query).await.unwrap();
            if let Some(from) = query.from {
                assert_eq!(page.start, from);
            }
            seen.extend(ids(&page.chunk));
            query.from = page.end;
            if query.from.is_none() {
                break;
            }
        }
        if direction == Direction::Backward {
            seen.reverse();
        }
        assert_eq!(seen, all, "{direction:?}");
    }
}

#[tokio::test]
async fn a_page_stops_at_its_end_token() {
    let house = House::new();
    let owner = user("owner");
    let room = house.room(&owner).await;
    let first = house.say(&room, &owner, "1").await;
    let second = house.say(&room, &owner, "2").await;
    let third = house.say(&room, &owner, "3").await;
    let mut query = House::everything(Direction::Forward);
    query.from = Some(Token::after(house.position(&first).await));
    query.to = Some(Token::after(house.position(&second).await));
    let page = house.rooms.messages(viewer(&owner), &room, &query).await.unwrap();
    assert_eq!(ids(&page.chunk), std::slice::from_ref(&second));
    query.direction = Direction::Backward;
    query.from = Some(Token::after(house.position(&third).await));
    query.to = Some(Token::after(house.position(&first).await));
    let page = house.rooms.messages(viewer(&owner), &room, &query).await.unwrap();
    assert_eq!(ids(&page.chunk), [third, second]);
}

#[tokio::test]
async fn e31_rejected_events_do_not_end_a_page() {
    let house = House::new();
    let owner = user("owner");
    let room = house.room(&owner).await;
    let first = house.say(&room, &owner, "first").await;
    house.rejected(&room, &owner, 1_000).await;
    let last = house.say(&room, &owner, "last").await;
    let query = MessagesQuery {
        limit: Some(2),
        ..House::everything(Direction::Backward)
    };
    let page = house.rooms.messages(viewer(&owner), &room, &query).await.unwrap();
    assert_eq!(ids(&page.chunk), [last, first]);
    assert!(page.end.is_some());
}

#[tokio::test]
async fn e31_a_filter_that_lets_nothing_through_still_reaches_the_create_event() {
    let house = House::new();
    let owner = user("owner");
    let room = house.room(&owner).await;
    for number in 0..50 {
        house.say(&room, &owner, &number.to_string()).await;
    }
    let query = MessagesQuery {
        filter: RoomEventFilter::parse(r#"{"types":["m.room.create"]}"#).unwrap(),
        limit: Some(1),
        ..House::everything(Direction::Backward)
    };
    let page = house.rooms.messages(viewer(&owner), &room, &query).await.unwrap();
    assert_eq!(page.chunk.len(), 1);
    let query = MessagesQuery {
        from: page.end,
        ..query
    };
    let page = house.rooms.messages(viewer(&owner), &room, &query).await.unwrap();
    assert_eq!((page.chunk.len(), page.end), (0, None));
}

#[tokio::test]
async fn lazy_loading_sends_the_members_who_speak() {
    let house = House::new();
    let (owner, speaker, silent) = (user("owner"), user("speaker"), user("silent"));
    let room = house.room(&owner).await;
    house.member(&room, &silent, &silent, "join").await;
    house.member(&room, &speaker, &speaker, "join").await;
    house.say(&room, &speaker, "hello").await;
    let query = MessagesQuery {
        filter: RoomEventFilter::parse(r#"{"lazy_load_members":true}"#).unwrap(),
        limit: Some(1),
        ..House::everything(Direction::Backward)
    };
    let page = house.rooms.messages(viewer(&owner), &room, &query).await.unwrap();
    let members: Vec<_> = page
        .state
        .iter()
        .map(|event| event.event.state_key.clone().unwrap())
        .collect();
    assert_eq!(members, [speaker.as_str()]);
}

#[tokio::test]
async fn context_has_what_is_around_and_tokens_to_go_on() {
    let house = House::new();
    let owner = user("owner");
    let room = house.room(&owner).await;
    let mut events = Vec::new();
    for number in 0..5 {
        events.push(house.say(&room, &owner, &number.to_string()).await);
    }
    let filter = RoomEventFilter::default();
    let around = async |limit| {
        let context = house
            .rooms
            .event_context(viewer(&owner), &room, &events[2], Some(limit), &filter)
            .await;
        context.unwrap()
    };
    let context = around(2).await;
    assert_eq!(ids(&context.events_before), [events[1].clone()]);
    assert_eq!(ids(&context.events_after), [events[3].clone()]);
    assert!(
        context
            .state
            .iter()
            .any(|event| event.event.kind.to_string() == "m.room.create")
    );
    for (from, direction, next) in [
        (context.start, Direction::Backward, &events[0]),
        (context.end, Direction::Forward, &events[4]),
    ] {
        let query = MessagesQuery {
            from: Some(from),
            limit: Some(1),
            ..House::everything(direction)
        };
        let page = house.rooms.messages(viewer(&owner), &room, &query).await.unwrap();
        assert_eq!(ids(&page.chunk), std::slice::from_ref(next));
    }
    let alone = around(0).await;
    assert!(alone.events_before.is_empty() && alone.events_after.is_empty());
}

#[tokio::test]
async fn unsigned_says_what_only_the_server_knows() {
    let house = House::new();
    let (owner, other) = (user("owner"), user("other"));
    let room = house.room(&owner).await;
    house
        .state(&room, &owner, "m.room.topic", "", json!({ "topic": "old" }))
        .await;
    let topic = house
        .state(&room, &owner, "m.room.topic", "", json!({ "topic": "new" }))
        .await;
    let beside = Beside {
        transaction: Some(Transaction {
            device_id: device_id!("PHONE").to_owned(),
            id: "txn".to_owned(),
            scope: "PUT send".to_owned(),
        }),
        ..Beside::default()
    };
    let message = house
        .append(
            &room,
            &owner,
            "m.room.message",
            None,
            json!({ "body": "x" }),
            beside,
        )
        .await;
    house.member(&room, &other, &other, "join").await;

    let show = async |viewer, event| shown(&house.rooms.one_event(viewer, &room, event).await.unwrap());
    let topic = show(viewer(&owner), &topic).await;
    assert_eq!(topic["unsigned"]["prev_content"], json!({ "topic": "old" }));
    assert!(topic["unsigned"]["age"].as_u64().unwrap() > 0);
    let own = show(viewer(&owner), &message).await;
    assert_eq!(own["unsigned"]["transaction_id"], "txn");
    assert_eq!(own["unsigned"]["membership"], "join");
    let elsewhere = Viewer {
        user: &owner,
        device: Some(device_id!("TABLET")),
    };
    assert_eq!(
        show(elsewhere, &message).await["unsigned"].get("transaction_id"),
        None
    );
    let others = show(viewer(&other), &message).await;
    assert_eq!(others["unsigned"].get("transaction_id"), None);
    assert_eq!(others["unsigned"]["membership"], "leave");
}

#[tokio::test]
async fn timestamps_lead_to_the_nearest_event_in_each_direction() {
    let house = House::new();
    let owner = user("owner");
    let room = house.room(&owner).await;
    let first = house.say(&room, &owner, "1").await;
    let ts = house.clock.now_ms();
    let second = house.say(&room, &owner, "2").await;
    let nearest = async |ts, direction| house.rooms.event_by_timestamp(&owner, &room, ts, direction).await;
    assert_eq!(
        nearest(ts, Direction::Forward).await.unwrap(),
        (first.clone(), ts)
    );
    assert_eq!(nearest(ts, Direction::Backward).await.unwrap(), (first, ts));
    assert_eq!(
        nearest(ts + 1, Direction::Forward).await.unwrap(),
        (second, ts + 1)
    );
    let beyond = nearest(ts + 2, Direction::Forward).await;
    assert!(matches!(beyond, Err(ReadError::NothingNearTimestamp(_))));
}
