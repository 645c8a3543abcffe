//! How often addresses are written to: against mail bombing (security.md T04) and against guessing of codes.

use std::{
    collections::HashMap,
    hash::{BuildHasher, Hash, RandomState},
};

use parking_lot::Mutex;

/// Keys remembered at most. A refused request must not cost memory: beyond this, idle keys are forgotten.
const MAX_KEYS: usize = 100_000;

/// A rate: so many at once, and so many a second in the long run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// In the long run.
    pub per_second: f64,
    /// At once.
    pub burst: u32,
}

/// How often what is sent. The figures of `Default` are those of limits.md, section 6.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rates {
    /// Whether anything is limited at all.
    pub enabled: bool,
    /// Invitations that one user sends.
    pub invitations_per_sender: Rate,
    /// Invitations that one address gets.
    pub invitations_per_address: Rate,
    /// Invitations into one room.
    pub invitations_per_room: Rate,
    /// Validation messages that one address gets.
    pub validations_per_address: Rate,
    /// Lookups that one user makes, or one network, however many addresses are in each.
    pub lookups_per_user: Rate,
}

impl Default for Rates {
    fn default() -> Self {
        let rate = |per_second, burst| Rate { per_second, burst };
        Self {
            enabled: true,
            invitations_per_sender: rate(0.01, 5),
            invitations_per_address: rate(0.002, 3),
            invitations_per_room: rate(0.02, 10),
            validations_per_address: rate(0.003, 5),
            lookups_per_user: rate(1.0, 10),
        }
    }
}

/// What is counted, and for whom.
#[derive(Debug, Clone, Copy, Hash)]
pub(crate) enum Counted<'a> {
    InvitationsBy(&'a str),
    /// Medium and address.
    InvitationsTo(&'a str, &'a str),
    InvitationsInto(&'a str),
    ValidationsOf(&'a str, &'a str),
    LookupsBy(&'a str),
    LookupsFrom(&'a str),
}

/// Decides by the generic cell rate algorithm: for each key, the time at which everything used so far is paid back.
#[derive(Debug)]
pub(crate) struct Limiter {
    rates: Rates,
    /// Addresses are not kept, only their hashes; the secret of the hash is new in each process.
    hasher: RandomState,
    paid_back_ms: Mutex<HashMap<u64, f64>>,
}

impl Limiter {
    pub(crate) fn new(rates: Rates) -> Self {
        Self {
            rates,
            hasher: RandomState::new(),
            paid_back_ms: Mutex::default(),
        }
    }

    /// Counts all of these, or none when one of them is used up: then, how long to wait in milliseconds.
    pub(crate) fn count(&self, what: &[Counted<'_>], now_ms: u64) -> Result<(), u64> {
        if !self.rates.enabled {
            return Ok(());
        }
        // Exact for another 280,000 years.
        #[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 have 41 bits")]
        let now = now_ms as f64;
        let mut paid_back = self.paid_back_ms.lock();
        if paid_back.len() >= MAX_KEYS {
            paid_back.retain(|_, at| *at > now);
        }
        let mut after = Vec::with_capacity(what.len());
        let mut wait: f64 = 0.0;
        for counted in what {
            let rate = self.rate(counted);
            let interval = 1_000.0 / rate.per_second.max(f64::MIN_POSITIVE);
            let key = self.hasher.hash_one(counted);
            let next = paid_back.get(&key).map_or(now, |at| at.max(now)) + interval;
            wait = wait.max(next - now - interval * f64::from(rate.burst));
            after.push((key, next));
        }
        if wait > 0.0 {
            return Err(whole_ms(wait));
        }
        if paid_back.len() >= MAX_KEYS {
            // Everybody waits a second rather than that somebody is not counted.
            return Err(1_000);
        }
        paid_back.extend(after);
        Ok(())
    }

    fn rate(&self, counted: &Counted<'_>) -> Rate {
        match counted {
            Counted::InvitationsBy(_) => self.rates.invitations_per_sender,
            Counted::InvitationsTo(..) => self.rates.invitations_per_address,
            Counted::InvitationsInto(_) => self.rates.invitations_per_room,
            Counted::ValidationsOf(..) => self.rates.validations_per_address,
            Counted::LookupsBy(_) | Counted::LookupsFrom(_) => self.rates.lookups_per_user,
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "positive, and a float too large for an integer becomes the largest one"
)]
fn whole_ms(wait: f64) -> u64 {
    wait.ceil() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_750_000_000_000;

    #[test]
    fn t04_a_burst_is_let_through_and_the_next_must_wait() {
        let limiter = Limiter::new(Rates::default());
        let what = [Counted::InvitationsTo("email", "a@b.c")];
        for _ in 0..3 {
            limiter.count(&what, NOW).unwrap();
        }
        assert_eq!(limiter.count(&what, NOW), Err(500_000));
        assert_eq!(limiter.count(&what, NOW + 499_999), Err(1));
        assert_eq!(
            limiter.count(&what, NOW + 500_000),
            Ok(()),
            "whoever waits exactly that long is let through"
        );
        assert_eq!(
            limiter.count(&[Counted::InvitationsTo("email", "d@b.c")], NOW),
            Ok(())
        );
    }

    #[test]
    fn what_is_refused_for_one_reason_is_not_counted_for_another() {
        let limiter = Limiter::new(Rates::default());
        let to = |address| {
            [
                Counted::InvitationsBy("@a:b"),
                Counted::InvitationsTo("email", address),
            ]
        };
        for _ in 0..3 {
            limiter.count(&to("a@b.c"), NOW).unwrap();
        }
        for _ in 0..10 {
            limiter.count(&to("a@b.c"), NOW).unwrap_err();
        }
        limiter.count(&to("d@b.c"), NOW).unwrap();
        limiter.count(&to("e@b.c"), NOW).unwrap();
        limiter.count(&to("f@b.c"), NOW).unwrap_err();
    }

    #[test]
    fn a_full_limiter_forgets_the_idle() {
        let limiter = Limiter::new(Rates::default());
        for number in 0..MAX_KEYS {
            limiter
                .count(&[Counted::InvitationsBy(&number.to_string())], NOW)
                .unwrap();
        }
        limiter
            .count(&[Counted::InvitationsBy("one more")], NOW)
            .unwrap_err();
        limiter
            .count(&[Counted::InvitationsBy("one more")], NOW + 100_000)
            .unwrap();
        assert_eq!(limiter.paid_back_ms.lock().len(), 1);
    }
}
