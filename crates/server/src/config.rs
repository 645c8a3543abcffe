//! The configuration: every key of `gatehouse.toml`, with its default.
//!
//! Keys of features that are still to come are accepted and checked for their type, so that a configuration written
//! for a later version is understood; what they ask for starts with that feature.

mod environment;
mod identity_alone;
mod load;
mod nearest;
mod secret_file;

use std::{collections::BTreeMap, net::IpAddr, path::PathBuf};

use serde::Deserialize;

pub use self::load::{ConfigError, Overrides, load};

/// The whole configuration. Has no `Debug`, as it holds secrets.
#[derive(Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The name in every id; may carry a port. For an identity server alone: as whom it speaks in mails and on pages.
    pub server_name: String,
    /// Where clients reach the server; unset: from the first listener.
    pub public_baseurl: Option<String>,
    /// Embedded store, media, signing key.
    pub data_dir: PathBuf,
    /// One line: `ed25519 a_version <unpadded base64 seed>`; unset: `data_dir/signing.key`.
    pub signing_key_file: Option<PathBuf>,
    /// Where everything is stored.
    pub database: Database,
    /// Where the server listens; none: loopback, port 8008, or 8090 for an identity server alone.
    pub listener: Vec<ListenerConfig>,
    /// What is logged, and how.
    pub log: Log,
    /// Rooms.
    pub rooms: Rooms,
    /// Making accounts.
    pub registration: Registration,
    /// How often somebody may do what.
    pub rate_limits: RateLimits,
    /// Who looks after this server, for `/.well-known/matrix/support`.
    pub support: Support,
    /// The published rooms.
    pub room_directory: RoomDirectory,
    /// Traffic with other servers.
    pub federation: Federation,
    /// Every other request that the server makes.
    pub outbound_http: OutboundHttp,
    /// Which identity servers users may name.
    pub identity_servers: IdentityServers,
    /// The bundled identity server.
    pub identity_service: IdentityService,
    /// The pages that invitations by mail lead to.
    pub invitations: Invitations,
    /// Sending mail.
    pub email: Email,
    /// Sending text messages.
    pub sms: Sms,
    /// The content repository. To come.
    pub media: Media,
    /// Application services. To come.
    pub app_services: AppServices,
    /// Telling people from programs at registration.
    pub recaptcha: Recaptcha,
    /// Login by CAS. To come.
    pub cas: Cas,
    /// Calls. To come.
    pub turn: Turn,
    /// Metrics.
    pub metrics: toml::Table,
    /// Administration.
    pub admin: toml::Table,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            server_name: "localhost".to_owned(),
            public_baseurl: None,
            data_dir: PathBuf::from("gatehouse-data"),
            signing_key_file: None,
            database: Database::default(),
            listener: Vec::new(),
            log: Log::default(),
            rooms: Rooms::default(),
            registration: Registration::default(),
            rate_limits: RateLimits::default(),
            support: Support::default(),
            room_directory: RoomDirectory::default(),
            federation: Federation::default(),
            outbound_http: OutboundHttp::default(),
            identity_servers: IdentityServers::default(),
            identity_service: IdentityService::default(),
            invitations: Invitations::default(),
            email: Email::default(),
            sms: Sms::default(),
            media: Media::default(),
            app_services: AppServices::default(),
            recaptcha: Recaptcha::default(),
            cas: Cas::default(),
            turn: Turn::default(),
            metrics: toml::Table::new(),
            admin: toml::Table::new(),
        }
    }
}

macro_rules! table {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty = $default:expr,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $type,)*
        }
        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default,)* }
            }
        }
    };
}

table! {
    /// `[database]`
    Database {
        /// Empty: embedded, in `data_dir`; `postgres://…`: `PostgreSQL`.
        url: String = String::new(),
        /// A file that holds the URL, so that its password stands nowhere else.
        url_file: Option<PathBuf> = None,
        /// Connections to `PostgreSQL` for reads.
        pool_size: usize = 8,
        /// Memory for blocks of the embedded store, in MiB.
        cache_mib: u64 = 16,
    }
}

table! {
    /// One of `[[listener]]`
    ListenerConfig {
        /// An IP address, or `unix:/path`.
        address: String = "127.0.0.1".to_owned(),
        /// The port.
        port: u16 = 8008,
        /// The certificate chain, in PEM; with `tls_key` it makes the listener speak TLS.
        tls_cert: Option<PathBuf> = None,
        /// The key, in PEM.
        tls_key: Option<PathBuf> = None,
        /// Which APIs it serves.
        serve: Vec<Api> = vec![Api::Client, Api::Federation, Api::Media, Api::Identity, Api::Admin, Api::Metrics],
        /// Addresses of proxies whose `X-Forwarded-For` is believed.
        trusted_proxies: Vec<IpAddr> = Vec::new(),
    }
}

/// An API that a listener may serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Api {
    /// The client-server API.
    Client,
    /// The server-server API.
    Federation,
    /// The content repository. To come.
    Media,
    /// The identity service.
    Identity,
    /// Administration.
    Admin,
    /// Metrics.
    Metrics,
}

table! {
    /// `[log]`
    Log {
        /// `error`, `warn`, `info`, `debug`, `trace`, or a filter such as `info,gatehouse_rooms=debug`.
        level: String = "info".to_owned(),
        /// `human`, `json`, or `auto`: human on a terminal, JSON otherwise.
        format: LogFormat = LogFormat::Auto,
    }
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Human on a terminal, JSON otherwise.
    Auto,
    /// For people.
    Human,
    /// For machines.
    Json,
}

table! {
    /// `[rooms]`
    Rooms {
        /// The version of new rooms, and the default in `/capabilities`.
        default_version: String = "12".to_owned(),
        /// The version of rooms made through the legacy and r0 paths.
        legacy_default_version: String = "11".to_owned(),
        /// Rooms kept in memory.
        cached_rooms: usize = gatehouse_rooms::CACHED_ROOMS,
        /// Memory for parsed events, in MiB.
        event_cache_mib: u64 = gatehouse_rooms::EVENT_CACHE_BYTES >> 20,
    }
}

table! {
    /// `[registration]`
    Registration {
        /// Whether anybody may make an account. Unset: only when nothing but loopback reaches the server and there
        /// is no configuration file.
        open: Option<bool> = None,
        /// Whether anybody may become a guest.
        guests: bool = false,
        /// Enables `/_synapse/admin/v1/register`.
        shared_secret: Option<String> = None,
        /// A file that holds the secret.
        shared_secret_file: Option<PathBuf> = None,
        /// For tests only.
        cheap_password_hash: bool = false,
        /// Whether a registration token is needed.
        token_required: bool = false,
        /// Whether an e-mail address is needed.
        email_required: bool = false,
        /// Whether those who are invited by address may register, whatever else is needed.
        invited_addresses: bool = false,
        /// Whether nobody is told that an address has an account, or has none, before they have proven it: a mail to the
        /// address says so instead.
        hide_known_addresses: bool = true,
        /// What has to be agreed to. To come.
        terms: toml::Table = toml::Table::new(),
    }
}

table! {
    /// `[rate_limits]`
    RateLimits {
        /// Whether anything is limited.
        enabled: bool = true,
        /// Sending events, by user.
        message: Option<RateConfig> = None,
        /// Registering, by address.
        registration: Option<RateConfig> = None,
        /// Logging in, by address.
        login: Option<RateConfig> = None,
        /// Joining rooms that this server is in, by user.
        joins_local: Option<RateConfig> = None,
        /// Joining other rooms, by user.
        joins_remote: Option<RateConfig> = None,
        /// Joins to one room.
        joins_per_room: Option<RateConfig> = None,
        /// Invites to one room.
        invites_per_room: Option<RateConfig> = None,
        /// Invites that one user gets.
        invites_per_user: Option<RateConfig> = None,
        /// Invites that one user sends.
        invites_per_issuer: Option<RateConfig> = None,
        /// Invites by address, by user.
        third_party_invites: Option<RateConfig> = None,
        /// Proving addresses.
        threepid_validation: Option<RateConfig> = None,
        /// Requests of other servers.
        federation: Option<RateConfig> = None,
    }
}

/// One of `[rate_limits]`
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateConfig {
    /// In the long run.
    pub per_second: f64,
    /// At once.
    pub burst: u32,
}

table! {
    /// `[support]`
    Support {
        /// The people: `role`, `matrix_id`, `email_address`.
        contacts: Vec<ContactConfig> = Vec::new(),
        /// A page with help.
        page: Option<String> = None,
    }
}

/// One of `[[support.contacts]]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContactConfig {
    /// `m.role.admin`, `m.role.security` or another.
    pub role: String,
    /// Their user id.
    pub matrix_id: Option<String>,
    /// Their e-mail address.
    pub email_address: Option<String>,
}

table! {
    /// `[room_directory]`
    RoomDirectory {
        /// Whether the list can be read without an account.
        public_without_auth: bool = false,
        /// Whether anybody may publish a room that they have the power to; else administrators only.
        anyone_may_publish: bool = true,
    }
}

table! {
    /// `[federation]`
    Federation {
        /// Whether there is any.
        enabled: bool = true,
        /// Certificate authorities besides the system's.
        extra_ca_files: Vec<PathBuf> = Vec::new(),
        /// Addresses that are never contacted; unset: the private ranges.
        deny_ip_ranges: Option<Vec<String>> = None,
        /// Servers that are asked for others' keys.
        trusted_key_servers: Vec<String> = Vec::new(),
        /// Public keys in unpadded base64 that nobody is believed with, because their private halves are known.
        denied_keys: Vec<String> = Vec::new(),
        /// The keys that this server signed with before: `key_id`, `key`, `expired_ts`.
        old_keys: Vec<OldKey> = Vec::new(),
        /// Whether others may read the published rooms.
        public_rooms: bool = false,
        /// Only these servers, when any are named. `*.example.org` is every host below `example.org`.
        allow_servers: Vec<String> = Vec::new(),
        /// Never these servers.
        deny_servers: Vec<String> = Vec::new(),
    }
}

/// One of `[federation] old_keys`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OldKey {
    /// Its id, such as `ed25519:a_1`.
    pub key_id: String,
    /// The public half in unpadded base64.
    pub key: String,
    /// Since when it is not used any more, in milliseconds since 1970.
    pub expired_ts: u64,
}

table! {
    /// `[outbound_http]`
    OutboundHttp {
        /// Whether certificates are checked.
        verify_tls: bool = true,
        /// Addresses that are never contacted; unset: the private ranges.
        deny_ip_ranges: Option<Vec<String>> = None,
        /// Certificate authorities besides the system's.
        extra_ca_files: Vec<PathBuf> = Vec::new(),
    }
}

table! {
    /// `[identity_servers]`
    IdentityServers {
        /// Which may be named: host, with its port if it has one; `http://host:port` for one without TLS; `*` for any that
        /// is in no private network. Those named one by one may be in one.
        trusted: Vec<String> = vec!["*".to_owned()],
        /// Where the one is that clients are told of, such as `https://id.example.org`; unset: the bundled one.
        default: Option<String> = None,
    }
}

table! {
    /// `[identity_service]`
    IdentityService {
        /// Whether the bundled one runs in `gatehouse serve`. `gatehouse identity serve` runs it in any case.
        enabled: bool = true,
        /// Its name; unset: the host of its address.
        server_name: Option<String> = None,
        /// Where it is reached; unset: at `public_baseurl`.
        public_baseurl: Option<String> = None,
        /// Whether it also speaks the API of 2015, which knows no accounts.
        legacy_api: bool = true,
        /// Whether addresses may be looked up unhashed, so that it learns who is in somebody's address book.
        unhashed_lookups: bool = false,
        /// Addresses in one lookup.
        max_lookup_addresses: usize = 1_000,
        /// Hosts to which a confirmed address may lead on (`next_link`).
        next_link_hosts: Vec<String> = Vec::new(),
        /// What its users have to agree to.
        policies: Vec<PolicyConfig> = Vec::new(),
    }
}

/// One of `[[identity_service.policies]]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyConfig {
    /// What it is, such as `privacy_policy`.
    pub id: String,
    /// Whoever agreed to another version has to agree again.
    pub version: String,
    /// What people read as its name.
    pub name: String,
    /// Where it stands.
    pub url: String,
    /// Its language.
    #[serde(default = "english")]
    pub language: String,
}

fn english() -> String {
    "en".to_owned()
}

table! {
    /// `[invitations]`
    Invitations {
        /// Clients that the page offers to open the room in: `name`, and `url` with `{room}` and `{via}` in it.
        clients: Vec<InvitationClient> = Vec::new(),
    }
}

/// One of `[[invitations.clients]]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InvitationClient {
    /// As people know it.
    pub name: String,
    /// Where it opens a room: `{room}` stands for the room's id, `{via}` for this server.
    pub url: String,
}

table! {
    /// `[email]`
    Email {
        /// The mail server; unset: no mail is sent.
        smtp_host: Option<String> = None,
        /// Its port; unset: 465 with `tls`, 587 otherwise.
        smtp_port: Option<u16> = None,
        /// `starttls`, `tls`, or `none` for a server on the same machine.
        smtp_tls: SmtpTls = SmtpTls::Starttls,
        /// Who logs in there.
        smtp_user: Option<String> = None,
        /// With which password.
        smtp_password: Option<String> = None,
        /// A file that holds the password.
        smtp_password_file: Option<PathBuf> = None,
        /// The sender: an address, or `Name <address>`.
        from: Option<String> = None,
        /// Certificate authorities besides the system's.
        extra_ca_files: Vec<PathBuf> = Vec::new(),
        /// A folder with templates that stand before ours.
        templates: Option<PathBuf> = None,
    }
}

/// How the way to the mail server is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SmtpTls {
    /// Not at all.
    None,
    /// After the first words; never without.
    Starttls,
    /// From the first byte.
    Tls,
}

table! {
    /// `[sms]`
    Sms {
        /// The gateway, to which messages are posted; unset: no text messages are sent.
        url: Option<String> = None,
        /// Whether the body is `json` or a `form`.
        format: SmsFormat = SmsFormat::Json,
        /// What is posted: `{number}`, `{text}` and `{id}` stand for the message; unset: `to`, `text` and `id`.
        body: toml::Table = toml::Table::new(),
        /// Headers that are sent with it.
        headers: BTreeMap<String, String> = BTreeMap::new(),
        /// Sent to it as a bearer token.
        token: Option<String> = None,
        /// A file that holds the token.
        token_file: Option<PathBuf> = None,
    }
}

/// How a gateway reads text messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SmsFormat {
    /// JSON.
    Json,
    /// Fields of a form.
    Form,
}

table! {
    /// `[media]`
    Media {
        /// In bytes.
        max_upload_size: u64 = 50 << 20,
        /// Whether links are looked at.
        url_previews: bool = false,
        /// `files`
        store: String = "files".to_owned(),
    }
}

table! {
    /// `[app_services]`
    AppServices {
        /// Registration files, in YAML.
        registration_files: Vec<PathBuf> = Vec::new(),
    }
}

table! {
    /// `[recaptcha]`
    Recaptcha {
        /// Where answers are checked, such as `https://www.google.com/recaptcha/api/siteverify`. It learns from which
        /// address somebody registers.
        verify_url: Option<String> = None,
        /// The key that clients show.
        public_key: Option<String> = None,
        /// The key that the server shows.
        private_key: Option<String> = None,
        /// A file that holds the private key.
        private_key_file: Option<PathBuf> = None,
        /// Whether it is needed to register. Otherwise it may be answered, and nobody is asked to.
        required: bool = false,
    }
}

table! {
    /// `[cas]`
    Cas {
        /// The login server.
        server_url: Option<String> = None,
    }
}

table! {
    /// `[turn]`
    Turn {
        /// Where the relays are.
        uris: Vec<String> = Vec::new(),
        /// What they share with us.
        shared_secret: Option<String> = None,
        /// A file that holds the secret.
        shared_secret_file: Option<PathBuf> = None,
        /// How long a login lasts, in seconds.
        lifetime: u64 = 86_400,
    }
}

impl Config {
    /// Where it listens: what is configured, or loopback alone.
    pub fn listeners(&self) -> Vec<ListenerConfig> {
        if self.listener.is_empty() {
            vec![ListenerConfig::default()]
        } else {
            self.listener.clone()
        }
    }

    /// Where clients reach it: as configured, or at the first listener.
    pub fn baseurl(&self) -> String {
        if let Some(public) = &self.public_baseurl {
            return public.clone();
        }
        let listener = self.listeners().into_iter().next().unwrap_or_default();
        let scheme = if listener.tls_cert.is_some() {
            "https"
        } else {
            "http"
        };
        format!("{scheme}://{}:{}/", listener.address, listener.port)
    }

    /// Whether only this machine can reach it.
    pub fn is_loopback_only(&self) -> bool {
        self.listeners().iter().all(|listener| {
            listener.address.starts_with("unix:")
                || listener
                    .address
                    .parse::<IpAddr>()
                    .is_ok_and(|address| address.is_loopback())
        })
    }

    /// The signing key's file.
    pub fn signing_key_path(&self) -> PathBuf {
        self.signing_key_file
            .clone()
            .unwrap_or_else(|| self.data_dir.join("signing.key"))
    }
}

impl RateLimits {
    /// What is configured, by key.
    pub fn by_key(&self) -> BTreeMap<&'static str, RateConfig> {
        let all = [
            ("message", self.message),
            ("registration", self.registration),
            ("login", self.login),
            ("joins_local", self.joins_local),
            ("joins_remote", self.joins_remote),
            ("joins_per_room", self.joins_per_room),
            ("invites_per_room", self.invites_per_room),
            ("invites_per_user", self.invites_per_user),
            ("invites_per_issuer", self.invites_per_issuer),
            ("third_party_invites", self.third_party_invites),
            ("threepid_validation", self.threepid_validation),
            ("federation", self.federation),
        ];
        all.into_iter()
            .filter_map(|(key, rate)| Some((key, rate?)))
            .collect()
    }
}
