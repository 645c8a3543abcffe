//! Sydent, as its package has it.

use std::path::Path;

use gatehouse_test_mailbox::Mailbox;

use super::{
    authority::Authority,
    partner::{Partner, free_port, python, repository},
};

/// How it is set up.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// With today's API, and the legacy one beside it.
    Ordinary,
    /// With the legacy API alone, as before there was another.
    Legacy,
    /// With terms that its users have to agree to.
    WithTerms,
}

/// Where the terms stand.
pub(super) const TERMS: &str = "https://id.example/terms";

/// A Sydent that sends its mail to the mailbox.
pub(super) struct Sydent {
    partner: Partner,
    /// Its name, as users give it: host and port.
    pub(super) name: String,
}

impl Sydent {
    pub(super) async fn start(dir: &Path, authority: &Authority, mailbox: &Mailbox, kind: Kind) -> Self {
        let dir = dir.join("sydent");
        std::fs::create_dir(&dir).unwrap();
        let port = free_port();
        let name = format!("localhost:{port}");
        let partners = repository().join("testing/partners");
        let config = dir.join("sydent.conf");
        let text = format!(
            "[general]
server.name = {name}
templates.path = {templates}
brand.default = plain
pidfile.path = {shown}/pid
ip.whitelist = 127.0.0.1, ::1
terms.path = {terms}

[db]
db.file = {shown}/sydent.db

[http]
clientapi.http.bind_address = 127.0.0.1
clientapi.http.port = {port}
client_http_base = http://{name}
federation.verifycerts = True

[email]
email.from = Sydent <sydent@id.example>
email.smtphost = 127.0.0.1
email.smtpport = {smtp}
email.hostname = localhost
email.ratelimit_sender.burst = 1000
",
            templates = partners.join("templates").display(),
            terms = terms(&dir, kind),
            shown = dir.display(),
            smtp = mailbox.port(),
        );
        std::fs::write(&config, text).unwrap();
        let mut command = python("sydent");
        command
            .current_dir(&dir)
            .arg(partners.join("run_sydent.py"))
            .env("SYDENT_CONF", &config)
            // The one authority that it believes.
            .env("SSL_CERT_FILE", &authority.ca);
        if kind == Kind::Legacy {
            command.arg("v1");
        }
        let mut sydent = Self {
            partner: Partner::start(&mut command, dir.join("log")),
            name,
        };
        let path = "/_matrix/identity/api/v1/pubkey/ed25519:0";
        sydent.partner.until_it_answers(&sydent.url(), path).await;
        sydent
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.name)
    }

    /// Waits until a homeserver has refused what it told of a bound address.
    pub(super) async fn until_refused(&self) {
        self.partner
            .until_it_says("Non-OK error code received (403)")
            .await;
    }
}

/// The file with the terms; nothing where there are none.
fn terms(dir: &Path, kind: Kind) -> String {
    if kind != Kind::WithTerms {
        return String::new();
    }
    let path = dir.join("terms.yaml");
    let english = format!("{{name: Terms, url: '{TERMS}'}}");
    let text = format!("master_version: '1'\ndocs: {{terms: {{version: '1', langs: {{en: {english}}}}}}}\n");
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}
