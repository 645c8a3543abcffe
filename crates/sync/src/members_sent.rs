//! Which membership events a device was sent, so that lazy loading need not repeat them.

use std::hash::{BuildHasher, RandomState};

use gatehouse_store::Position;
use quick_cache::sync::Cache;
use ruma::{DeviceId, EventId, RoomId, UserId};

/// How many are remembered, over all devices: some 8 MB. What is forgotten is sent once more.
const REMEMBERED: usize = 100_000;

/// Remembers by digests: two keyed hashes of 64 bits name a member of a room for a device.
#[derive(Debug)]
pub(crate) struct MembersSent {
    sent: Cache<(u64, u64), Sent>,
    hashers: (RandomState, RandomState),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sent {
    /// The hash of the event's id.
    event: u64,
    /// The `next_batch` of the response that it was in.
    in_batch: Position,
}

/// A device, and how far it has synced.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Device<'a> {
    pub(crate) user: &'a UserId,
    pub(crate) id: &'a DeviceId,
    /// `None` when it starts anew and knows nothing.
    pub(crate) since: Option<Position>,
}

impl MembersSent {
    pub(crate) fn new() -> Self {
        Self {
            sent: Cache::new(REMEMBERED),
            hashers: (RandomState::new(), RandomState::new()),
        }
    }

    /// Whether the device has this event: a response had it, and the device has come back with that response's
    /// `next_batch` or a later one. A response that was lost on the way does not count.
    pub(crate) fn has(&self, device: Device<'_>, room: &RoomId, member: &UserId, event: &EventId) -> bool {
        let key = self.key(device, room, member);
        device.since.is_some_and(|since| {
            self.sent
                .get(&key)
                .is_some_and(|sent| sent.event == self.event(event) && sent.in_batch <= since)
        })
    }

    /// The response with this `next_batch` sends the event.
    pub(crate) fn record(
        &self,
        device: Device<'_>,
        room: &RoomId,
        member: &UserId,
        event: &EventId,
        in_batch: Position,
    ) {
        let key = self.key(device, room, member);
        let event = self.event(event);
        self.sent.insert(key, Sent { event, in_batch });
    }

    fn key(&self, device: Device<'_>, room: &RoomId, member: &UserId) -> (u64, u64) {
        let named = (device.user, device.id, room, member);
        (self.hashers.0.hash_one(named), self.hashers.1.hash_one(named))
    }

    fn event(&self, event: &EventId) -> u64 {
        self.hashers.0.hash_one(event)
    }
}

#[cfg(test)]
mod tests {
    use ruma::{device_id, event_id, room_id, user_id};

    use super::*;

    fn device(since: Option<u64>) -> Device<'static> {
        Device {
            user: user_id!("@a:s"),
            id: device_id!("D"),
            since: since.and_then(Position::new),
        }
    }

    #[test]
    fn a_member_counts_as_sent_once_the_device_has_come_back() {
        let sent = MembersSent::new();
        let (room, member, event) = (room_id!("!r:s"), user_id!("@b:s"), event_id!("$e"));
        let batch = Position::new(9).unwrap();
        sent.record(device(Some(5)), room, member, event, batch);
        assert!(
            !sent.has(device(Some(5)), room, member, event),
            "the response may be lost"
        );
        assert!(sent.has(device(Some(9)), room, member, event));
        assert!(sent.has(device(Some(12)), room, member, event));
        assert!(
            !sent.has(device(None), room, member, event),
            "a new start knows nothing"
        );
        assert!(!sent.has(device(Some(9)), room, member, event_id!("$later")));
        assert!(!sent.has(device(Some(9)), room_id!("!q:s"), member, event));
        let other = Device {
            id: device_id!("E"),
            ..device(Some(9))
        };
        assert!(!sent.has(other, room, member, event));
    }
}
