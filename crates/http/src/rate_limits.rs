//! How often somebody may do what.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
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
    /// Invites of one address, by address.
    ThirdPartyInvitesPerAddress,
    /// Invites by address into one room, by room.
    ThirdPartyInvitesPerRoom,
    /// Proving addresses, by e-mail address or phone number.
    ThreepidValidation,
    /// Proving addresses, by the address of whoever asks.
    ThreepidValidationPerClient,
    /// Requests of other servers, by server.
    Federation,
    /// Invites of users of this server, by the server that they come from.
    InvitesPerServer,
    /// Looking at profiles that other servers have to be asked for, by the address of whoever looks.
    RemoteProfiles,
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
    /// Every limit that can be configured, with its key; sub-limits, such as those of `login`, have none of their own.
    pub const ALL: [(Self, &'static str); 17] = [
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
        (Self::ThirdPartyInvitesPerAddress, "third_party_invites"),
        (Self::ThirdPartyInvitesPerRoom, "third_party_invites"),
        (Self::ThreepidValidation, "threepid_validation"),
        (Self::ThreepidValidationPerClient, "threepid_validation"),
        (Self::Federation, "federation"),
    ];

    /// The rate unless configured otherwise.
    pub const fn default_rate(self) -> Rate {
        let (per_second, burst) = match self {
            Self::Message | Self::JoinsPerRoom => (5.0, 50),
            Self::Registration => (0.1, 5),
            Self::Login => (0.1, 20),
            Self::LoginAccount | Self::ThirdPartyInvitesPerRoom | Self::ThreepidValidationPerClient => {
                (0.02, 10)
            }
            Self::LoginFailed => (0.05, 5),
            Self::JoinsLocal => (0.2, 20),
            Self::JoinsRemote => (0.05, 10),
            Self::InvitesPerRoom => (0.5, 50),
            Self::InvitesPerUser => (0.01, 10),
            Self::InvitesPerIssuer => (0.3, 20),
            Self::ThirdPartyInvites => (0.01, 5),
            Self::ThirdPartyInvitesPerAddress => (0.002, 3),
            Self::ThreepidValidation => (0.003, 5),
            Self::Federation => (50.0, 200),
            // Large servers invite much, and strangers more.
            Self::InvitesPerServer => (1.0, 100),
            Self::RemoteProfiles => (5.0, 100),
        };
        Rate { per_second, burst }
    }
}

/// Keys remembered at most (limits, section 7). As many as a table of 2^20 places takes: 33 MiB.
const MAX_KEYS: usize = 900_000;
/// How often idle keys are looked for at most, when there are so many: it takes some milliseconds.
const FORGET_EVERY: Duration = Duration::from_secs(1);

/// Decides by the generic cell rate algorithm: for each key, the time at which everything used so far is paid back.
#[derive(Debug)]
pub struct RateLimits {
    config: RateLimitConfig,
    /// Keys come from clients and may be long, so that only a hash is kept; its secret is new in each process.
    hasher: RandomState,
    buckets: Mutex<Buckets>,
}

#[derive(Debug, Default)]
struct Buckets {
    paid_back: HashMap<(Limit, u64), Instant>,
    forgot: Option<Instant>,
}

impl Buckets {
    /// Whether there is room for one more key, after idle ones are forgotten.
    fn has_room(&mut self, now: Instant) -> bool {
        let due = self
            .forgot
            .is_none_or(|at| now.saturating_duration_since(at) >= FORGET_EVERY);
        if self.paid_back.len() >= MAX_KEYS && due {
            self.forgot = Some(now);
            self.paid_back.retain(|_, at| *at > now);
        }
        self.paid_back.len() < MAX_KEYS
    }
}

impl RateLimits {
    /// With these rates.
    pub fn new(config: RateLimitConfig) -> Self {
        Self {
            config,
            hasher: RandomState::new(),
            buckets: Mutex::default(),
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
        let most = self.rate(limit).burst.max(1);
        self.take(limit, key, count, Instant::now(), Use::Count)
            .map_err(|wait_ms| match ApiError::limit_exceeded(wait_ms) {
                // No waiting helps.
                refused if count > most => refused.saying(format!(
                    "This asks for {count} at once, and {most} are allowed. Ask for fewer at a time."
                )),
                refused => refused,
            })
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

    fn rate(&self, limit: Limit) -> Rate {
        let configured = self.config.rates.get(&limit).copied();
        configured.unwrap_or_else(|| limit.default_rate())
    }

    /// `Err`: in so many milliseconds it will be let through.
    fn take(&self, limit: Limit, key: &str, count: u32, now: Instant, usage: Use) -> Result<(), u64> {
        if !self.config.enabled || count == 0 {
            return Ok(());
        }
        let rate = self.rate(limit);
        let cost = Duration::from_secs_f64(1.0 / rate.per_second.max(f64::MIN_POSITIVE).max(1e-9));
        let allowance = cost.saturating_mul(rate.burst.max(1));
        let key = (limit, self.hasher.hash_one(key));
        let mut buckets = self.buckets.lock();
        let known = buckets.paid_back.get(&key).copied();
        let base = known.filter(|at| *at > now).unwrap_or(now);
        let after = base + cost.saturating_mul(count);
        let excess = after.saturating_duration_since(now).saturating_sub(allowance);
        if excess > Duration::ZERO {
            return Err(u64::try_from(excess.as_micros().div_ceil(1_000))
                .unwrap_or(u64::MAX)
                .max(1));
        }
        // A full table refuses nobody: it is bounded memory that matters, and it empties as time goes by.
        if usage == Use::Count && (known.is_some() || buckets.has_room(now)) {
            buckets.paid_back.insert(key, after);
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
pub fn address_key(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            if let Some(mapped) = address.to_ipv4_mapped() {
                return mapped.to_string();
            }
            let [a, b, c, d, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
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
    fn keys_that_are_idle_make_room_for_others() {
        let rate = Rate {
            per_second: 1_000.0,
            burst: 1,
        };
        let limits = RateLimits::new(RateLimitConfig {
            enabled: true,
            rates: HashMap::from([(Limit::Message, rate)]),
        });
        let start = Instant::now();
        let take = |key: &str, at: Instant| limits.take(Limit::Message, key, 1, at, Use::Count);
        for number in 0..MAX_KEYS {
            take(&number.to_string(), start).expect("a key of its own");
        }
        assert_eq!(limits.buckets.lock().paid_back.len(), MAX_KEYS);
        take("one more", start).expect("a full table refuses nobody");
        take("0", start).expect_err("and forgets nobody who is busy");
        let later = start + FORGET_EVERY;
        take("one more", later).expect("the first");
        take("one more", later).expect_err("was counted");
        assert_eq!(limits.buckets.lock().paid_back.len(), 1);
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
