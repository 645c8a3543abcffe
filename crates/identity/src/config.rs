//! What an operator may set about the identity service.

use std::time::Duration;

use ruma::OwnedServerName;

use crate::{SealingKey, policy::Policy, rates::Rates};

/// Settings of the engine.
#[derive(Debug, Clone)]
pub struct Config {
    /// The name in its signatures: the host under which homeservers and clients know it.
    pub server_name: OwnedServerName,
    /// Where it is reached from outside, without a slash at the end, such as `https://id.example.org`. For the links
    /// in messages and for `key_validity_url`.
    pub base_url: String,
    /// What its users have to agree to.
    pub policies: Vec<Policy>,
    /// How addresses are looked up.
    pub lookup: LookupConfig,
    /// What its private keys are encrypted with where they are stored; `None`: they are stored as they are. With another
    /// one than before, a new signing key is made; the earlier ones still count.
    pub sealing_key: Option<SealingKey>,
    /// Where the pages are that invitations lead to, without a slash at the end.
    pub pages_base_url: String,
    /// Hosts, with their port when it is not the usual one, to which `next_link` may lead after a validation.
    pub next_link_hosts: Vec<String>,
    /// How often messages are sent to addresses.
    pub rates: Rates,
}

/// Settings of lookups (security.md T23).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LookupConfig {
    /// Addresses in one request.
    pub max_addresses: usize,
    /// Addresses a day that one account may look up; all of them at once, if it likes.
    pub addresses_per_day: u32,
    /// Whether addresses may be sent as they are (algorithm `none`): then the server learns all of a user's contacts.
    pub allow_unhashed: bool,
    /// How long a pepper is given out until the next is made.
    pub pepper_lifetime: Duration,
    /// How long the last pepper is still good after the next is given out: for those who have just asked for it.
    pub pepper_grace: Duration,
}

impl Default for LookupConfig {
    fn default() -> Self {
        Self {
            max_addresses: 1_000,
            // A large address book, several times a day; all numbers of a country take one account centuries.
            addresses_per_day: 20_000,
            allow_unhashed: false,
            pepper_lifetime: Duration::from_hours(7 * 24),
            pepper_grace: Duration::from_mins(10),
        }
    }
}

impl Config {
    /// The defaults: nothing to agree to.
    pub fn new(server_name: OwnedServerName, base_url: impl Into<String>) -> Self {
        let base_url = base_url.into();
        Self {
            server_name,
            pages_base_url: base_url.clone(),
            base_url,
            policies: Vec::new(),
            lookup: LookupConfig::default(),
            sealing_key: None,
            next_link_hosts: Vec::new(),
            rates: Rates::default(),
        }
    }
}
