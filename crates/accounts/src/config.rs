//! What an operator may set about accounts.

use ruma::OwnedServerName;

use crate::Secret;

/// Settings of the engine. Secrets have no default (security.md E09).
#[derive(Debug, Clone)]
pub struct Config {
    /// The name in every user id that belongs here.
    pub server_name: OwnedServerName,
    /// Who may make an account.
    pub registration: Registration,
    /// How many passwords may be hashed at a time; each takes 19 MiB and a core.
    pub hashing_threads: usize,
    /// How many devices a user may have.
    pub max_devices: usize,
}

/// `[registration]` of the configuration.
#[derive(Debug, Clone, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "these are the keys of the configuration"
)]
pub struct Registration {
    /// Anybody may register; `m.login.dummy` alone is a flow.
    pub open: bool,
    /// Anybody may become a guest.
    pub guests: bool,
    /// Whoever has a registration token may register, and nobody without one.
    pub token_required: bool,
    /// Enables `/_synapse/admin/v1/register`.
    pub shared_secret: Option<Secret>,
    /// Hash passwords with next to no work. For tests only.
    pub cheap_password_hash: bool,
}

impl Config {
    /// The defaults: registration closed, one hashing thread a core.
    pub fn new(server_name: OwnedServerName) -> Self {
        Self {
            server_name,
            registration: Registration::default(),
            hashing_threads: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            max_devices: 100,
        }
    }
}
