//! The sending queue: order, retries, restarts, and servers that are not well.

use std::time::Duration;

use gatehouse_rooms::{MembershipRequest, send::StateUpdate};
use gatehouse_test_peers::Received;
use serde_json::json;

use crate::{
    house::name,
    town::{Mood, Town, bodies, content, said, transactions},
};

fn numbers(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

#[tokio::test]
async fn events_arrive_in_order_and_at_most_fifty_at_once() {
    let town = Town::new().await;
    let room = town.room().await;
    let (peer, server, _) = town.server(Mood::Good).await;
    town.join(&server, &room).await;
    for number in 0..120 {
        town.say(&room, &number.to_string()).await;
    }
    let _sending = town.sending();
    let received = peer.until(|received| said(received).len() >= 120).await.unwrap();
    assert_eq!(said(&received), numbers(0..120));
    let sizes: Vec<_> = transactions(&received)
        .iter()
        .map(|it| bodies(it).len())
        .collect();
    assert_eq!(sizes, [50, 50, 20]);
    let body = transactions(&received)[0].json();
    assert_eq!(body["origin"], json!("us.example"));
}

#[tokio::test]
async fn what_is_said_while_it_sends_arrives_at_once() {
    let town = Town::new().await;
    let room = town.room().await;
    let (peer, server, _) = town.server(Mood::Good).await;
    town.join(&server, &room).await;
    let _sending = town.sending();
    for number in 0..30 {
        town.say(&room, &number.to_string()).await;
        let so_far = |received: &[Received]| said(received).len() > number;
        peer.until(so_far).await.unwrap();
    }
    assert_eq!(said(&peer.received()), numbers(0..30));
    town.until(|counts| counts.events == 30 && counts.waiting == 0)
        .await;
    assert_eq!(town.house.federation.sending_counts().failures, 0);
}

#[tokio::test]
async fn r10_servers_that_are_slow_or_gone_do_not_hold_up_the_others() {
    let town = Town::new().await;
    let room = town.room().await;
    let mut slow = Vec::new();
    for mood in [Mood::Silent, Mood::Trickling, Mood::HangingUp] {
        for _ in 0..5 {
            let (peer, server, _) = town.server(mood).await;
            town.join(&server, &room).await;
            slow.push((mood, peer));
        }
    }
    let (good, good_server, _) = town.server(Mood::Good).await;
    town.join(&good_server, &room).await;
    for last in 2..40 {
        town.join(&name(&format!("127.9.9.{last}:1")), &room).await;
    }
    let _sending = town.sending();
    for number in 0..20 {
        town.say(&room, &number.to_string()).await;
        let so_far = |received: &[Received]| said(received).contains(&number.to_string());
        good.until(so_far).await.unwrap();
    }
    for (mood, peer) in slow {
        let received = peer
            .until(|received| !transactions(received).is_empty())
            .await
            .unwrap();
        // One that does not answer gets no other transaction before it has.
        assert!(mood == Mood::HangingUp || transactions(&received).len() == 1);
    }
}

#[tokio::test]
async fn r13_a_transaction_that_failed_is_sent_again_as_it_was_also_after_a_restart() {
    let mut town = Town::new().await;
    let room = town.room().await;
    let (peer, server, mood) = town.server(Mood::Broken).await;
    town.join(&server, &room).await;
    for number in 0..3 {
        town.say(&room, &number.to_string()).await;
    }
    let sending = town.sending();
    town.until(|counts| counts.failing == 1).await;
    for number in 3..6 {
        town.say(&room, &number.to_string()).await;
    }
    town.house.clock.advance(Duration::from_secs(3));
    peer.until(|received| transactions(received).len() == 2)
        .await
        .unwrap();
    drop(sending);
    town.restart();
    *mood.lock() = Mood::Good;
    let _sending = town.sending();
    town.until(|counts| counts.failing == 1).await;
    town.house.clock.advance(Duration::from_mins(2));
    let received = peer
        .until(|received| transactions(received).len() >= 4)
        .await
        .unwrap();
    let sent = transactions(&received);
    let pdus = |index: usize| sent[index].json()["pdus"].clone();
    assert_eq!((&sent[0].uri, pdus(0)), (&sent[1].uri, pdus(1)));
    assert_eq!((&sent[0].uri, pdus(0)), (&sent[2].uri, pdus(2)));
    assert_ne!(sent[2].uri, sent[3].uri);
    let after: Vec<_> = sent[2..].iter().flat_map(|it| bodies(it)).collect();
    assert_eq!(after, numbers(0..6));
}

#[tokio::test]
async fn r01_what_was_accepted_is_sent_though_the_server_is_killed_before() {
    let mut town = Town::new().await;
    let room = town.room().await;
    let (peer, server, mood) = town.server(Mood::Silent).await;
    town.join(&server, &room).await;
    town.say(&room, "0").await;
    // Killed before anybody looked at it.
    town.restart();
    let sending = town.sending();
    peer.until(|received| transactions(received).len() == 1)
        .await
        .unwrap();
    town.say(&room, "1").await;
    // Killed while the other server has it, and has not answered.
    drop(sending);
    town.restart();
    *mood.lock() = Mood::Good;
    let _sending = town.sending();
    let received = peer
        .until(|received| said(received).contains(&"1".to_owned()))
        .await
        .unwrap();
    let sent = transactions(&received);
    assert_eq!(sent[0].uri, sent[1].uri);
    let again: Vec<_> = sent[1..].iter().flat_map(|it| bodies(it)).collect();
    assert_eq!(again, ["0", "1"]);
}

#[tokio::test]
async fn a_sign_of_life_ends_the_pause() {
    let town = Town::new().await;
    let room = town.room().await;
    let (peer, server, mood) = town.server(Mood::Broken).await;
    town.join(&server, &room).await;
    town.say(&room, "0").await;
    let _sending = town.sending();
    peer.until(|received| transactions(received).len() == 1)
        .await
        .unwrap();
    town.until(|counts| counts.failing == 1).await;
    let destination = town
        .house
        .federation
        .destinations(0, 10)
        .await
        .unwrap()
        .0
        .remove(0);
    assert_eq!((destination.failures, destination.pending), (1, 1));
    assert_eq!(
        destination.last_error.as_deref(),
        Some("the server refuses, with status 502")
    );
    *mood.lock() = Mood::Good;
    // The clock stands: no pause ends by itself.
    town.house.federation.heard_from(&server).await;
    peer.until(|received| transactions(received).len() == 2)
        .await
        .unwrap();
}

#[tokio::test]
async fn the_operator_can_end_a_pause() {
    let town = Town::new().await;
    let room = town.room().await;
    let (peer, server, mood) = town.server(Mood::Broken).await;
    town.join(&server, &room).await;
    town.say(&room, "0").await;
    let _sending = town.sending();
    town.until(|counts| counts.failing == 1).await;
    let rooms = town.house.federation.destination_rooms(&server).await.unwrap();
    assert_eq!((rooms.len(), &rooms[0].room_id, rooms[0].pending), (1, &room, 1));
    *mood.lock() = Mood::Good;
    assert!(town.house.federation.reset_destination(&server).await.unwrap());
    peer.until(|received| transactions(received).len() == 2)
        .await
        .unwrap();
    let unknown = name("unknown.example");
    assert!(!town.house.federation.reset_destination(&unknown).await.unwrap());
}

#[tokio::test]
async fn a_server_that_was_away_long_gets_only_the_newest_event_of_a_busy_room() {
    let town = Town::new().await;
    let (busy, quiet) = (town.room().await, {
        town.house.clock.advance(Duration::from_millis(5));
        town.room().await
    });
    let (peer, server, mood) = town.server(Mood::Broken).await;
    for room in [&busy, &quiet] {
        town.join(&server, room).await;
    }
    for number in 0..1_100 {
        town.say(&busy, &number.to_string()).await;
    }
    town.say(&quiet, "quiet").await;
    let _sending = town.sending();
    town.until(|counts| counts.failing == 1).await;
    // The transaction under way stays as it is.
    let pending = async || {
        let destination = town.house.federation.destination(&server).await.unwrap();
        destination.map_or(0, |destination| destination.pending)
    };
    while pending().await != 52 {
        tokio::task::yield_now().await;
    }
    *mood.lock() = Mood::Good;
    town.house.federation.heard_from(&server).await;
    let received = peer
        .until(|received| said(received).contains(&"quiet".to_owned()))
        .await
        .unwrap();
    let mut expected = numbers(0..50);
    expected.extend(numbers(0..50));
    expected.extend(["1099".to_owned(), "quiet".to_owned()]);
    assert_eq!(said(&received), expected);
}

#[tokio::test]
async fn e26_one_event_that_is_never_taken_does_not_keep_the_others() {
    let town = Town::new().await;
    let room = town.room().await;
    let (peer, server, _) = town.server(Mood::Strict).await;
    town.join(&server, &room).await;
    for number in 0..50 {
        let body = if number == 17 {
            "bad".to_owned()
        } else {
            number.to_string()
        };
        town.say(&room, &body).await;
    }
    let _sending = town.sending();
    let received = peer
        .until(|received| {
            said(received).ends_with(&["49".to_owned()]) && {
                let last = transactions(received).last().copied();
                last.is_some_and(|last| !bodies(last).contains(&"bad".to_owned()))
            }
        })
        .await
        .unwrap();
    let taken: Vec<_> = transactions(&received)
        .into_iter()
        .map(bodies)
        .filter(|bodies| !bodies.contains(&"bad".to_owned()))
        .flatten()
        .collect();
    let expected: Vec<_> = numbers(0..50)
        .into_iter()
        .filter(|number| number != "17")
        .collect();
    assert_eq!(taken, expected);
    assert_eq!(town.house.federation.sending_counts().dropped, 1);
}

#[tokio::test]
async fn a_server_whose_last_user_is_kicked_is_told() {
    let town = Town::new().await;
    let room = town.room().await;
    let (peer, server, _) = town.server(Mood::Good).await;
    let bob = town.join(&server, &room).await;
    let because = MembershipRequest::because(Some("bye".to_owned()));
    town.rooms.kick(&town.alice, &bob, &room, &because).await.unwrap();
    town.say(&room, "without bob").await;
    let _sending = town.sending();
    let received = peer
        .until(|received| !transactions(received).is_empty())
        .await
        .unwrap();
    let pdus = transactions(&received)[0].json()["pdus"].clone();
    let pdus = pdus.as_array().unwrap();
    assert_eq!(pdus.len(), 1);
    assert_eq!(pdus[0]["content"]["membership"], json!("leave"));
    assert!(said(&received).is_empty());
}

#[tokio::test]
async fn what_a_server_hands_us_for_the_room_goes_to_the_others_in_it() {
    let town = Town::new().await;
    let room = town.room().await;
    let (first, first_server, _) = town.server(Mood::Good).await;
    let (second, second_server, _) = town.server(Mood::Good).await;
    town.join(&first_server, &room).await;
    let bob = town.join(&second_server, &room).await;
    town.say(&room, "hello").await;
    let _sending = town.sending();
    let received = first.until(|received| !said(received).is_empty()).await.unwrap();
    let pdus = transactions(&received)[0].json()["pdus"].clone();
    assert_eq!(pdus[0]["state_key"], json!(bob));
    let received = second.until(|received| !said(received).is_empty()).await.unwrap();
    assert_eq!(
        transactions(&received)[0].json()["pdus"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[tokio::test]
async fn servers_that_the_room_denies_are_told_of_it_while_they_are_in_it() {
    let town = Town::new().await;
    let room = town.room().await;
    let (denied, denied_server, _) = town.server(Mood::Good).await;
    let (good, good_server, _) = town.server(Mood::Good).await;
    for server in [&denied_server, &good_server] {
        town.join(server, &room).await;
    }
    let update = StateUpdate {
        kind: "m.room.server_acl".to_owned(),
        state_key: String::new(),
        content: content(&json!({ "allow": ["*"], "deny": ["127.0.0.1"], "allow_ip_literals": true })),
        is_guest: false,
    };
    town.rooms.set_state(&town.alice, &room, &update).await.unwrap();
    town.say(&room, "secret").await;
    let elsewhere = {
        town.house.clock.advance(Duration::from_millis(5));
        town.room().await
    };
    town.join(&good_server, &elsewhere).await;
    town.say(&elsewhere, "hello").await;
    let _sending = town.sending();
    let received = denied.until(|received| !said(received).is_empty()).await.unwrap();
    assert_eq!(said(&received), ["secret"]);
    let received = good.until(|received| said(received).len() == 2).await.unwrap();
    assert_eq!(said(&received), ["secret", "hello"]);
}

#[tokio::test]
async fn rooms_of_this_server_alone_leave_nothing_to_send() {
    let town = Town::new().await;
    let room = town.room().await;
    town.say(&room, "to myself").await;
    let waiting = town
        .rooms
        .to_send(gatehouse_store::Position::ZERO, 10)
        .await
        .unwrap();
    assert!(waiting.is_empty(), "{waiting:?}");
}

#[tokio::test]
async fn what_waits_for_a_server_that_is_dead_for_30_days_is_dropped_and_what_is_new_is_not() {
    let town = Town::new().await;
    let room = town.room().await;
    let (peer, server, mood) = town.server(Mood::Broken).await;
    town.join(&server, &room).await;
    for number in 0..120 {
        town.say(&room, &number.to_string()).await;
    }
    let _sending = town.sending();
    let pending = async || {
        let destination = town.house.federation.destination(&server).await.unwrap();
        destination.map_or(0, |destination| destination.pending)
    };
    town.until(|counts| counts.failing == 1).await;
    // A day less than a month is not long enough.
    town.house.clock.advance(Duration::from_hours(29 * 24));
    town.until(|counts| counts.failures == 2).await;
    assert_eq!(pending().await, 120);
    town.house.clock.advance(Duration::from_hours(24));
    town.until(|counts| counts.given_up == 120).await;
    assert_eq!(pending().await, 0);
    *mood.lock() = Mood::Good;
    town.say(&room, "are you back?").await;
    town.house.federation.heard_from(&server).await;
    let received = peer
        .until(|received| said(received).contains(&"are you back?".to_owned()))
        .await
        .unwrap();
    assert_eq!(bodies(transactions(&received).last().unwrap()), ["are you back?"]);
}
