//! Slowing down whoever floods a room. Nothing is refused and nothing lost: the answer to a transaction comes later, and
//! its server, which sends one at a time, has to wait for it with the next.

use std::{
    collections::HashMap,
    hash::{BuildHasher as _, RandomState},
    time::Duration,
};

use parking_lot::Mutex;
use ruma::{RoomId, ServerName};
use tokio::time::Instant;

use crate::PduPace;

/// The longest delay of one answer: longer than a full transaction needs at the usual pace, and shorter than other servers
/// wait, or than this one may take to stop.
const MOST: Duration = Duration::from_secs(5);

/// So many servers in rooms are remembered before idle ones are looked for.
const MANY: usize = 65_536;

/// When everything that a server sent into a room so far is paid back, by a hash of both. Two that share one share its pace.
#[derive(Debug, Default)]
pub(super) struct Paces {
    hasher: RandomState,
    paid_back: Mutex<HashMap<u64, Instant>>,
}

impl Paces {
    /// Counts events of a server in a room; how long to wait with the answer.
    pub(super) fn count(
        &self,
        pace: PduPace,
        (origin, room_id): (&ServerName, &RoomId),
        events: usize,
        now: Instant,
    ) -> Duration {
        let cost = Duration::from_secs(1) / pace.per_second.max(1);
        let events = u32::try_from(events).unwrap_or(u32::MAX);
        let key = self.hasher.hash_one((origin, room_id));
        let mut paid_back = self.paid_back.lock();
        if paid_back.len() >= MANY && !paid_back.contains_key(&key) {
            paid_back.retain(|_, at| *at > now);
            if paid_back.len() >= MANY {
                // Bounded memory matters more than somebody's pace.
                return Duration::ZERO;
            }
        }
        let before = paid_back.get(&key).copied().filter(|at| *at > now).unwrap_or(now);
        // Nobody owes more than a burst and the longest delay.
        let most = now + cost.saturating_mul(pace.burst) + MOST;
        let after = (before + cost.saturating_mul(events)).min(most);
        paid_back.insert(key, after);
        after
            .saturating_duration_since(now)
            .saturating_sub(cost.saturating_mul(pace.burst))
    }
}

#[cfg(test)]
mod tests {
    use ruma::{room_id, server_name};

    use super::*;

    const PACE: PduPace = PduPace {
        per_second: 20,
        burst: 100,
    };

    #[test]
    fn a_burst_is_free_and_what_comes_after_it_goes_at_the_rooms_pace() {
        let paces = Paces::default();
        let (server, room) = (server_name!("a.example"), room_id!("!a:a.example"));
        let start = Instant::now();
        let count = |events, now| paces.count(PACE, (server, room), events, now);
        assert_eq!(count(50, start), Duration::ZERO);
        assert_eq!(count(50, start), Duration::ZERO);
        let delay = count(50, start);
        assert_eq!(delay, Duration::from_millis(2_500));
        // Whoever waits as long as it is held goes on at twenty a second.
        assert_eq!(count(50, start + delay), delay);
        let later = start + Duration::from_mins(1);
        assert_eq!(count(100, later), Duration::ZERO, "idle time is paid back");
    }

    #[test]
    fn other_servers_and_other_rooms_have_a_pace_of_their_own() {
        let paces = Paces::default();
        let (server, room) = (server_name!("a.example"), room_id!("!a:a.example"));
        let now = Instant::now();
        assert!(paces.count(PACE, (server, room), 200, now) > Duration::ZERO);
        let (other, elsewhere) = (server_name!("b.example"), room_id!("!b:a.example"));
        assert_eq!(paces.count(PACE, (other, room), 50, now), Duration::ZERO);
        assert_eq!(paces.count(PACE, (server, elsewhere), 50, now), Duration::ZERO);
    }

    #[test]
    fn no_answer_is_held_for_longer_than_servers_wait() {
        let paces = Paces::default();
        let (server, room) = (server_name!("a.example"), room_id!("!a:a.example"));
        let now = Instant::now();
        for _ in 0..100 {
            assert!(paces.count(PACE, (server, room), 1_000, now) <= MOST);
        }
    }
}
