//! What gives power over a room, and what does not.

use gatehouse_events::{NewEvent, RoomVersion};
use gatehouse_store::{Direction, Range, Store};
use ruma::{CanonicalJsonObject, OwnedEventId, OwnedRoomId, OwnedUserId, UserId, events::TimelineEventType};

use super::house::{content, request, room, rooms, user};
use crate::{
    Join, MembershipRequest, Refusal, Rooms, WriteError,
    create::Preset,
    redact::Redaction,
    room_transaction::Beside,
    send::{Message, StateUpdate},
    tables::TIMELINE,
};

fn version(name: &str) -> RoomVersion {
    name.parse().unwrap()
}

fn message(kind: &str) -> Message {
    Message {
        kind: kind.into(),
        content: content(r#"{"body":"hi"}"#),
        transaction: None,
    }
}

fn state(kind: &str, text: &str) -> StateUpdate {
    StateUpdate {
        kind: kind.into(),
        state_key: String::new(),
        content: content(text),
        is_guest: false,
    }
}

async fn events(store: &Store) -> usize {
    store
        .scan(&TIMELINE, &Range::all(), Direction::Forward, 1_000)
        .await
        .unwrap()
        .len()
}

/// A refusal by name or by rule; anything else is not an answer to give.
fn assert_refused<T: std::fmt::Debug>(outcome: Result<T, WriteError>, what: &str) {
    let error = outcome.expect_err(what);
    assert!(matches!(error, WriteError::Refused(_)), "{what}: {error:?}");
}

#[tokio::test]
async fn b27_a_room_is_created_once() {
    for version in RoomVersion::all() {
        let store = Store::in_memory();
        let rooms = rooms(&store);
        let (alice, bob) = (user("alice"), user("bob"));
        let mut asked = request(version, Preset::PublicChat);
        asked.power_level_content_override = content(r#"{"users":{"@bob:s":90}}"#);
        if !version.rules().authorization.explicitly_privilege_room_creators {
            asked.power_level_content_override = content(r#"{"users":{"@alice:s":100,"@bob:s":90}}"#);
        }
        let room = rooms.create(&alice, &asked, None).await.unwrap();
        rooms.join(&bob, &room, &Join::default()).await.unwrap();
        let before = events(&store).await;
        let mine = format!(r#"{{"creator":"@bob:s","room_version":"{version}"}}"#);
        for person in [&alice, &bob] {
            for state_key in ["", "another"] {
                let mut update = state("m.room.create", &mine);
                update.state_key = state_key.into();
                let place = format!("version {version}: {person} `{state_key}`");
                assert_refused(rooms.set_state(person, &room, &update).await, &place);
            }
            assert_refused(
                rooms.send(person, &room, &message("m.room.create")).await,
                "as a message",
            );
        }
        assert_eq!(events(&store).await, before);
        let head = rooms.head(&room).await.unwrap().unwrap();
        assert_eq!(head.hot_event("m.room.create").unwrap().sender, alice);
    }
}

#[tokio::test]
async fn b27_the_state_that_a_room_begins_with_has_no_second_create_event() {
    let rooms = rooms(&Store::in_memory());
    let mut asked = request(version("11"), Preset::PublicChat);
    let mut second = state("m.room.create", "{}");
    second.state_key = "another".into();
    asked.initial_state = vec![second];
    let error = rooms.create(&user("alice"), &asked, None).await.unwrap_err();
    assert!(matches!(error, WriteError::InvalidRoomState(_)), "{error:?}");
}

#[tokio::test]
async fn b25_a_room_that_is_not_federated_takes_nothing_from_strangers() {
    let store = Store::in_memory();
    let rooms = rooms(&store);
    let mut asked = request(version("12"), Preset::PublicChat);
    asked.creation_content = content(r#"{"m.federate":false}"#);
    let room = rooms.create(&user("alice"), &asked, None).await.unwrap();
    let before = events(&store).await;
    let stranger = UserId::parse("@mallory:elsewhere").unwrap();
    assert_refused(rooms.join(&stranger, &room, &Join::default()).await, "join");
    assert_refused(
        rooms.send(&stranger, &room, &message("m.room.message")).await,
        "send",
    );
    assert_eq!(events(&store).await, before);
}

#[tokio::test]
async fn b26_a_room_takes_nothing_from_those_who_left() {
    let store = Store::in_memory();
    let rooms = rooms(&store);
    let alice = user("alice");
    let room = room(&rooms, &alice, version("12"), Preset::PublicChat).await;
    let said = rooms
        .send(&alice, &room, &message("m.room.message"))
        .await
        .unwrap();
    rooms
        .leave(&alice, &room, &MembershipRequest::default())
        .await
        .unwrap();
    let before = events(&store).await;
    assert_refused(
        rooms.send(&alice, &room, &message("m.room.message")).await,
        "send",
    );
    assert_refused(
        rooms
            .set_state(&alice, &room, &state("m.room.name", r#"{"name":"x"}"#))
            .await,
        "state",
    );
    assert_refused(
        rooms
            .redact(&alice, &room, &Redaction::because(said, None, None))
            .await,
        "redact",
    );
    assert_eq!(events(&store).await, before);
    assert_eq!(rooms.head(&room).await.unwrap().unwrap().counts.joined, 0);
}

/// A room in which alice has 100, bob `bob` and carol nothing, with these levels over the usual ones.
async fn levelled(rooms: &Rooms, version: RoomVersion, bob: i64, field: &str) -> OwnedRoomId {
    let mut asked = request(version, Preset::PublicChat);
    asked.power_level_content_override = content(&format!(
        r#"{{{field},"users":{{"@alice:s":100,"@bob:s":{bob},"@carol:s":0}}}}"#
    ));
    let room = rooms.create(&user("alice"), &asked, None).await.unwrap();
    for name in ["bob", "carol"] {
        rooms.join(&user(name), &room, &Join::default()).await.unwrap();
    }
    room
}

/// What needs a level, and where the level stands.
const LEVELS: [(&str, &str); 9] = [
    ("events_default", "send"),
    ("state_default", "state"),
    (r#"events":{"m.room.message"#, "send"),
    (r#"events":{"org.example.state"#, "state"),
    ("invite", "invite"),
    ("kick", "kick"),
    ("ban", "ban"),
    ("redact", "redact"),
    (r#"events":{"m.room.redaction"#, "redact own"),
];

async fn act(
    rooms: &Rooms,
    room: &OwnedRoomId,
    action: &str,
    said: &[OwnedEventId; 2],
) -> Result<(), WriteError> {
    let (bob, carol, dave): (OwnedUserId, OwnedUserId, OwnedUserId) =
        (user("bob"), user("carol"), user("dave"));
    let plain = MembershipRequest::default();
    let [by_alice, by_bob] = said.clone();
    match action {
        "send" => rooms.send(&bob, room, &message("m.room.message")).await.map(drop),
        "state" => rooms
            .set_state(&bob, room, &state("org.example.state", "{}"))
            .await
            .map(drop),
        "invite" => rooms.invite(&bob, &dave, room, &plain).await.map(drop),
        "kick" => rooms.kick(&bob, &carol, room, &plain).await.map(drop),
        "ban" => rooms.ban(&bob, &carol, room, &plain).await.map(drop),
        "redact" => rooms
            .redact(&bob, room, &Redaction::because(by_alice, None, None))
            .await
            .map(drop),
        _ => rooms
            .redact(&bob, room, &Redaction::because(by_bob, None, None))
            .await
            .map(drop),
    }
}

#[tokio::test]
async fn e14_each_power_level_decides_what_it_is_for() {
    for (field, action) in LEVELS {
        for (bob, needed) in [(30, 30), (29, 30)] {
            let rooms = rooms(&Store::in_memory());
            let close = if field.contains('{') { "}" } else { "" };
            let room = levelled(
                &rooms,
                version("11"),
                bob,
                &format!(r#""{field}":{needed}{close}"#),
            )
            .await;
            let alice = user("alice");
            let by_alice = rooms
                .send(&alice, &room, &message("org.example.said"))
                .await
                .unwrap();
            // What bob says must not need what is tried here.
            let by_bob = rooms
                .send(&user("bob"), &room, &message("org.example.said"))
                .await;
            let said = [by_alice.clone(), by_bob.unwrap_or(by_alice)];
            let outcome = act(&rooms, &room, action, &said).await;
            if bob >= needed {
                outcome.unwrap_or_else(|error| panic!("{field} {needed}, bob {bob}: {error:?}"));
            } else {
                let error = outcome.expect_err(field);
                assert!(
                    matches!(
                        error,
                        WriteError::Refused(Refusal::PowerTooLow {
                            needed: 30,
                            has: 29,
                            ..
                        })
                    ),
                    "{field}: {error:?}"
                );
            }
        }
    }
}

#[tokio::test]
async fn e15_without_power_levels_the_creator_alone_sets_state() {
    for version in RoomVersion::all() {
        let rooms = rooms(&Store::in_memory());
        let (alice, bob) = (user("alice"), user("bob"));
        let room = bare_room(&rooms, version, &alice).await;
        rooms.join(&bob, &room, &Join::default()).await.unwrap();
        let topic = state("m.room.topic", r#"{"topic":"mine"}"#);
        assert_refused(
            rooms.set_state(&bob, &room, &topic).await,
            &format!("version {version}"),
        );
        let levels = state("m.room.power_levels", r#"{"users":{"@bob:s":100}}"#);
        assert_refused(
            rooms.set_state(&bob, &room, &levels).await,
            &format!("version {version}"),
        );
        rooms.set_state(&alice, &room, &topic).await.unwrap();
        rooms.send(&bob, &room, &message("m.room.message")).await.unwrap();
    }
}

/// A public room that has no power levels event.
async fn bare_room(rooms: &Rooms, version: RoomVersion, creator: &UserId) -> OwnedRoomId {
    let mut create: CanonicalJsonObject = content(&format!(r#"{{"room_version":"{version}"}}"#));
    if !version.rules().authorization.use_room_create_sender {
        create.extend(content(&format!(r#"{{"creator":"{creator}"}}"#)));
    }
    let mut transaction = rooms.begin_new(version, None, creator, create).await.unwrap();
    let member = (
        TimelineEventType::RoomMember,
        creator.as_str(),
        r#"{"membership":"join"}"#,
    );
    let rule = (TimelineEventType::RoomJoinRules, "", r#"{"join_rule":"public"}"#);
    for (kind, state_key, text) in [member, rule] {
        let new = NewEvent {
            kind,
            state_key: Some(state_key.to_owned()),
            content: content(text),
            redacts: None,
        };
        transaction.append(creator, new, Beside::default()).await.unwrap();
    }
    let room = transaction.head().room_id.clone();
    transaction.commit().await.unwrap();
    room
}

/// Clients redact by the type alone, and the level to redact is asked of messages alone.
#[tokio::test]
async fn nobody_redacts_by_setting_state() {
    for version in RoomVersion::all() {
        let rooms = rooms(&Store::in_memory());
        let alice = user("alice");
        let room = room(&rooms, &alice, version, Preset::PublicChat).await;
        let said = rooms
            .send(&alice, &room, &message("m.room.message"))
            .await
            .unwrap();
        let redaction = state("m.room.redaction", &format!(r#"{{"redacts":"{said}"}}"#));
        let error = rooms.set_state(&alice, &room, &redaction).await.unwrap_err();
        assert!(
            matches!(error, WriteError::BadContent(_)),
            "version {version}: {error:?}"
        );
    }
}

/// Up to version 10 a redaction would take out whether the room is federated, and its version with it.
#[tokio::test]
async fn e21_the_event_that_made_a_room_is_not_redacted() {
    for version in RoomVersion::all() {
        let rooms = rooms(&Store::in_memory());
        let alice = user("alice");
        let mut asked = request(version, Preset::PublicChat);
        asked.creation_content = content(r#"{"m.federate":false}"#);
        let room = rooms.create(&alice, &asked, None).await.unwrap();
        let head = rooms.head(&room).await.unwrap().unwrap();
        let create = head.hot_event("m.room.create").unwrap().event_id.clone();
        let redaction = Redaction::because(create, None, None);
        let place = format!("version {version}");
        assert_refused(rooms.redact(&alice, &room, &redaction).await, &place);
        let stranger = UserId::parse("@mallory:elsewhere").unwrap();
        assert_refused(rooms.join(&stranger, &room, &Join::default()).await, &place);
    }
}
