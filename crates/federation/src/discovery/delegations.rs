//! What servers' files said, and for how long that is believed.

use std::sync::Arc;

use quick_cache::sync::Cache;
use ruma::{OwnedServerName, ServerName};

use super::lifetime::LONGEST_MS;
use crate::one_at_a_time::OneAtATime;

/// Servers remembered.
const REMEMBERED: usize = 20_000;

/// How long it is believed that there is no file: so long the first time, twice as long each further time, an hour at
/// most (server-server API: "up to an hour", with exponential back-off).
const NOTHING_MS: u64 = 5 * 60 * 1_000;
const NOTHING_AT_MOST_MS: u64 = 3_600 * 1_000;

/// What servers' files said.
#[derive(Debug)]
pub(crate) struct Discovered {
    known: Cache<OwnedServerName, Arc<Delegation>>,
    pub(super) asking: OneAtATime,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Delegation {
    /// Nothing: the server is found under its own name.
    pub(super) to: Option<OwnedServerName>,
    /// When to ask again.
    until_ms: u64,
    /// Until when it is believed though the file cannot be had.
    at_most_until_ms: u64,
    /// How often in a row there was no file.
    failures: u32,
}

/// What asking came to.
pub(crate) enum Said {
    /// A server.
    Delegated { to: OwnedServerName, lifetime_ms: u64 },
    /// Nobody is there, or not quite well.
    NoAnswer,
    /// Something else.
    Nothing,
}

impl Discovered {
    pub(crate) fn new() -> Self {
        Self {
            known: Cache::new(REMEMBERED),
            asking: OneAtATime::default(),
        }
    }

    pub(super) fn get(&self, server: &ServerName, now_ms: u64) -> Option<Arc<Delegation>> {
        self.known.get(server).filter(|known| now_ms < known.until_ms)
    }

    /// Takes in what asking came to, and gives the server that is delegated to.
    pub(super) fn learn(&self, server: &ServerName, said: Said, now_ms: u64) -> Option<OwnedServerName> {
        let before = self.known.get(server);
        let delegation = next(before.as_deref(), said, now_ms);
        let to = delegation.to.clone();
        self.known.insert(server.to_owned(), Arc::new(delegation));
        to
    }
}

/// What is known after an answer. Where nobody answers, what was said before is believed on, for as long as an answer
/// can be: a web server that is being restarted does not move a homeserver.
fn next(before: Option<&Delegation>, said: Said, now_ms: u64) -> Delegation {
    let before = before.cloned().unwrap_or_default();
    let failures = before.failures.saturating_add(1);
    let pause = NOTHING_MS
        .saturating_mul(1 << before.failures.min(10))
        .min(NOTHING_AT_MOST_MS);
    match said {
        Said::Delegated { to, lifetime_ms } => Delegation {
            to: Some(to),
            until_ms: now_ms.saturating_add(lifetime_ms),
            at_most_until_ms: now_ms.saturating_add(LONGEST_MS),
            failures: 0,
        },
        Said::NoAnswer if now_ms < before.at_most_until_ms => Delegation {
            until_ms: now_ms.saturating_add(pause).min(before.at_most_until_ms),
            failures,
            ..before
        },
        Said::NoAnswer | Said::Nothing => Delegation {
            to: None,
            until_ms: now_ms.saturating_add(pause),
            at_most_until_ms: 0,
            failures,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600 * 1_000;

    fn delegated() -> Said {
        Said::Delegated {
            to: "b.example".try_into().unwrap(),
            lifetime_ms: HOUR,
        }
    }

    #[test]
    fn that_there_is_no_file_is_believed_longer_each_time_but_an_hour_at_most() {
        let mut known = None;
        let mut pauses = Vec::new();
        for _ in 0..6 {
            let delegation = next(known.as_ref(), Said::Nothing, 0);
            pauses.push(delegation.until_ms / 60_000);
            known = Some(delegation);
        }
        assert_eq!(pauses, [5, 10, 20, 40, 60, 60]);
        let found = next(known.as_ref(), delegated(), 0);
        assert_eq!((found.failures, found.until_ms), (0, HOUR));
    }

    #[test]
    fn what_was_said_is_believed_through_an_outage_and_not_past_48_hours() {
        let known = next(None, delegated(), 0);
        let away = next(Some(&known), Said::NoAnswer, 2 * HOUR);
        assert!(away.to.is_some());
        let late = next(Some(&away), Said::NoAnswer, 47 * HOUR + HOUR * 59 / 60);
        assert_eq!((late.to.is_some(), late.until_ms), (true, 48 * HOUR));
        assert_eq!(next(Some(&late), Said::NoAnswer, 48 * HOUR).to, None);
        assert_eq!(next(Some(&known), Said::Nothing, 2 * HOUR).to, None);
    }
}
