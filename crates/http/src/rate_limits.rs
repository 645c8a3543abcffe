//! How often somebody may do what.

use std::{
    collections::HashMap,
    net::IpAddr,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use crate::ApiError;

/// The keys of `[rate_limits]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Limit {
    /// Sending events, by user.
    Message,
    /// Registering, by address.
    Registration,
    /// Logging in, by address.
    Login,
    /// Logging in to one account, by account.
    LoginAccount,
    /// Wrong passwords, by account and by address.
    LoginFailed,
    /// Joining rooms that this server is in, by user.
    JoinsLocal,
    /// Joining other rooms, by user.
    JoinsRemote,
    /// Joins to one room, by room.
    JoinsPerRoom,
    /// Invites to one room, by room.
    InvitesPerRoom,
    /// Invites that one user gets, by user.
    InvitesPerUser,
    /// Invites that one user sends, by user.
    InvitesPerIssuer,
    /// Invites by address, by user.
    ThirdPartyInvites,
    /// Proving addresses, by address.
    ThreepidValidation,
    /// Requests of other servers, by server.
    Federation,
}

/// A rate: so many at once, and so many a second in the long run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// In the long run.
    pub per_second: f64,
    /// At once.
    pub burst: u32,
}

/// The rates in force. `Default` has the project's figures (limits, "Rate limits").
#[derive(Debug, Clone, PartialEq)]
pub struct RateLimitConfig {
    /// Whether anything is limited at all.
    pub enabled: bool,
    /// What differs from [`Limit::default_rate`].
    pub rates: HashMap<Limit, Rate>,
}

impl Default for RateLimitConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            rates: HashMap::new(),
        }
    }
}

impl Limit {
    /// Every limit, with its key in the configuration; the sub-limits of `login` have none of their own.
    pub const ALL: [(Self, &'static str); 14] = [
        (Self::Message, "message"),
        (Self::Registration, "registration"),
        (Self::Login, "login"),
        (Self::LoginAccount, "login"),
        (Self::LoginFailed, "login"),
        (Self::JoinsLocal, "joins_local"),
        (Self::JoinsRemote, "joins_remote"),
        (Self::JoinsPerRoom, "joins_per_room"),
        (Self::InvitesPerRoom, "invites_per_room"),
        (Self::InvitesPerUser, "invites_per_user"),
        (Self::InvitesPerIssuer, "invites_per_issuer"),
        (Self::ThirdPartyInvites, "third_party_invites"),
        (Self::ThreepidValidation, "threepid_validation"),
        (Self::Federation, "federation"),
    ];

    /// The rate unless configured otherwise.
    pub const fn default_rate(self) -> Rate {
        let (per_second, burst) = match self {
            Self::Message => (5.0, 50),
            Self::Registration => (0.1, 5),
            Self::Login => (0.1, 20),
            Self::LoginAccount => (0.02, 10),
            Self::LoginFailed => (0.05, 5),
            Self::JoinsLocal => (0.2, 20),
            Self::JoinsRemote => (0.05, 10),
            Self::JoinsPerRoom => (5.0, 50),
            Self::InvitesPerRoom => (0.5, 50),
            Self::InvitesPerUser => (0.01, 10),
            Self::InvitesPerIssuer => (0.3, 20),
            Self::ThirdPartyInvites => (0.01, 5),
            Self::ThreepidValidation => (0.003, 5),
            Self::Federation => (50.0, 200),
        };
        Rate { per_second, burst }
    }
}

/// Keys remembered at most (limits, section 7). When there are more, those that are idle are forgotten first.
const MAX_KEYS: usize = 200_000;

/// Decides by the generic cell rate algorithm: for each key, the time at which everything used so far is paid back.
#[derive(Debug)]
pub struct RateLimits {
    config: RateLimitConfig,
    paid_back: Mutex<HashMap<(Limit, String), Instant>>,
}

impl RateLimits {
    /// With these rates.
    pub fn new(config: RateLimitConfig) -> Self {
        Self {
            config,
            paid_back: Mutex::default(),
        }
    }

    /// Counts one; 429 when it is one too many.
    pub fn check(&self, limit: Limit, key: &str) -> Result<(), ApiError> {
        self.check_many(limit, key, 1)
    }

    /// As [`Self::check`], by address: a network of 64 bits counts as one for IPv6.
    pub fn check_address(&self, limit: Limit, address: IpAddr) -> Result<(), ApiError> {
        self.check(limit, &address_key(address))
    }

    /// Counts several or none of them; 429 when that is too many.
    pub fn check_many(&self, limit: Limit, key: &str, count: u32) -> Result<(), ApiError> {
        self.take(limit, key, count, Instant::now(), Use::Count)
            .map_err(ApiError::limit_exceeded)
    }

    /// As [`Self::check`], without counting.
    pub fn peek(&self, limit: Limit, key: &str) -> Result<(), ApiError> {
        self.take(limit, key, 1, Instant::now(), Use::Look)
            .map_err(ApiError::limit_exceeded)
    }

    /// As [`Self::check_address`], without counting.
    pub fn peek_address(&self, limit: Limit, address: IpAddr) -> Result<(), ApiError> {
        self.peek(limit, &address_key(address))
    }

    /// `Err`: in so many milliseconds it will be let through.
    fn take(&self, limit: Limit, key: &str, count: u32, now: Instant, usage: Use) -> Result<(), u64> {
        if !self.config.enabled || count == 0 {
            return Ok(());
        }
        let rate = self
            .config
            .rates
            .get(&limit)
            .copied()
            .unwrap_or_else(|| limit.default_rate());
        let cost = Duration::from_secs_f64(1.0 / rate.per_second.max(f64::MIN_POSITIVE).max(1e-9));
        let allowance = cost.saturating_mul(rate.burst.max(1));
        let mut paid_back = self.paid_back.lock();
        if paid_back.len() >= MAX_KEYS {
            paid_back.retain(|_, at| *at > now);
        }
        let key = (limit, key.to_owned());
        let base = paid_back.get(&key).copied().filter(|at| *at > now).unwrap_or(now);
        let after = base + cost.saturating_mul(count);
        let excess = after.saturating_duration_since(now).saturating_sub(allowance);
        if excess > Duration::ZERO {
            return Err(u64::try_from(excess.as_micros().div_ceil(1_000))
                .unwrap_or(u64::MAX)
                .max(1));
        }
        // A full table refuses nobody: it is bounded memory that matters, and it empties as time goes by.
        if usage == Use::Count && (paid_back.len() < MAX_KEYS || paid_back.contains_key(&key)) {
            paid_back.insert(key, after);
        }
        Ok(())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    Count,
    Look,
}

/// Who counts as one at this address.
fn address_key(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => match address.to_ipv4_mapped() {
            Some(mapped) => mapped.to_string(),
            None => {
                let [a, b, c, d, ..] = address.segments();
                format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_who_waits_as_long_as_told_is_let_through_and_not_before() {
        for (limit, _) in Limit::ALL {
            let limits = RateLimits::new(RateLimitConfig::default());
            let start = Instant::now();
            let take = |at: Instant| limits.take(limit, "key", 1, at, Use::Count);
            for _ in 0..limit.default_rate().burst {
                take(start).expect("within the burst");
            }
            let wait_ms = take(start).expect_err("one too many");
            let early = start + Duration::from_millis(wait_ms - 1);
            assert!(
                wait_ms == 1 || take(early).is_err(),
                "{limit:?} let through early"
            );
            take(start + Duration::from_millis(wait_ms)).expect("waited long enough");
            limits
                .take(limit, "other", 1, start, Use::Count)
                .expect("keys are apart");
        }
    }

    #[test]
    fn several_are_counted_as_a_whole_or_not_at_all() {
        let limits = RateLimits::new(RateLimitConfig::default());
        let start = Instant::now();
        let burst = Limit::InvitesPerIssuer.default_rate().burst;
        limits
            .take(Limit::InvitesPerIssuer, "a", burst + 1, start, Use::Count)
            .expect_err("too many at once");
        limits
            .take(Limit::InvitesPerIssuer, "a", burst, start, Use::Count)
            .expect("the refusal cost nothing");
    }

    #[test]
    fn nothing_is_limited_when_limits_are_off() {
        let limits = RateLimits::new(RateLimitConfig {
            enabled: false,
            ..RateLimitConfig::default()
        });
        for _ in 0..1_000 {
            limits.check(Limit::Login, "a").expect("limits are off");
        }
    }

    #[test]
    fn neighbours_in_an_ipv6_network_count_as_one() {
        let key = |text: &str| address_key(text.parse().unwrap());
        assert_eq!(key("2001:db8:1:2::1"), key("2001:db8:1:2:ffff::9"));
        assert_ne!(key("2001:db8:1:2::1"), key("2001:db8:1:3::1"));
        assert_eq!(key("::ffff:1.2.3.4"), key("1.2.3.4"));
    }
}
