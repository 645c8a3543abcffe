//! Which membership events a device has, so that lazy loading need not repeat them.
//!
//! A device has what was in the responses whose `next_batch` it has come back with. What was in a response that was
//! lost on the way does not count, and when a device goes back to an earlier token, nothing does.

use std::{
    collections::VecDeque,
    hash::{BuildHasher, RandomState},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use gatehouse_store::Position;
use parking_lot::Mutex;
use quick_cache::sync::Cache;
use ruma::{DeviceId, EventId, RoomId, UserId};

/// How many membership events are remembered, over all devices: some 8 MB. What is forgotten is sent once more.
const REMEMBERED: usize = 100_000;

/// Of how many devices the last responses are remembered.
const DEVICES: usize = 10_000;

/// How many responses of a device may be on their way.
const RESPONSES: usize = 4;

/// How many members of one response are remembered.
const MEMBERS: usize = 500;

/// Remembers by digests: two keyed hashes of 64 bits name a member of a room for a device.
#[derive(Debug)]
pub(crate) struct MembersSent {
    had: Cache<Key, EventHash>,
    devices: Cache<(u64, u64), Arc<Mutex<Device>>>,
    hashers: (RandomState, RandomState),
    generations: AtomicU64,
}

type Key = (u64, u64);
type EventHash = u64;

/// How far a device has come.
#[derive(Debug, Default)]
struct Device {
    /// Changes when the device starts anew or goes back.
    generation: u64,
    acknowledged: Position,
    /// What was in the last responses, by their `next_batch`.
    on_the_way: VecDeque<(Position, Vec<(Key, EventHash)>)>,
}

/// A device that has come back with a token.
#[derive(Debug, Clone)]
pub(crate) struct Acknowledged {
    device: Arc<Mutex<Device>>,
    generation: u64,
}

impl MembersSent {
    pub(crate) fn new() -> Self {
        Self {
            had: Cache::new(REMEMBERED),
            devices: Cache::new(DEVICES),
            hashers: (RandomState::new(), RandomState::new()),
            generations: AtomicU64::new(1),
        }
    }

    /// The device asks for what came after `since`: it has what was in the response that ended there. `None`: it
    /// knows nothing.
    pub(crate) fn acknowledge(&self, user: &UserId, id: &DeviceId, since: Option<Position>) -> Acknowledged {
        let key = self.hash((user, id));
        let device = self.devices.get(&key).unwrap_or_else(|| {
            let device = Arc::default();
            self.devices.insert(key, Arc::clone(&device));
            device
        });
        let mut state = device.lock();
        let goes_back = since.is_none_or(|since| since < state.acknowledged);
        if goes_back || state.generation == 0 {
            state.generation = self.generations.fetch_add(1, Ordering::Relaxed);
            state.on_the_way.clear();
        }
        state.acknowledged = since.unwrap_or_default();
        let acknowledged = state.acknowledged;
        for (batch, members) in &state.on_the_way {
            if *batch == acknowledged {
                for (key, event) in members {
                    self.had.insert(*key, *event);
                }
            }
        }
        state.on_the_way.retain(|(batch, _)| *batch > acknowledged);
        let generation = state.generation;
        drop(state);
        Acknowledged { device, generation }
    }

    /// Whether the device has this event.
    pub(crate) fn has(&self, device: &Acknowledged, room: &RoomId, member: &UserId, event: &EventId) -> bool {
        let key = self.hash((device.generation, room, member));
        self.had.get(&key) == Some(self.hashers.0.hash_one(event))
    }

    /// The response with this `next_batch` has the event.
    pub(crate) fn record(
        &self,
        device: &Acknowledged,
        (room, member): (&RoomId, &UserId),
        event: &EventId,
        next_batch: Position,
    ) {
        let entry = (
            self.hash((device.generation, room, member)),
            self.hashers.0.hash_one(event),
        );
        let mut state = device.device.lock();
        if state.generation != device.generation {
            return;
        }
        let response = state
            .on_the_way
            .iter_mut()
            .find(|(batch, _)| *batch == next_batch);
        if let Some((_, members)) = response {
            if members.len() < MEMBERS {
                members.push(entry);
            }
            return;
        }
        if state.on_the_way.len() == RESPONSES {
            state.on_the_way.pop_front();
        }
        state.on_the_way.push_back((next_batch, vec![entry]));
    }

    fn hash(&self, value: impl std::hash::Hash) -> (u64, u64) {
        (self.hashers.0.hash_one(&value), self.hashers.1.hash_one(&value))
    }
}

#[cfg(test)]
mod tests {
    use ruma::{device_id, event_id, room_id, user_id};

    use super::*;

    struct Scene(MembersSent);

    impl Scene {
        fn comes_with(&self, since: Option<u64>) -> Acknowledged {
            let since = since.and_then(Position::new);
            self.0.acknowledge(user_id!("@a:s"), device_id!("D"), since)
        }

        fn sends(&self, device: &Acknowledged, next_batch: u64) {
            let key = (room_id!("!r:s"), user_id!("@b:s"));
            let next_batch = Position::new(next_batch).unwrap();
            self.0.record(device, key, event_id!("$e"), next_batch);
        }

        fn has(&self, device: &Acknowledged) -> bool {
            self.0
                .has(device, room_id!("!r:s"), user_id!("@b:s"), event_id!("$e"))
        }
    }

    #[test]
    fn a_device_has_what_was_in_the_response_that_it_comes_back_with() {
        let scene = Scene(MembersSent::new());
        let device = scene.comes_with(Some(5));
        scene.sends(&device, 9);
        assert!(!scene.has(&device));
        let device = scene.comes_with(Some(5));
        assert!(!scene.has(&device), "the response may be lost");
        let device = scene.comes_with(Some(9));
        assert!(scene.has(&device));
        let device = scene.comes_with(Some(12));
        assert!(scene.has(&device));
        let other = scene
            .0
            .acknowledge(user_id!("@a:s"), device_id!("E"), Position::new(12));
        assert!(!scene.has(&other));
    }

    #[test]
    fn what_was_in_a_lost_response_does_not_count() {
        let scene = Scene(MembersSent::new());
        let device = scene.comes_with(Some(5));
        scene.sends(&device, 9);
        // The request was repeated, and the response to that, without the member, went through to 10.
        let device = scene.comes_with(Some(10));
        assert!(!scene.has(&device));
    }

    #[test]
    fn who_goes_back_or_starts_anew_has_nothing() {
        for again in [Some(5), None] {
            let scene = Scene(MembersSent::new());
            let device = scene.comes_with(Some(5));
            scene.sends(&device, 9);
            assert!(scene.has(&scene.comes_with(Some(9))));
            assert!(!scene.has(&scene.comes_with(again)));
            assert!(!scene.has(&scene.comes_with(Some(20))));
        }
    }

    #[test]
    fn a_later_membership_is_another_event() {
        let scene = Scene(MembersSent::new());
        scene.sends(&scene.comes_with(Some(5)), 9);
        let device = scene.comes_with(Some(9));
        let (room, member) = (room_id!("!r:s"), user_id!("@b:s"));
        assert!(!scene.0.has(&device, room, member, event_id!("$later")));
        assert!(!scene.0.has(&device, room_id!("!q:s"), member, event_id!("$e")));
    }
}
