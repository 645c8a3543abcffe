//! Graphs that nobody draws who means well.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use ruma::OwnedEventId;
use serde_json::json;

use super::fixture::{Room, key, version};
use crate::state_resolution::{ResolveError, resolve};

#[test]
fn e23_an_event_that_authorises_itself_ends_the_resolution() {
    let (mut room, base) = Room::of(version("2"), &[("@bob:s", 50)]);
    let (mut a, mut b) = (base.clone(), base);
    let first = room.send(
        &mut a,
        "@alice:s",
        "m.room.power_levels",
        "",
        &json!({"users": {"@alice:s": 100}}),
    );
    let second = room.send(
        &mut b,
        "@alice:s",
        "m.room.power_levels",
        "",
        &json!({"users": {"@alice:s": 99}}),
    );
    for (of, cites) in [(&first, &second), (&second, &first)] {
        let mut event = (*room.events[of]).clone();
        event.auth_events.push(cites.clone());
        room.events.insert(of.clone(), Arc::new(event));
    }
    assert_eq!(
        resolve(room.version, &[a, b], &|id| room.fetch(id)),
        Err(ResolveError::Cycle)
    );
}

#[test]
fn events_that_are_not_here_do_not_count() {
    let (mut room, base) = Room::of(version("10"), &[("@bob:s", 50)]);
    let (mut a, mut b) = (base.clone(), base);
    let here = room.send(&mut a, "@alice:s", "m.room.topic", "", &json!({"topic": "a"}));
    let gone = room.send(&mut b, "@alice:s", "m.room.topic", "", &json!({"topic": "b"}));
    room.events.remove(&gone);
    assert_eq!(room.resolve(&[a, b]).get(&key("m.room.topic", "")), Some(&here));
}

#[test]
fn e28_a_graph_of_many_edges_costs_no_more_than_its_edges() {
    const EVENTS: usize = 100_000;
    let (mut room, base) = Room::of(version("12"), &[("@bob:s", 50)]);
    let (mut a, mut b) = (base.clone(), base);
    let mut ids: Vec<OwnedEventId> = Vec::with_capacity(EVENTS);
    // A linear congruence stands in for chance.
    let mut chance = 1_usize;
    for _ in 0..EVENTS {
        let mut event = room.event(
            &a,
            "@bob:s",
            "m.room.member",
            "@bob:s",
            &json!({"membership": "join"}),
        );
        if !ids.is_empty() {
            event.auth_events = (0..10)
                .map(|_| {
                    chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    ids[(chance >> 33) % ids.len()].clone()
                })
                .collect();
        }
        ids.push(event.event_id.clone());
        room.events.insert(event.event_id.clone(), Arc::new(event));
    }
    a.insert(key("m.room.member", "@bob:s"), ids[EVENTS - 1].clone());
    b.insert(key("m.room.member", "@bob:s"), ids[EVENTS - 2].clone());
    let began = Instant::now();
    let _ = resolve(room.version, &[a, b], &|id| room.fetch(id));
    let took = began.elapsed();
    // 0.5 s where it is optimised.
    assert!(took < Duration::from_secs(30), "{took:?}");
    assert!(room.fetched.get() < 40 * EVENTS, "{}", room.fetched.get());
}
