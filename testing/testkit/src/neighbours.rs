//! Servers that know each other: each on a port of its own with TLS, under certificates of one throw-away authority.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
};

use anyhow::Result;
use gatehouse_server::{
    Config,
    config::{Api, ListenerConfig},
};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tempfile::TempDir;

use crate::TestServer;

/// Where neighbours live: the authority whose certificates they have.
pub struct Neighbours {
    issuer: Issuer<'static, KeyPair>,
    dir: TempDir,
}

impl Neighbours {
    /// A neighbourhood without servers.
    ///
    /// # Panics
    ///
    /// When no certificate can be made.
    pub fn new() -> Self {
        #[expect(clippy::expect_used, reason = "a test that has no authority has failed")]
        Self::make().expect("a certificate authority")
    }

    fn make() -> Result<Self> {
        let dir = TempDir::new()?;
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate()?;
        fs::write(dir.path().join("ca.pem"), params.self_signed(&key)?.pem())?;
        Ok(Self {
            issuer: Issuer::new(params, key),
            dir,
        })
    }

    /// The authority's certificate.
    pub fn ca_file(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    /// A server under the name of its address and port.
    ///
    /// # Panics
    ///
    /// When it does not start.
    pub async fn server(&self) -> TestServer {
        self.configured(|_| {}).await
    }

    /// As [`Self::server`], with settings of the test's own.
    ///
    /// # Panics
    ///
    /// When it does not start.
    pub async fn configured(&self, change: impl FnOnce(&mut Config)) -> TestServer {
        #[expect(clippy::expect_used, reason = "a test that has no server has failed")]
        let name = free_name().expect("a free port");
        self.named(&name, change).await
    }

    /// As [`Self::configured`], under a name of one's own: an address and a port.
    ///
    /// # Panics
    ///
    /// When it does not start.
    pub async fn named(&self, name: &str, change: impl FnOnce(&mut Config)) -> TestServer {
        #[expect(clippy::expect_used, reason = "a test that has no server has failed")]
        let listener = self.listener(name).expect("a certificate");
        crate::configured(|config| {
            name.clone_into(&mut config.server_name);
            // The first one is where the test's clients go.
            config.listener.push(listener);
            config.federation.extra_ca_files = vec![self.ca_file()];
            config.federation.deny_ip_ranges = Some(Vec::new());
            config.federation.public_rooms = true;
            config.outbound_http.extra_ca_files = vec![self.ca_file()];
            config.outbound_http.deny_ip_ranges = Some(Vec::new());
            change(config);
        })
        .await
    }

    /// What listens to other servers under this name.
    fn listener(&self, name: &str) -> Result<ListenerConfig> {
        let (address, port) = name.rsplit_once(':').unwrap_or((name, "8448"));
        let (cert, key) = self.certificate(address)?;
        Ok(ListenerConfig {
            address: address.to_owned(),
            port: port.parse()?,
            tls_cert: Some(cert),
            tls_key: Some(key),
            serve: vec![Api::Federation, Api::Identity, Api::Client],
            ..ListenerConfig::default()
        })
    }

    /// Certificate and key for a host, as files.
    pub fn certificate(&self, host: &str) -> Result<(PathBuf, PathBuf)> {
        let key = KeyPair::generate()?;
        let made = CertificateParams::new(vec![host.to_owned()])?.signed_by(&key, &self.issuer)?;
        let file = |ending: &str| Path::new(self.dir.path()).join(format!("{host}.{ending}"));
        let (cert, key_file) = (file("cert.pem"), file("key.pem"));
        fs::write(&cert, made.pem())?;
        fs::write(&key_file, key.serialize_pem())?;
        Ok((cert, key_file))
    }
}

impl Default for Neighbours {
    fn default() -> Self {
        Self::new()
    }
}

/// An address of this machine that no other test process uses, and a port that is free on it.
pub fn free_name() -> Result<String> {
    let [_, high, middle, low] = std::process::id().to_be_bytes();
    let address = IpAddr::V4(Ipv4Addr::new(127, high | 64, middle, low.max(1)));
    Ok(TcpListener::bind((address, 0))?.local_addr()?.to_string())
}
