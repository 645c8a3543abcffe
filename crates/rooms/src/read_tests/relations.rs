//! Relations, threads, and what is bundled.

use gatehouse_store::{Batch, Direction};
use ruma::{EventId, RoomId};
use serde_json::{Value, json};

use super::fixture::{House, ids, shown, user, viewer};
use crate::{
    ReadError,
    relations::{Recursion, RelationsQuery, threads::Include},
    tables::{RELATIONS, RelationRow},
};

fn related(rel_type: &str, to: &EventId) -> Value {
    json!({ "body": "x", "m.relates_to": { "rel_type": rel_type, "event_id": to } })
}

fn edit(of: &EventId, text: &str) -> Value {
    json!({
        "body": format!("* {text}"),
        "m.new_content": { "body": text },
        "m.relates_to": { "rel_type": "m.replace", "event_id": of },
    })
}

fn query() -> RelationsQuery {
    RelationsQuery {
        rel_type: None,
        kind: None,
        direction: Direction::Backward,
        from: None,
        to: None,
        limit: None,
        recursion: Recursion::Direct,
    }
}

async fn bundled(house: &House, room: &RoomId, event: &EventId) -> Value {
    let event = house
        .rooms
        .one_event(viewer(&user("owner")), room, event)
        .await
        .unwrap();
    shown(&event)["unsigned"]["m.relations"].clone()
}

#[tokio::test]
async fn the_last_valid_replacement_is_bundled() {
    let house = House::new();
    let (owner, other) = (user("owner"), user("other"));
    let room = house.room(&owner).await;
    house.member(&room, &other, &other, "join").await;
    let event = house.say(&room, &owner, "root").await;
    house
        .send(&room, &owner, "m.room.message", edit(&event, "second"))
        .await;
    let last = house
        .send(&room, &owner, "m.room.message", edit(&event, "third"))
        .await;
    // None of these may replace it: another sender, another type, no new content.
    house
        .send(&room, &other, "m.room.message", edit(&event, "forged"))
        .await;
    house
        .send(&room, &owner, "other.type", edit(&event, "other"))
        .await;
    house
        .send(&room, &owner, "m.room.message", related("m.replace", &event))
        .await;
    let bundle = bundled(&house, &room, &event).await;
    assert_eq!(bundle["m.replace"]["event_id"], last.as_str());
    assert_eq!(bundle["m.replace"]["content"]["m.new_content"]["body"], "third");
    assert_eq!(bundled(&house, &room, &last).await, Value::Null);
}

#[tokio::test]
async fn a_thread_is_bundled_with_its_root() {
    let house = House::new();
    let (owner, other) = (user("owner"), user("other"));
    let room = house.room(&owner).await;
    house.member(&room, &other, &other, "join").await;
    let first = house.say(&room, &other, "root").await;
    house
        .send(&room, &other, "m.room.message", related("m.thread", &first))
        .await;
    let last = house
        .send(&room, &other, "m.room.message", related("m.thread", &first))
        .await;
    let thread = bundled(&house, &room, &first).await["m.thread"].clone();
    assert_eq!(thread["count"], 2);
    assert_eq!(thread["latest_event"]["event_id"], last.as_str());
    assert_eq!(thread["current_user_participated"], false);
    house
        .send(&room, &owner, "m.room.message", related("m.thread", &first))
        .await;
    let thread = bundled(&house, &room, &first).await["m.thread"].clone();
    assert_eq!(
        (&thread["count"], &thread["current_user_participated"]),
        (&json!(3), &json!(true))
    );
}

#[tokio::test]
async fn references_are_bundled_and_annotations_are_not() {
    let house = House::new();
    let owner = user("owner");
    let room = house.room(&owner).await;
    let event = house.say(&room, &owner, "x").await;
    house
        .send(&room, &owner, "m.reaction", related("m.annotation", &event))
        .await;
    assert_eq!(bundled(&house, &room, &event).await, Value::Null);
    let reference = house
        .send(&room, &owner, "m.room.message", related("m.reference", &event))
        .await;
    assert_eq!(
        bundled(&house, &room, &event).await,
        json!({ "m.reference": { "chunk": [{ "event_id": reference }] } })
    );
}

#[tokio::test]
async fn relations_are_paged_and_filtered() {
    let house = House::new();
    let owner = user("owner");
    let room = house.room(&owner).await;
    let event = house.say(&room, &owner, "x").await;
    let mut all = Vec::new();
    for number in 0..5 {
        let kind = if number % 2 == 0 {
            "m.reaction"
        } else {
            "m.room.message"
        };
        all.push(
            house
                .send(&room, &owner, kind, related("org.example", &event))
                .await,
        );
    }
    let page = async |query: RelationsQuery| {
        house
            .rooms
            .relations(viewer(&owner), &room, &event, &query)
            .await
            .unwrap()
    };
    let forward = page(RelationsQuery {
        direction: Direction::Forward,
        ..query()
    })
    .await;
    assert_eq!(ids(&forward.chunk), all);
    assert_eq!(forward.next_batch, None);
    let mut back = Vec::new();
    let mut from = None;
    loop {
        let next = page(RelationsQuery {
            limit: Some(2),
            from,
            ..query()
        })
        .await;
        back.extend(ids(&next.chunk));
        from = next.next_batch;
        if from.is_none() {
            break;
        }
    }
    back.reverse();
    assert_eq!(back, all);
    let of_kind = page(RelationsQuery {
        kind: Some("m.reaction".to_owned()),
        ..query()
    })
    .await;
    assert_eq!(of_kind.chunk.len(), 3);
    let other = page(RelationsQuery {
        rel_type: Some("m.thread".to_owned()),
        ..query()
    })
    .await;
    assert!(other.chunk.is_empty());
}

#[tokio::test]
async fn what_lies_behind_thousands_of_other_relations_is_reached() {
    let house = House::new();
    let owner = user("owner");
    let room = house.room(&owner).await;
    let event = house.say(&room, &owner, "x").await;
    let wanted = house
        .send(&room, &owner, "m.room.message", related("m.thread", &event))
        .await;
    let row = RelationRow {
        rel_type: "m.annotation".to_owned(),
        kind: "m.reaction".to_owned(),
        event_id: event.clone(),
        sender: owner.clone(),
    };
    let mut batch = Batch::new();
    for _ in 0..6_000 {
        let position = batch.next_position();
        batch.put(&RELATIONS, &(room.clone(), event.clone(), position), &row);
    }
    house.rooms.store.commit(batch).await.unwrap();
    let mut query = RelationsQuery {
        rel_type: Some("m.thread".to_owned()),
        ..query()
    };
    let page = |query: RelationsQuery| {
        let (house, room, event, owner) = (&house, &room, &event, &owner);
        async move {
            house
                .rooms
                .relations(viewer(owner), room, event, &query)
                .await
                .unwrap()
        }
    };
    let first = page(query.clone()).await;
    assert!(first.chunk.is_empty());
    query.from = Some(first.next_batch.unwrap());
    let second = page(query).await;
    assert_eq!(ids(&second.chunk), [wanted]);
    assert_eq!(second.next_batch, None);
}

#[tokio::test]
async fn recursion_follows_relations_of_relations() {
    let house = House::new();
    let owner = user("owner");
    let room = house.room(&owner).await;
    let mut events = vec![house.say(&room, &owner, "x").await];
    for _ in 0..4 {
        let parent = events.last().unwrap();
        events.push(
            house
                .send(&room, &owner, "m.room.message", related("r", parent))
                .await,
        );
    }
    let query = RelationsQuery {
        recursion: Recursion::Followed,
        direction: Direction::Forward,
        ..query()
    };
    let page = house
        .rooms
        .relations(viewer(&owner), &room, &events[0], &query)
        .await
        .unwrap();
    assert_eq!(ids(&page.chunk), events[1..4], "three levels, not four");
    assert_eq!(page.recursion_depth, Some(3));
}

#[tokio::test]
async fn relations_of_what_one_may_not_see_are_not_shown() {
    let house = House::new();
    let (owner, late) = (user("owner"), user("late"));
    let room = house.room(&owner).await;
    house.visibility(&room, &owner, "joined").await;
    let hidden = house.say(&room, &owner, "hidden").await;
    house
        .send(&room, &owner, "m.room.message", related("m.thread", &hidden))
        .await;
    house.member(&room, &late, &late, "join").await;
    house
        .send(&room, &owner, "m.room.message", related("m.thread", &hidden))
        .await;
    let relations = house
        .rooms
        .relations(viewer(&late), &room, &hidden, &query())
        .await;
    assert!(matches!(relations, Err(ReadError::EventNotFound)));
    let threads = house
        .rooms
        .threads(viewer(&late), &room, Include::All, None, None)
        .await
        .unwrap();
    assert!(threads.chunk.is_empty());
}

#[tokio::test]
async fn threads_are_listed_once_each_the_latest_active_first() {
    let house = House::new();
    let (owner, other) = (user("owner"), user("other"));
    let room = house.room(&owner).await;
    house.member(&room, &other, &other, "join").await;
    let mut roots = Vec::new();
    for number in 0..3 {
        let first = house.say(&room, &other, &number.to_string()).await;
        house
            .send(&room, &other, "m.room.message", related("m.thread", &first))
            .await;
        roots.push(first);
    }
    house
        .send(&room, &owner, "m.room.message", related("m.thread", &roots[0]))
        .await;
    let page = async |include, limit, from| {
        house
            .rooms
            .threads(viewer(&owner), &room, include, limit, from)
            .await
            .unwrap()
    };
    let all = page(Include::All, None, None).await;
    let expected = [roots[0].clone(), roots[2].clone(), roots[1].clone()];
    assert_eq!(ids(&all.chunk), expected);
    assert_eq!(all.next_batch, None);
    let mut seen = Vec::new();
    let mut from = None;
    loop {
        let next = page(Include::All, Some(1), from).await;
        seen.extend(ids(&next.chunk));
        from = next.next_batch;
        if from.is_none() {
            break;
        }
    }
    assert_eq!(seen, expected);
    let own = page(Include::Participated, None, None).await;
    assert_eq!(ids(&own.chunk), [roots[0].clone()]);
}
