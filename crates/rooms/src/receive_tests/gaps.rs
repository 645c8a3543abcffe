//! Events that are missing: fetched, left out, or come later.

use std::sync::atomic::Ordering;

use gatehouse_store::{Batch, Direction, Position};
use ruma::{EventId, OwnedEventId};

use super::{
    neighbours::raw,
    world::{World, admin, levels, member, message, topic},
};
use crate::{
    receive::{Received, adopt::Adopting},
    tables::{BACKWARD, Standing},
};
use gatehouse_events::Pdu;

/// The ids of what clients see of a room's history, oldest first.
async fn history(world: &World, server: usize) -> Vec<OwnedEventId> {
    let everything = (Position::ZERO, Position::MAX);
    let rows = world.servers[server]
        .timeline(&world.room, everything, Direction::Forward, 10_000)
        .await
        .unwrap();
    rows.events
        .iter()
        .map(|event| event.event_id().to_owned())
        .collect()
}

async fn gap_before(
    world: &World,
    server: usize,
    event_id: &EventId,
) -> Option<(Position, Vec<OwnedEventId>)> {
    let ids = [event_id.to_owned()];
    let placed = world.servers[server].placed(&world.room, &ids).await.unwrap();
    let position = placed[event_id].position;
    let key = (world.room.clone(), position);
    let gap = world.servers[server].store.get(&BACKWARD, &key).await.unwrap();
    assert_eq!(gap.is_some(), placed[event_id].row.after_gap);
    gap.map(|gap| (position, gap.missing))
}

async fn pdus(world: &World, server: usize, ids: &[OwnedEventId]) -> Vec<Pdu> {
    let mut pdus = Vec::new();
    for id in ids {
        let raw = world.raw(server, id).await;
        pdus.push(Pdu::parse(raw.get(), &world.room, world.version).unwrap());
    }
    pdus
}

#[tokio::test]
async fn x18_missing_events_are_fetched_a_few_at_a_time_and_come_in_order() {
    for version in ["2", "11", "12"] {
        let world = World::new(version, 2).await;
        let mut said = Vec::new();
        for number in 0..45 {
            said.push(
                world
                    .act(1, &admin(1), message(&number.to_string()))
                    .await
                    .unwrap(),
            );
        }
        let (last, before) = said.split_last().unwrap();
        assert_eq!(world.tell(1, 0, last).await, Received::Accepted);
        let seen = history(&world, 0).await;
        assert_eq!(seen[seen.len() - 45..], said, "{version}");
        world.assert_one_end(0, last).await;
        assert_eq!(before.len(), 44);
        assert!(gap_before(&world, 0, last).await.is_none());
    }
}

/// Where nobody gives what is missing, the event comes in with the state that its server says, and what is missing is
/// known to be.
#[tokio::test]
async fn an_event_after_a_gap_comes_with_the_state_before_it() {
    for version in ["3", "11", "12"] {
        let world = World::new(version, 2).await;
        let powers = levels(world.version, &[(admin(1), 50)]);
        let powers = world.act(0, &admin(0), powers).await.unwrap();
        world.tell(0, 1, &powers).await;
        let unseen = world.act(1, &admin(1), topic("unseen")).await.unwrap();
        let between = world.act(1, &admin(1), message("between")).await.unwrap();
        let last = world.act(1, &admin(1), message("last")).await.unwrap();
        *world.neighbours.forgets_missing.lock() = true;
        assert_eq!(world.tell(1, 0, &last).await, Received::Accepted, "{version}");
        let head = world.head(0).await;
        assert_eq!(
            head.state_event_id("m.room.topic", ""),
            Some(&unseen),
            "{version}"
        );
        assert_eq!(world.standing(0, &unseen).await, Some(Standing::Outlier));
        let (position, missing) = gap_before(&world, 0, &last).await.unwrap();
        assert_eq!(missing.as_slice(), std::slice::from_ref(&between));
        // Its own server goes on from there.
        let next = world.act(1, &admin(1), message("next")).await.unwrap();
        assert_eq!(world.tell(1, 0, &next).await, Received::Accepted);
        // History that is fetched stands where it belongs.
        let history_of = pdus(&world, 1, &[between.clone(), unseen.clone()]).await;
        let put = world.servers[0]
            .add_history(&world.room, position, history_of)
            .await
            .unwrap();
        assert_eq!(put, 2, "{version}");
        let seen = history(&world, 0).await;
        let tail = [powers, unseen.clone(), between.clone(), last.clone(), next];
        assert_eq!(seen[seen.len() - 5..], tail, "{version}");
        assert!(gap_before(&world, 0, &last).await.is_none(), "{version}");
        assert!(gap_before(&world, 0, &unseen).await.is_none(), "{version}");
        assert_eq!(world.standing(0, &unseen).await, Some(Standing::Backfilled));
        let state = world.servers[0]
            .state_at(&world.room, Position::MAX)
            .await
            .unwrap();
        let topic = state.iter().find(|event| event.kind() == "m.room.topic").unwrap();
        assert_eq!(topic.event_id(), unseen);
    }
}

/// Whoever sends an event has what it follows: a server that gives none of it is not asked what the state would be.
#[tokio::test]
async fn what_follows_events_that_its_server_keeps_back_is_dropped() {
    for version in ["2", "12"] {
        let world = World::new(version, 2).await;
        let kept_back = world.act(1, &admin(1), message("kept back")).await.unwrap();
        let sent = world.act(1, &admin(1), message("sent")).await.unwrap();
        *world.neighbours.keeps_back.lock() = true;
        for event in [&sent, &world.act(1, &admin(1), message("next")).await.unwrap()] {
            let received = world.tell(1, 0, event).await;
            assert!(
                matches!(received, Received::Dropped(_)),
                "{version}: {received:?}"
            );
        }
        assert!(world.neighbours.asked_for_state.lock().is_empty(), "{version}");
        *world.neighbours.keeps_back.lock() = false;
        assert_eq!(world.tell(1, 0, &sent).await, Received::Accepted);
        assert!(history(&world, 0).await.contains(&kept_back));
    }
}

/// One that gives fewer events than were asked for has said what it will; the state is asked for where they end.
#[tokio::test]
async fn state_is_asked_for_where_the_gap_ends() {
    let world = World::new("12", 2).await;
    let hidden = world.act(1, &admin(1), message("hidden")).await.unwrap();
    let given = world.act(1, &admin(1), message("given")).await.unwrap();
    let sent = world.act(1, &admin(1), message("sent")).await.unwrap();
    world.neighbours.withheld.lock().insert(hidden.clone());
    assert_eq!(world.tell(1, 0, &sent).await, Received::Accepted);
    let asked = world.neighbours.asked_for_state.lock().clone();
    assert_eq!(asked.as_slice(), std::slice::from_ref(&hidden));
    assert_eq!(world.neighbours.asked_for_missing.load(Ordering::Relaxed), 1);
    let (_, missing) = gap_before(&world, 0, &given).await.unwrap();
    assert_eq!(missing, [hidden]);
}

#[tokio::test]
async fn the_state_before_a_missing_parent_will_do() {
    let world = World::new("12", 2).await;
    let powers = levels(world.version, &[(admin(1), 50)]);
    let powers = world.act(0, &admin(0), powers).await.unwrap();
    world.tell(0, 1, &powers).await;
    let named = world.act(1, &admin(1), topic("unseen")).await.unwrap();
    let last = world.act(1, &admin(1), message("last")).await.unwrap();
    *world.neighbours.forgets_missing.lock() = true;
    world.neighbours.stateless.lock().insert(last.clone());
    assert_eq!(world.tell(1, 0, &last).await, Received::Accepted);
    let head = world.head(0).await;
    assert_eq!(head.state_event_id("m.room.topic", ""), Some(&named));
    assert_eq!(world.standing(0, &named).await, Some(Standing::Outlier));
    world.assert_same_state("after the gap").await;
}

#[tokio::test]
async fn what_was_missing_and_comes_later_is_no_new_end_of_the_graph() {
    let world = World::new("12", 2).await;
    let between = world.act(1, &admin(1), message("between")).await.unwrap();
    let last = world.act(1, &admin(1), message("last")).await.unwrap();
    *world.neighbours.forgets_missing.lock() = true;
    assert_eq!(world.tell(1, 0, &last).await, Received::Accepted);
    assert!(gap_before(&world, 0, &last).await.is_some());
    let ends = world.head(0).await.extremities.clone();
    assert_eq!(ends.len(), 2, "ours is not known to come before it");
    assert_eq!(world.tell(1, 0, &between).await, Received::Accepted);
    assert!(gap_before(&world, 0, &last).await.is_none());
    assert_eq!(world.head(0).await.extremities, ends);
    let own = world.act(0, &admin(0), message("tie")).await.unwrap();
    assert_eq!(world.tell(0, 1, &own).await, Received::Accepted);
    for server in 0..2 {
        world.assert_one_end(server, &own).await;
    }
    world.assert_same_state("after all of it came").await;
}

/// As when what was sent before a join is delivered after it: the room's past is not taken for news.
#[tokio::test]
async fn an_event_from_before_the_join_does_not_bring_the_past_with_it() {
    for version in ["3", "11", "12"] {
        let world = World::new(version, 1).await;
        let mut said = Vec::new();
        for number in 0..60 {
            said.push(
                world
                    .act(0, &admin(0), message(&number.to_string()))
                    .await
                    .unwrap(),
            );
        }
        let named = world.act(0, &admin(0), topic("now")).await.unwrap();
        let world = world.with_another_server().await;
        for old in [&said[30], &said[59], &named] {
            let outcome = world.tell(0, 1, old).await;
            assert!(
                !matches!(outcome, Received::Rejected(_)),
                "{version}: {outcome:?}"
            );
        }
        let seen = history(&world, 1).await;
        assert!(seen.len() <= 4, "{version}: {} events", seen.len());
        world.assert_same_state(version).await;
        let state = world.servers[1]
            .state_at(&world.room, Position::MAX)
            .await
            .unwrap();
        assert!(state.iter().any(|event| event.event_id() == named), "{version}");
        for old in world.servers[0]
            .state_at(&world.room, Position::MAX)
            .await
            .unwrap()
        {
            let outcome = world.tell(0, 1, old.event_id()).await;
            assert!(
                !matches!(outcome, Received::Rejected(_)),
                "{version}: {outcome:?}"
            );
        }
        world.assert_same_state(version).await;
        let own = world.act(1, &admin(1), message("here")).await.unwrap();
        assert_eq!(world.tell(1, 0, &own).await, Received::Accepted, "{version}");
    }
}

/// A state event that was missing and comes later: its own branch has it, and the room's line does not go through it.
#[tokio::test]
async fn what_follows_state_that_came_late_has_it() {
    let world = World::new("12", 2).await;
    let powers = levels(world.version, &[(admin(1), 50)]);
    let powers = world.act(0, &admin(0), powers).await.unwrap();
    world.tell(0, 1, &powers).await;
    let named = world.act(1, &admin(1), topic("late")).await.unwrap();
    let branch = world.head(1).await;
    let last = world.act(1, &admin(1), message("last")).await.unwrap();
    *world.neighbours.forgets_missing.lock() = true;
    assert_eq!(world.tell(1, 0, &last).await, Received::Accepted);
    assert_eq!(world.tell(1, 0, &named).await, Received::Accepted);
    let at = (branch.extremities.clone(), branch.depth + 1);
    let beside = world.craft_at(1, &admin(1), message("beside"), at, &[]).await;
    assert_eq!(world.hand(1, 0, &raw(&beside.pdu)).await, Received::Accepted);
    let before = world.servers[0]
        .state_before_event(&world.room, &beside.event.event_id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(before.event_id("m.room.topic", ""), Some(&named));
}

#[tokio::test]
async fn history_before_a_join_is_put_before_it() {
    for version in ["2", "11", "12"] {
        let world = World::new(version, 2).await;
        let there = history(&world, 0).await;
        let here = history(&world, 1).await;
        let [join] = here.as_slice() else {
            panic!("only the join is seen: {here:?}");
        };
        assert_eq!(there.last(), Some(join));
        let (before, others) = there
            .split_last()
            .map(|(_, others)| (others.len(), others))
            .unwrap();
        let mut at = join.clone();
        let mut left = others.to_vec();
        let mut put = 0;
        while let Some((position, missing)) = gap_before(&world, 1, &at).await {
            let page = left.split_off(left.len().saturating_sub(3));
            assert_eq!(page.last(), missing.last(), "{version}");
            let pdus = pdus(&world, 0, &page).await;
            put += world.servers[1]
                .add_history(&world.room, position, pdus)
                .await
                .unwrap();
            at = page[0].clone();
        }
        assert_eq!(put, before, "{version}");
        assert_eq!(history(&world, 1).await, there, "{version}");
        world.assert_same_state(version).await;
    }
}

/// Whoever pages back gets what was before the join, though it was not here.
#[tokio::test]
async fn paging_back_fetches_the_history_before_a_join() {
    for version in ["2", "12"] {
        let world = World::new(version, 1).await;
        for number in 0..250 {
            world
                .act(0, &admin(0), message(&number.to_string()))
                .await
                .unwrap();
        }
        let world = world.with_another_server().await;
        let there = history(&world, 0).await;
        let mut seen = Vec::new();
        let mut from = None;
        for _ in 0..100 {
            let query = crate::messages::MessagesQuery {
                from,
                to: None,
                direction: Direction::Backward,
                limit: Some(40),
                filter: crate::filter::RoomEventFilter::default(),
            };
            let viewer = crate::present::Viewer {
                user: &admin(1),
                device: None,
            };
            let page = world.servers[1]
                .messages(viewer, &world.room, &query)
                .await
                .unwrap();
            seen.extend(page.chunk.iter().map(|event| event.event.event_id.clone()));
            from = page.end;
            if from.is_none() {
                break;
            }
        }
        seen.reverse();
        assert_eq!(seen, there, "{version}");
        assert_eq!(history(&world, 1).await, there, "{version}");
    }
}

#[tokio::test]
async fn history_that_no_gap_leads_to_is_left_out() {
    let world = World::new("12", 2).await;
    let here = history(&world, 1).await;
    let (position, _) = gap_before(&world, 1, &here[0]).await.unwrap();
    let stray = world.craft(0, &admin(1), message("smuggled")).await;
    let pdu = Pdu::parse(&stray.pdu, &world.room, world.version).unwrap();
    let put = world.servers[1]
        .add_history(&world.room, position, vec![pdu])
        .await
        .unwrap();
    assert_eq!(put, 0);
    assert_eq!(history(&world, 1).await, here);
}

/// A server whose users had all left comes back: what it knew is history, and the state is that of now.
#[tokio::test]
async fn a_room_that_one_comes_back_to_has_the_state_of_now() {
    for version in ["3", "11", "12"] {
        let world = World::new(version, 2).await;
        let powers = levels(world.version, &[(admin(1), 50)]);
        let powers = world.act(0, &admin(0), powers).await.unwrap();
        world.tell(0, 1, &powers).await;
        let old = world.act(1, &admin(1), topic("old")).await.unwrap();
        world.tell(1, 0, &old).await;
        let left = world.act(1, &admin(1), member(&admin(1), "leave")).await.unwrap();
        world.tell(1, 0, &left).await;
        let new = world.act(0, &admin(0), topic("new")).await.unwrap();
        let join = world.craft(0, &admin(1), member(&admin(1), "join")).await;
        assert_eq!(world.hand(1, 0, &raw(&join.pdu)).await, Received::Accepted);
        let (state, chain) = world.state_before(0, &join.event.event_id).await;
        let pdu = Pdu::parse(&join.pdu, &world.room, world.version).unwrap();
        let adopting = Adopting {
            state,
            auth_chain: chain,
            join: pdu,
            missing: None,
            beside: Batch::new(),
        };
        world.servers[1]
            .adopt(&world.room, world.version, &adopting)
            .await
            .unwrap();
        world.assert_same_state(version).await;
        let head = world.head(1).await;
        assert_eq!(head.state_event_id("m.room.topic", ""), Some(&new));
        world.assert_one_end(1, &join.event.event_id).await;
        assert!(head.is_joined(&admin(1)));
        let seen = history(&world, 1).await;
        assert_eq!(
            seen[seen.len() - 3..],
            [old.clone(), left, join.event.event_id.clone()]
        );
        let (_, missing) = gap_before(&world, 1, &join.event.event_id).await.unwrap();
        assert_eq!(missing, [new]);
        let said = world.act(1, &admin(1), message("back")).await.unwrap();
        assert_eq!(world.tell(1, 0, &said).await, Received::Accepted);
    }
}

/// What was redacted is redacted wherever it is kept.
#[tokio::test]
async fn e24_a_redaction_reaches_what_is_kept_for_its_state_too() {
    let world = World::new("12", 2).await;
    let named = world.act(0, &admin(0), topic("a secret")).await.unwrap();
    let after = world.act(0, &admin(0), message("after")).await.unwrap();
    *world.neighbours.forgets_missing.lock() = true;
    assert_eq!(world.tell(0, 1, &after).await, Received::Accepted);
    let (position, _) = gap_before(&world, 1, &after).await.unwrap();
    let pdus = pdus(&world, 0, std::slice::from_ref(&named)).await;
    let put = world.servers[1]
        .add_history(&world.room, position, pdus)
        .await
        .unwrap();
    assert_eq!(put, 1);
    let redaction = crate::redact::Redaction::because(named.clone(), None, None);
    let redaction = world.servers[0]
        .redact(&admin(0), &world.room, &redaction)
        .await
        .unwrap();
    assert_eq!(world.tell(0, 1, &redaction).await, Received::Accepted);
    let state = world.servers[1]
        .state_at(&world.room, Position::MAX)
        .await
        .unwrap();
    let topic = state.iter().find(|event| event.event_id() == named).unwrap();
    assert_eq!(topic.content().get(), "{}");
    let seen = world.servers[1]
        .timeline(
            &world.room,
            (Position::ZERO, Position::MAX),
            Direction::Forward,
            100,
        )
        .await
        .unwrap();
    let topic = seen
        .events
        .iter()
        .find(|event| event.event_id() == named)
        .unwrap();
    assert_eq!(topic.content().get(), "{}");
}
