//! The time, as something that is passed in.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, UNIX_EPOCH},
};

/// Where the time comes from. Cheap to clone; clones of a manual clock move together.
#[derive(Clone)]
pub struct Clock(Source);

#[derive(Clone)]
enum Source {
    System,
    Manual(Arc<AtomicU64>),
    Reading(Arc<dyn Fn() -> u64 + Send + Sync>),
}

impl Clock {
    /// The machine's clock.
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A clock for tests, which stands at this many milliseconds since 1970 until it is moved.
    pub fn manual(now_ms: u64) -> Self {
        Self(Source::Manual(Arc::new(AtomicU64::new(now_ms))))
    }

    /// A clock for simulations: it reads the time from elsewhere, in milliseconds since 1970.
    pub fn reading(now_ms: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        Self(Source::Reading(Arc::new(now_ms)))
    }

    /// Milliseconds since 1970, UTC. A machine whose clock stands before that gives 0.
    pub fn now_ms(&self) -> u64 {
        match &self.0 {
            Source::System => {
                #[expect(
                    clippy::disallowed_methods,
                    reason = "this is the one place that may ask the machine"
                )]
                let since_1970 = std::time::SystemTime::now().duration_since(UNIX_EPOCH);
                since_1970.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
            }
            Source::Manual(now_ms) => now_ms.load(Ordering::Acquire),
            Source::Reading(now_ms) => now_ms(),
        }
    }

    /// Moves a manual clock on; others go by themselves.
    pub fn advance(&self, by: Duration) {
        if let Source::Manual(now_ms) = &self.0 {
            let by_ms = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
            now_ms.fetch_add(by_ms, Ordering::AcqRel);
        }
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source = match &self.0 {
            Source::System => "system",
            Source::Manual(_) => "manual",
            Source::Reading(_) => "reading",
        };
        f.debug_tuple("Clock").field(&source).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_of_a_manual_clock_move_together() {
        let clock = Clock::manual(1_000);
        clock.clone().advance(Duration::from_secs(2));
        assert_eq!(clock.now_ms(), 3_000);
    }
}
