//! Every room version: what is built is what its rules say.

use std::collections::BTreeMap;

use gatehouse_events::RoomVersion;
use gatehouse_store::{Direction, Range, Store};
use ruma::{
    CanonicalJsonObject, CanonicalJsonValue,
    serde::Base64,
    signatures::{Verified, verify_event},
};

use super::house::{content, room, rooms, user};
use crate::{
    Join, MembershipRequest,
    create::Preset,
    redact::Redaction,
    send::{Message, StateUpdate},
    tables::TIMELINE,
};

#[tokio::test]
async fn a_room_of_every_version_can_be_lived_in() {
    let (alice, bob, carol) = (user("alice"), user("bob"), user("carol"));
    for version in RoomVersion::all() {
        let store = Store::in_memory();
        let rooms = rooms(&store);
        let room = room(&rooms, &alice, version, Preset::PrivateChat).await;
        let plain = MembershipRequest::default();
        rooms.invite(&alice, &bob, &room, &plain).await.unwrap();
        rooms.join(&bob, &room, &Join::default()).await.unwrap();
        let message = Message {
            kind: "m.room.message".into(),
            content: content(r#"{"body":"hi"}"#),
            transaction: None,
        };
        let said = rooms.send(&bob, &room, &message).await.unwrap();
        rooms
            .redact(
                &alice,
                &room,
                &Redaction::because(said.clone(), Some("rude".into()), None),
            )
            .await
            .unwrap();
        let topic = StateUpdate {
            kind: "m.room.topic".into(),
            state_key: String::new(),
            content: content(r#"{"topic":"tea"}"#),
            is_guest: false,
        };
        rooms.set_state(&alice, &room, &topic).await.unwrap();
        rooms.ban(&alice, &carol, &room, &plain).await.unwrap();
        rooms.kick(&alice, &bob, &room, &plain).await.unwrap();
        rooms.leave(&alice, &room, &plain).await.unwrap();
        let row = rooms
            .stored(&[said])
            .await
            .unwrap()
            .into_iter()
            .flatten()
            .next()
            .unwrap();
        assert_eq!(row.content().get(), "{}", "version {version}: redacted");
        every_event_verifies(&store, version).await;
    }
}

/// Hash, signature and id of each stored event hold by `ruma`'s own check.
async fn every_event_verifies(store: &Store, version: RoomVersion) {
    let key = gatehouse_events::SigningKey::from_seed([7; 32], "test").unwrap();
    let public = Base64::new(key.public_key().to_vec());
    let keys = BTreeMap::from([("s".to_owned(), BTreeMap::from([(key.key_id(), public)]))]);
    let rows = store
        .scan(&TIMELINE, &Range::all(), Direction::Forward, 100)
        .await
        .unwrap();
    assert!(rows.len() > 10);
    let mut redacted = 0;
    for (_, row) in rows {
        let pdu: CanonicalJsonObject = serde_json::from_str(&row.pdu).unwrap();
        match verify_event(&keys, &pdu, version.rules()).unwrap() {
            Verified::All => {}
            Verified::Signatures => redacted += 1,
        }
        let hash = gatehouse_events::build::reference_hash_of(&row.pdu, version).unwrap();
        match pdu.get("event_id") {
            Some(CanonicalJsonValue::String(id)) => assert_eq!(*id, row.event_id),
            _ => assert_eq!(format!("${hash}"), row.event_id),
        }
    }
    assert_eq!(
        redacted, 1,
        "version {version}: redaction keeps the signature and breaks the hash"
    );
}

#[tokio::test]
async fn e19_a_room_of_version_12_is_named_by_its_first_event() {
    let rooms = rooms(&Store::in_memory());
    let alice = user("alice");
    let room = room(&rooms, &alice, "12".parse().unwrap(), Preset::PublicChat).await;
    let head = rooms.head(&room).await.unwrap().unwrap();
    let create = head.state_event_id("m.room.create", "").unwrap();
    assert_eq!(
        room.as_str().trim_start_matches('!'),
        create.as_str().trim_start_matches('$')
    );
}

#[tokio::test]
async fn e20_creators_stand_in_no_power_levels() {
    let rooms = rooms(&Store::in_memory());
    let alice = user("alice");
    let room = room(&rooms, &alice, "12".parse().unwrap(), Preset::PublicChat).await;
    let levels = StateUpdate {
        kind: "m.room.power_levels".into(),
        state_key: String::new(),
        content: content(r#"{"users":{"@alice:s":100}}"#),
        is_guest: false,
    };
    let error = rooms.set_state(&alice, &room, &levels).await.unwrap_err();
    assert!(matches!(error, crate::WriteError::BadContent(_)), "{error:?}");
}

#[tokio::test]
async fn an_upgraded_room_points_to_the_new_one_and_back() {
    let alice = user("alice");
    for version in RoomVersion::all() {
        let rooms = rooms(&Store::in_memory());
        let old = room(&rooms, &alice, "10".parse().unwrap(), Preset::PublicChat).await;
        let new = rooms.upgrade(&alice, &old, version, &[], None).await.unwrap();
        let old = rooms.head(&old).await.unwrap().unwrap();
        let tombstone = old.state_event_id("m.room.tombstone", "").cloned().unwrap();
        let content = |event: &gatehouse_events::Event| event.content_as::<CanonicalJsonObject>().unwrap();
        let shown = rooms
            .stored(std::slice::from_ref(&tombstone))
            .await
            .unwrap()
            .remove(0)
            .unwrap();
        assert_eq!(
            content(&shown.event)["replacement_room"],
            CanonicalJsonValue::String(new.to_string())
        );
        let new = rooms.head(&new).await.unwrap().unwrap();
        let create = content(new.hot_event("m.room.create").unwrap());
        let predecessor = create["predecessor"].as_object().unwrap();
        assert_eq!(
            predecessor["room_id"],
            CanonicalJsonValue::String(old.room_id.to_string())
        );
        // Where the new room's id is a hash of this very event, it cannot name what comes after it.
        let named = predecessor.get("event_id").and_then(CanonicalJsonValue::as_str);
        assert!(named.is_none_or(|named| *named == tombstone), "version {version}");
        assert_eq!(
            named.is_some(),
            new.room_id.server_name().is_some(),
            "version {version}"
        );
        assert!(
            old.power_levels().to_send("m.room.message") >= 50,
            "the old room is quiet"
        );
    }
}
