//! What it costs where many are in the room.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use super::fixture::{Room, version};
use crate::state_resolution::{Dispute, StateMap};

/// 50,000 members, of whom a thousand each are only in one of two states.
fn large() -> (Room, [StateMap; 2]) {
    let (mut room, mut base) = Room::of(version("10"), &[]);
    for member in 0..48_000 {
        room.join(&mut base, &format!("@m{member}:s"));
    }
    let (mut a, mut b) = (base.clone(), base);
    for member in 0..1_000 {
        room.join(&mut a, &format!("@a{member}:s"));
        room.join(&mut b, &format!("@b{member}:s"));
    }
    (room, [a, b])
}

#[test]
fn two_thousand_conflicts_in_a_large_room_are_settled_at_once() {
    let (room, states) = large();
    let began = Instant::now();
    let resolved = room.resolve(&states);
    let took = began.elapsed();
    assert_eq!(resolved.len(), 48_004 + 2_000);
    let most = if cfg!(debug_assertions) { 5_000 } else { 250 };
    println!("{took:?}, {} events fetched", room.fetched.get());
    assert!(took < Duration::from_millis(most), "{took:?}");
}

#[test]
fn what_is_agreed_on_is_not_read() {
    let (room, states) = large();
    let dispute = Dispute::between(room.version, &states);
    let fetch = |id: &ruma::EventId| room.fetch(id);
    assert_eq!(dispute.keys().count(), 2_000);
    let agreed = |key: &crate::state_resolution::StateKey| {
        states[0]
            .get(key)
            .filter(|id| states[1].get(key) == Some(*id))
            .cloned()
    };
    let open = dispute.open_questions(&fetch).unwrap();
    assert!(open.is_empty(), "everything is in both auth chains");
    let decided = dispute.resolve(&agreed, &HashSet::new(), &fetch).unwrap();
    assert_eq!(decided.len(), 2_000);
    assert!(room.fetched.get() < 50_000, "{}", room.fetched.get());
}
