//! Our own program, at an address that partners can reach.

use std::path::Path;

use super::{authority::Authority, partner::free_port};
use crate::process::{Server, program};

/// Gatehouse, listening with TLS under its name for other servers, and without for the people of a test.
pub(super) struct Gatehouse {
    server: Server,
    /// Its name: host and port.
    pub(super) name: String,
}

/// What it is run as.
#[derive(Clone, Copy)]
pub(super) enum Role {
    /// A homeserver; with an identity service, unless the settings say otherwise.
    Homeserver,
    /// An identity server and nothing else.
    IdentityServer,
}

impl Role {
    fn command(self) -> &'static [&'static str] {
        match self {
            Self::Homeserver => &["serve"],
            Self::IdentityServer => &["identity", "serve"],
        }
    }
}

impl Gatehouse {
    /// With these settings beside those that every partner's Gatehouse has.
    pub(super) fn start(dir: &Path, authority: &Authority, role: Role, settings: &str) -> Self {
        let port = free_port();
        let name = format!("localhost:{port}");
        Self::start_named(dir, authority, role, &name, port, settings)
    }

    /// As [`Self::start`], under this name, at this port of all addresses.
    pub(super) fn start_named(
        dir: &Path,
        authority: &Authority,
        role: Role,
        name: &str,
        port: u16,
        settings: &str,
    ) -> Self {
        let dir = dir.join("gatehouse");
        std::fs::create_dir_all(&dir).unwrap();
        let config = dir.join("gatehouse.toml");
        let (ca, certificate, key) = (&authority.ca, &authority.certificate, &authority.key);
        let text = format!(
            "server_name = {name:?}
public_baseurl = \"https://{name}\"
data_dir = {:?}

[[listener]]
port = 0

[[listener]]
port = {port}
tls_cert = {certificate:?}
tls_key = {key:?}

[registration]
open = true
cheap_password_hash = true

[rate_limits]
enabled = false

[federation]
public_rooms = true
extra_ca_files = [{ca:?}]
deny_ip_ranges = []

[outbound_http]
extra_ca_files = [{ca:?}]
deny_ip_ranges = []

{settings}
",
            dir.join("data")
        );
        std::fs::write(&config, text).unwrap();
        let mut command = program(&dir);
        command.args(role.command()).arg("--config").arg(&config);
        let server = Server::run(&mut command, &dir);
        Self {
            server,
            name: name.to_owned(),
        }
    }

    /// Where people reach it, without TLS.
    pub(super) fn url(&self) -> &str {
        &self.server.url
    }

    /// Everything that it logged.
    pub(super) fn log(&self) -> String {
        self.server.log()
    }
}
