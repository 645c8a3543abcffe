//! Synapse, as its package has it.

use std::path::Path;

use super::{
    authority::Authority,
    partner::{Partner, free_port, python},
};

/// A Synapse, listening with TLS under its name for other servers, and without for the people of a test.
pub(super) struct Synapse {
    partner: Partner,
    /// Its name: host and port.
    pub(super) name: String,
    /// Where people reach it, without TLS.
    pub(super) url: String,
}

/// A key like any other, so that Synapse does not have to be started a first time to make one.
const SIGNING_KEY: &str = "ed25519 a_test AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA\n";

impl Synapse {
    /// With these settings beside those that every Synapse here has.
    pub(super) async fn start(dir: &Path, authority: &Authority, settings: &str) -> Self {
        let secure = free_port();
        Self::start_behind(dir, authority, secure, secure, settings).await
    }

    /// As [`Self::start`], at this port for other servers, which know it by another one.
    pub(super) async fn start_behind(
        dir: &Path,
        authority: &Authority,
        known: u16,
        secure: u16,
        settings: &str,
    ) -> Self {
        let dir = dir.join("synapse");
        std::fs::create_dir(&dir).unwrap();
        let plain = free_port();
        let name = format!("localhost:{known}");
        let log = dir.join("log");
        let config = dir.join("homeserver.yaml");
        std::fs::write(dir.join("signing.key"), SIGNING_KEY).unwrap();
        std::fs::write(dir.join("log.yaml"), LOGGING).unwrap();
        let text = configuration(&dir, authority, &name, [plain, secure], settings);
        std::fs::write(&config, text).unwrap();
        let mut command = python("synapse");
        command
            .current_dir(&dir)
            .args(["-m", "synapse.app.homeserver", "--config-path"])
            .arg(&config)
            // The one authority that it believes.
            .env("SSL_CERT_FILE", &authority.ca);
        let mut partner = Partner::start(&mut command, log);
        let url = format!("http://127.0.0.1:{plain}");
        partner.until_it_answers(&url, "/_matrix/client/versions").await;
        Self { partner, name, url }
    }

    /// Everything that it logged.
    pub(super) fn log(&self) -> String {
        self.partner.log()
    }

    /// Waits until it has refused what it was told of a bound address.
    pub(super) async fn until_it_refuses(&self) {
        let answered = "403 \"POST /_matrix/federation/v1/3pid/onbind";
        self.partner.until_it_says(answered).await;
    }
}

const LOGGING: &str = "version: 1
formatters: {levels: {format: '%(asctime)s %(levelname)s %(name)s %(request)s %(message)s'}}
filters: {context: {(): synapse.logging.context.LoggingContextFilter}}
handlers: {console: {class: logging.StreamHandler, formatter: levels, filters: [context]}}
root: {level: WARNING, handlers: [console]}
loggers: {synapse.access: {level: INFO}}
";

fn configuration(
    dir: &Path,
    authority: &Authority,
    name: &str,
    [plain, secure]: [u16; 2],
    settings: &str,
) -> String {
    let unlimited = "{per_second: 1000000, burst_count: 1000000}";
    let shown = dir.display();
    format!(
        "server_name: '{name}'
public_baseurl: 'https://{name}/'
pid_file: {shown}/pid
listeners:
  - {{port: {plain}, type: http, tls: false, bind_addresses: ['127.0.0.1'], resources: [{{names: [client]}}]}}
  - {{port: {secure}, type: http, tls: true, bind_addresses: ['127.0.0.1'], resources: [{{names: [client, federation]}}]}}
tls_certificate_path: {certificate}
tls_private_key_path: {key}
federation_custom_ca_list: [{ca}]
database: {{name: sqlite3, args: {{database: ':memory:'}}}}
log_config: {shown}/log.yaml
media_store_path: {shown}/media
signing_key_path: {shown}/signing.key
report_stats: false
enable_registration: true
enable_registration_without_verification: true
bcrypt_rounds: 4
trusted_key_servers: []
ip_range_blacklist: []
presence: {{enabled: false}}
enable_search: false
caches: {{sync_response_cache_duration: 0s}}
rc_message: {unlimited}
rc_registration: {unlimited}
rc_joins: {{local: {unlimited}, remote: {unlimited}}}
rc_joins_per_room: {unlimited}
rc_invites: {{per_room: {unlimited}, per_user: {unlimited}, per_issuer: {unlimited}}}
rc_third_party_invite: {unlimited}
rc_room_creation: {unlimited}
rc_profile: {unlimited}
rc_key_requests: {unlimited}
rc_federation: {{window_size: 1000, sleep_limit: 1000000, sleep_delay: 1, reject_limit: 1000000, concurrent: 100}}
rc_login: {{address: {unlimited}, account: {unlimited}, failed_attempts: {unlimited}}}
allow_public_rooms_over_federation: true
room_list_publication_rules: [{{action: allow}}]
federation: {{destination_min_retry_interval: 1s, destination_max_retry_interval: 2s}}
{settings}
",
        certificate = authority.certificate.display(),
        key = authority.key.display(),
        ca = authority.ca.display(),
    )
}
