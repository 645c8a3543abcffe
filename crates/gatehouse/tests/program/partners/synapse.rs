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
    /// One that has phone numbers proven by the identity server of this name.
    pub(super) async fn start(dir: &Path, authority: &Authority, id_server: &str) -> Self {
        let dir = dir.join("synapse");
        std::fs::create_dir(&dir).unwrap();
        let [plain, secure] = [free_port(), free_port()];
        let name = format!("localhost:{secure}");
        let log = dir.join("log");
        let config = dir.join("homeserver.yaml");
        std::fs::write(dir.join("signing.key"), SIGNING_KEY).unwrap();
        std::fs::write(dir.join("log.yaml"), LOGGING).unwrap();
        let text = configuration(&dir, authority, &name, [plain, secure], id_server);
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

    /// Waits until it has refused what it was told of a bound address.
    pub(super) async fn until_it_refuses(&self) {
        let answered = "403 \"POST /_matrix/federation/v1/3pid/onbind";
        self.partner.until_it_says(answered).await;
    }
}

const LOGGING: &str = "version: 1
handlers: {console: {class: logging.StreamHandler}}
root: {level: INFO, handlers: [console]}
";

fn configuration(
    dir: &Path,
    authority: &Authority,
    name: &str,
    [plain, secure]: [u16; 2],
    id_server: &str,
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
database: {{name: sqlite3, args: {{database: {shown}/homeserver.db}}}}
log_config: {shown}/log.yaml
media_store_path: {shown}/media
signing_key_path: {shown}/signing.key
report_stats: false
enable_registration: true
enable_registration_without_verification: true
bcrypt_rounds: 4
trusted_key_servers: []
ip_range_whitelist: ['127.0.0.1', '::1']
presence: {{enabled: false}}
account_threepid_delegates: {{msisdn: 'https://{id_server}'}}
rc_message: {unlimited}
rc_registration: {unlimited}
rc_joins: {{local: {unlimited}, remote: {unlimited}}}
rc_third_party_invite: {unlimited}
rc_login: {{address: {unlimited}, account: {unlimited}, failed_attempts: {unlimited}}}
",
        certificate = authority.certificate.display(),
        key = authority.key.display(),
        ca = authority.ca.display(),
    )
}
