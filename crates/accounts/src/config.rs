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
    /// Where the links in mails lead: this server's public address, such as `https://matrix.example.org`.
    pub public_baseurl: String,
    /// Hosts, with their ports if they have any, to which whoever has proven an address may be sent on.
    pub next_link_hosts: Vec<String>,
    /// Whether nobody is told, before they have proven it, that an address has an account or has none: a mail to the
    /// address says so instead (security.md T26).
    pub hide_known_addresses: bool,
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
    /// Whoever registers has to prove an e-mail address.
    pub email_required: bool,
    /// Whoever was invited by an address may register with it, whatever else is needed.
    pub invited_addresses: bool,
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
            public_baseurl: "http://127.0.0.1:8008".to_owned(),
            next_link_hosts: Vec::new(),
            hide_known_addresses: true,
        }
    }
}
