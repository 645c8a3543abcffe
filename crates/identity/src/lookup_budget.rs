//! How many addresses somebody may look up: so that a bulk of lookups cannot be used to find out who is here
//! (security.md T23).

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    net::{IpAddr, Ipv6Addr},
};

use parking_lot::Mutex;
use ruma::UserId;

use crate::LookupConfig;

const DAY_MS: u64 = 24 * 3_600 * 1_000;

/// Anybody can run a homeserver with any number of accounts, so that all those of one have a budget too: this many
/// times that of one.
const ACCOUNTS_OF_A_SERVER: u64 = 500;

/// Accounts and servers remembered at most. Beyond this, those are forgotten whose budget is whole again.
const MAX_KEYS: usize = 100_000;

/// By the generic cell rate algorithm, in addresses: for each key, when all that was used so far is paid back.
#[derive(Debug)]
pub(crate) struct LookupBudget {
    per_day: u64,
    /// Only hashes are kept, by a secret that is new in each process.
    hasher: RandomState,
    paid_back_ms: Mutex<HashMap<u64, u64>>,
}

impl LookupBudget {
    pub(crate) fn new(config: &LookupConfig) -> Self {
        let largest_request = u64::try_from(config.max_addresses).unwrap_or(u64::MAX);
        Self {
            // What may be asked for at once can be waited for.
            per_day: u64::from(config.addresses_per_day).max(largest_request).max(1),
            hasher: RandomState::new(),
            paid_back_ms: Mutex::default(),
        }
    }

    /// Takes these addresses from the user's budget; when it has not as many, nothing, and how long to wait in
    /// milliseconds.
    pub(crate) fn take(&self, user_id: &UserId, addresses: usize, now_ms: u64) -> Result<(), u64> {
        let of_server = (
            self.hasher.hash_one(user_id.server_name().as_str()),
            self.per_day.saturating_mul(ACCOUNTS_OF_A_SERVER),
        );
        self.take_all(&[self.of_one(user_id.as_str()), of_server], addresses, now_ms)
    }

    /// As [`Self::take`], from the budget of whoever asks from this network address, who has no account.
    pub(crate) fn take_from(&self, address: IpAddr, addresses: usize, now_ms: u64) -> Result<(), u64> {
        self.take_all(&[self.of_one(&network(address).to_string())], addresses, now_ms)
    }

    fn of_one(&self, name: &str) -> (u64, u64) {
        (self.hasher.hash_one(name), self.per_day)
    }

    fn take_all(&self, budgets: &[(u64, u64)], addresses: usize, now_ms: u64) -> Result<(), u64> {
        let addresses = u64::try_from(addresses).unwrap_or(u64::MAX);
        let mut paid_back = self.paid_back_ms.lock();
        if paid_back.len() >= MAX_KEYS {
            paid_back.retain(|_, at| *at > now_ms);
            if paid_back.len() >= MAX_KEYS {
                // Everybody waits a second rather than that somebody is not counted.
                return Err(1_000);
            }
        }
        let mut after = Vec::with_capacity(budgets.len());
        for &(key, per_day) in budgets {
            let cost_ms = addresses.saturating_mul(DAY_MS).div_ceil(per_day);
            let from = paid_back.get(&key).map_or(now_ms, |at| (*at).max(now_ms));
            let next = from.saturating_add(cost_ms);
            let wait = next.saturating_sub(now_ms.saturating_add(DAY_MS));
            if wait > 0 {
                return Err(wait);
            }
            after.push((key, next));
        }
        paid_back.extend(after);
        Ok(())
    }
}

/// Who counts as one: with IPv6, a network of 64 bits.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use ruma::user_id;

    use super::*;

    const NOW: u64 = 1_750_000_000_000;

    fn budget(addresses_per_day: u32) -> LookupBudget {
        LookupBudget::new(&LookupConfig {
            addresses_per_day,
            max_addresses: 10,
            ..LookupConfig::default()
        })
    }

    #[test]
    fn t23_an_account_has_its_budget_at_once_and_then_over_the_day() {
        let budget = budget(1_000);
        let (alice, bob) = (user_id!("@alice:a.test"), user_id!("@bob:a.test"));
        budget.take(alice, 600, NOW).unwrap();
        assert_eq!(
            budget.take(alice, 600, NOW),
            Err(DAY_MS / 5),
            "nothing is taken when refused"
        );
        budget.take(alice, 400, NOW).unwrap();
        budget.take(bob, 1_000, NOW).unwrap();
        assert_eq!(budget.take(alice, 1, NOW), Err(DAY_MS / 1_000));
        budget.take(alice, 1, NOW + DAY_MS / 1_000).unwrap();
        budget.take(alice, 999, NOW + DAY_MS).unwrap();
    }

    #[test]
    fn t23_many_accounts_of_one_server_share_a_budget() {
        let budget = budget(10);
        let user = |number: u64, server: &str| UserId::parse(format!("@u{number}:{server}")).unwrap();
        for number in 0..ACCOUNTS_OF_A_SERVER {
            budget.take(&user(number, "a.test"), 10, NOW).unwrap();
        }
        budget.take(&user(1_000, "a.test"), 1, NOW).unwrap_err();
        budget.take(&user(1_000, "b.test"), 10, NOW).unwrap();
    }

    #[test]
    fn a_full_memory_forgets_those_whose_budget_is_whole_again() {
        let budget = budget(1_000);
        budget
            .paid_back_ms
            .lock()
            .extend((0..MAX_KEYS as u64).map(|key| (key, NOW + 1)));
        budget.take(user_id!("@a:b"), 1, NOW).unwrap_err();
        budget.take(user_id!("@a:b"), 1, NOW + 1).unwrap();
        assert_eq!(budget.paid_back_ms.lock().len(), 2);
    }

    #[test]
    fn t23_who_has_no_account_is_counted_by_network() {
        let budget = budget(10);
        let from = |address: &str, count| budget.take_from(address.parse().unwrap(), count, NOW);
        from("192.0.2.1", 10).unwrap();
        from("::ffff:192.0.2.1", 1).unwrap_err();
        from("192.0.2.2", 10).unwrap();
        from("2001:db8:1:2::1", 10).unwrap();
        from("2001:db8:1:2:ffff::1", 1).unwrap_err();
        from("2001:db8:1:3::1", 10).unwrap();
    }
}
