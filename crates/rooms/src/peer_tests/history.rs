//! History from before a join, which is got from others as somebody reads it.

use gatehouse_store::Direction;
use ruma::{OwnedEventId, RoomId, device_id};
use serde_json::{Value, json};

use super::town::{Lies, Town, lie, name, plain, raw, user};
use crate::{
    create::Preset,
    filter::RoomEventFilter,
    messages::{MessagesPage, MessagesQuery},
    present::Viewer,
    remote_servers::RawPdu,
    token::Token,
};

async fn page(town: &Town, room: &RoomId, from: Option<Token>, limit: usize) -> MessagesPage {
    let query = MessagesQuery {
        from,
        to: None,
        direction: Direction::Backward,
        limit: Some(limit),
        filter: RoomEventFilter::default(),
    };
    let reader = user("b");
    let viewer = Viewer {
        user: &reader,
        device: Some(device_id!("PHONE")),
    };
    town.rooms("b").messages(viewer, room, &query).await.unwrap()
}

/// What `b` reads, from now back to the beginning, in pages.
async fn texts(town: &Town, room: &RoomId, limit: usize) -> Vec<String> {
    let (mut from, mut texts) = (None, Vec::new());
    loop {
        let page = page(town, room, from, limit).await;
        for event in &page.chunk {
            let content: Value = event.event.content_as().unwrap();
            texts.extend(content["body"].as_str().map(str::to_owned));
        }
        match page.end {
            Some(end) => from = Some(end),
            None => return texts,
        }
    }
}

async fn say_all(town: &Town, room: &RoomId, numbers: std::ops::Range<usize>) -> Vec<OwnedEventId> {
    let mut ids = Vec::new();
    for number in numbers {
        ids.push(town.say("a", room, &number.to_string()).await);
    }
    ids
}

fn down_from(last: usize) -> Vec<String> {
    (0..=last).rev().map(|number| number.to_string()).collect()
}

#[tokio::test]
async fn what_was_before_the_join_is_read_to_the_beginning_in_every_version() {
    for version in ["1", "3", "6", "11", "12"] {
        for limit in [1, 7, 1_000] {
            let town = Town::new().await;
            let room = town.room(version, Preset::PublicChat).await;
            say_all(&town, &room, 0..30).await;
            town.join("b", &room).await.unwrap();
            assert_eq!(
                texts(&town, &room, limit).await,
                down_from(29),
                "version {version}, {limit} a page"
            );
            let asked = town.asked("backfill");
            assert_eq!(texts(&town, &room, limit).await, down_from(29));
            assert_eq!(town.asked("backfill"), asked, "it is here now");
        }
    }
}

#[tokio::test]
async fn a_long_history_comes_in_parts() {
    let town = Town::new().await;
    let room = town.room("12", Preset::PublicChat).await;
    say_all(&town, &room, 0..250).await;
    town.join("b", &room).await.unwrap();
    assert_eq!(texts(&town, &room, 20).await, down_from(249));
    assert!(town.asked("backfill") >= 3);
}

#[tokio::test]
async fn what_happened_between_two_stays_is_read_too() {
    let town = Town::new().await;
    let room = town.room("12", Preset::PublicChat).await;
    say_all(&town, &room, 0..5).await;
    town.join("b", &room).await.unwrap();
    say_all(&town, &room, 5..10).await;
    town.deliver("a", "b", &room).await;
    town.rooms("b").leave(&user("b"), &room, &plain()).await.unwrap();
    town.deliver("b", "a", &room).await;
    say_all(&town, &room, 10..15).await;
    town.join("b", &room).await.unwrap();
    say_all(&town, &room, 15..20).await;
    town.deliver("a", "b", &room).await;
    assert_eq!(texts(&town, &room, 3).await, down_from(19));
}

#[tokio::test]
async fn history_that_cannot_be_had_now_is_not_the_beginning() {
    let town = Town::new().await;
    let room = town.room("12", Preset::PublicChat).await;
    say_all(&town, &room, 0..5).await;
    town.join("b", &room).await.unwrap();
    town.wire.down.lock().insert(name("a"));
    let first = page(&town, &room, None, 10).await;
    assert_eq!(first.chunk.len(), 1, "the join");
    let end = first.end.unwrap();
    town.wire.down.lock().clear();
    let next = page(&town, &room, Some(end), 100).await;
    assert!(next.chunk.len() > 5);
    assert_eq!(texts(&town, &room, 10).await, down_from(4));
}

#[tokio::test]
async fn d04_of_a_room_that_hides_its_history_nothing_is_shown() {
    let town = Town::new().await;
    let set = json!({ "history_visibility": "joined" });
    let room = town
        .room_with("12", Preset::PublicChat, &[("m.room.history_visibility", set)])
        .await;
    say_all(&town, &room, 0..5).await;
    town.join("b", &room).await.unwrap();
    assert_eq!(texts(&town, &room, 10).await, Vec::<String>::new());
}

#[tokio::test]
async fn e04_history_is_taken_as_it_was_signed_and_of_this_room_only() {
    let town = Town::new().await;
    let room = town.room("12", Preset::PublicChat).await;
    let other = town.room("12", Preset::PublicChat).await;
    say_all(&town, &room, 0..5).await;
    let foreign = town.say("a", &other, "foreign").await;
    let foreign = town
        .rooms("a")
        .raw_pdus(&other, &[foreign])
        .await
        .unwrap()
        .remove(0);
    town.join("b", &room).await.unwrap();
    town.lie(Lies {
        fetched: lie(move |events: &mut Vec<RawPdu>| {
            for event in events.iter_mut() {
                if event.get().contains("\"body\":\"2\"") {
                    *event = raw(&event.get().replace("\"body\":\"2\"", "\"body\":\"two\""));
                }
            }
            events.push(foreign.clone());
            events.push(raw("{}"));
        }),
        ..Lies::default()
    });
    let read = texts(&town, &room, 10).await;
    assert!(
        !read.contains(&"two".to_owned()) && !read.contains(&"foreign".to_owned()),
        "{read:?}"
    );
    assert!(read.contains(&"4".to_owned()), "{read:?}");
}
