//! How it stands with one server: whether something waits for it, and when it may be tried.

use crate::{random::Randomness, tables::DestinationRow};

/// The first pause after a failure; each further one is twice as long, up to the other (limits.md §4).
const PAUSE_MS: u64 = 2 * 1_000;
const PAUSE_AT_MOST_MS: u64 = 3_600 * 1_000;

/// However short the lot makes a pause, it is one.
const PAUSE_AT_LEAST_MS: u64 = 500;

/// How much of a server's words is kept.
const MAX_WORDS: usize = 300;

/// What is in memory of a server. Only those are that something waits for, or that fail.
#[derive(Debug, Clone, Default)]
pub(super) struct Queue {
    pub(super) row: DestinationRow,
    has_work: bool,
    is_running: bool,
}

impl Queue {
    pub(super) fn new(row: DestinationRow) -> Self {
        Self {
            row,
            ..Self::default()
        }
    }

    /// Something waits for the server.
    pub(super) fn add_work(&mut self) {
        self.has_work = true;
    }

    pub(super) fn has_work(&self) -> bool {
        self.has_work || self.is_running
    }

    pub(super) fn is_failing(&self) -> bool {
        self.row.failures > 0
    }

    /// Whether it took what it was sent last.
    pub(super) fn is_proven(&self) -> bool {
        self.row.has_worked && !self.is_failing()
    }

    /// Whether somebody should begin to work on it now.
    pub(super) fn is_due(&self, now_ms: u64) -> bool {
        self.has_work && !self.is_running && self.row.retry_at_ms <= now_ms
    }

    /// Somebody begins to work on it.
    pub(super) fn begin(&mut self) {
        self.is_running = true;
        self.has_work = false;
    }

    /// Whoever works on it looks at what there is now. What comes from now on is new.
    pub(super) fn look(&mut self) {
        self.has_work = false;
    }

    /// Whoever works on it found nothing more; `false`: something came meanwhile.
    pub(super) fn end(&mut self) -> bool {
        if self.has_work {
            return false;
        }
        self.is_running = false;
        true
    }

    /// Whoever works on it gives up for now.
    pub(super) fn end_with_failure(&mut self, row: DestinationRow) {
        self.row = row;
        self.is_running = false;
        self.has_work = true;
    }

    /// It may be tried now, whatever was; `true`: something was.
    pub(super) fn forgive(&mut self) -> bool {
        let was_failing = self.is_failing() || self.row.retry_at_ms > 0;
        self.row.failures = 0;
        self.row.failing_since_ms = None;
        self.row.retry_at_ms = 0;
        was_failing
    }

    /// Later than it would be: not all of them at once.
    pub(super) fn not_before(&mut self, at_ms: u64) {
        self.row.retry_at_ms = self.row.retry_at_ms.max(at_ms);
    }
}

/// What is known of a server after one more failure. The pause is drawn from all of its length, so that servers which
/// failed together are not tried together.
pub(super) fn after_failure(
    before: &DestinationRow,
    (now_ms, randomness): (u64, &Randomness),
    error: &str,
    wanted_pause_ms: Option<u64>,
) -> DestinationRow {
    let longest = PAUSE_MS
        .saturating_mul(1 << before.failures.min(20))
        .min(PAUSE_AT_MOST_MS);
    let drawn = randomness.part_of(longest).max(PAUSE_AT_LEAST_MS);
    let pause = drawn.max(wanted_pause_ms.unwrap_or_default().min(PAUSE_AT_MOST_MS));
    DestinationRow {
        failures: before.failures.saturating_add(1),
        failing_since_ms: before.failing_since_ms.or(Some(now_ms)),
        tried_ms: now_ms,
        retry_at_ms: now_ms.saturating_add(pause),
        last_error: Some(error.chars().take(MAX_WORDS).collect()),
        ..before.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pauses(failures: u32) -> Vec<u64> {
        let before = DestinationRow {
            failures,
            ..DestinationRow::default()
        };
        (0..200)
            .map(|_| after_failure(&before, (1_000, &Randomness::system()), "x", None).retry_at_ms - 1_000)
            .collect()
    }

    #[test]
    fn r11_pauses_grow_to_an_hour_and_are_spread_over_all_of_it() {
        for (failures, longest) in [
            (0, 2_000),
            (1, 4_000),
            (5, 64_000),
            (11, 3_600_000),
            (1_000_000, 3_600_000),
        ] {
            let pauses = pauses(failures);
            let (least, most) = (pauses.iter().min().unwrap(), pauses.iter().max().unwrap());
            assert!(*least >= 500 && *most <= longest, "{failures}: {least} {most}");
            // That 200 draws all lie in a half of the range does not happen.
            assert!(
                *least < longest / 2 && *most > longest / 2,
                "{failures}: {least} {most}"
            );
        }
    }

    #[test]
    fn a_server_that_asks_for_a_longer_pause_gets_it_up_to_an_hour() {
        let row = DestinationRow::default();
        let pause = |wanted| after_failure(&row, (0, &Randomness::system()), "x", Some(wanted)).retry_at_ms;
        assert_eq!(pause(30_000), 30_000);
        assert_eq!(pause(u64::MAX), 3_600_000);
    }

    #[test]
    fn failures_are_counted_from_the_first_on() {
        let first = after_failure(&DestinationRow::default(), (5, &Randomness::system()), "x", None);
        let second = after_failure(&first, (9, &Randomness::system()), "y", None);
        assert_eq!((second.failures, second.failing_since_ms), (2, Some(5)));
        assert_eq!(second.last_error.as_deref(), Some("y"));
    }
}
