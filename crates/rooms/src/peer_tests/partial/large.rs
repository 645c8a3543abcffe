//! Rooms that are too large to be fetched event by event.

use super::*;
use crate::remote_servers::StatePart;

/// A room of `a` with so many members, which `b` has joined without them.
async fn crowded(version: &str, members: usize) -> Partial {
    let town = Town::new().await;
    let named = [("m.room.name", json!({ "name": "Tea" }))];
    let room = town.room_with(version, Preset::PublicChat, &named).await;
    for number in 0..members {
        let username = format!("crowd{number}");
        town.sign_up("a", &username).await;
        let member = someone(&format!("@{username}:a"));
        let rooms = town.rooms("a");
        rooms.join(&member, &room, &Join::default()).await.unwrap();
    }
    let partial = Partial { town, room };
    partial.withhold();
    partial.town.join_partly("b", &partial.room).await.unwrap();
    partial
}

#[tokio::test(start_paused = true)]
async fn a_large_room_comes_in_one_answer_of_which_only_what_is_wanted_is_kept() {
    let partial = crowded("11", 150).await;
    let (town, room) = (&partial.town, &partial.room);
    let elsewhere = town.room("11", Preset::PublicChat).await;
    let others = town.rooms("a").head(&elsewhere).await.unwrap().unwrap();
    let others: Vec<OwnedEventId> = others.room_state().event_ids().cloned().collect();
    let others = town.rooms("a").raw_pdus(&elsewhere, &others).await.unwrap();
    assert!(others.len() > 3);
    town.lie(Lies {
        part: lie(move |part: &mut StatePart| {
            let (StatePart::State(events) | StatePart::AuthChain(events)) = part;
            let said = events.clone();
            events.extend((0..1_000).map(|number| raw(&json!({ "junk": number }).to_string())));
            events.extend(others.iter().cloned());
            events.extend(said);
        }),
        ..Lies::default()
    });
    partial.fill().await;
    assert_eq!((town.asked("state"), town.asked("event")), (1, 0));
    partial.agree_on_all().await;
    let b = partial.b();
    assert!(b.head(&elsewhere).await.unwrap().is_none());
    let all = gatehouse_store::Range::prefix(&(elsewhere,));
    let kept = b
        .store
        .scan(&crate::tables::TIMELINE, &all, Direction::Forward, 1);
    assert_eq!(kept.await.unwrap(), []);
    let head = b.head(room).await.unwrap().unwrap();
    assert_eq!(head.counts.joined, 152);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_ends_in_the_middle_is_made_up_for_by_the_next() {
    let partial = crowded("12", 150).await;
    let town = &partial.town;
    town.wire.unanswered.lock().insert("state");
    town.wire.unanswered.lock().remove("state_ids");
    let waited = partial.b().wait_until_whole(&partial.room).await;
    assert!(matches!(waited, Err(WriteError::MembersMissing)));
    // Half of it comes, and it seems to be all.
    town.lie(Lies {
        part: lie(|part: &mut StatePart| {
            let (StatePart::State(events) | StatePart::AuthChain(events)) = part;
            let mut number = 0;
            events.retain(|_| {
                number += 1;
                number % 2 == 0
            });
        }),
        ..Lies::default()
    });
    town.wire.unanswered.lock().clear();
    partial.whole("b").await;
    // The others were asked for one by one.
    assert!(town.asked("event") > 50);
    partial.agree_on_all().await;
}
