//! A throw-away certificate authority.

use std::{fs, path::PathBuf, sync::Arc};

use anyhow::Result;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::{ServerConfig, crypto::ring, pki_types::PrivateKeyDer};
use tempfile::TempDir;

/// An authority that exists for a test.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    dir: TempDir,
}

impl Authority {
    /// A new one.
    pub fn new() -> Result<Self> {
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

    /// The file with its certificate.
    pub fn file(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    /// The TLS of a server with a certificate for these names and addresses.
    pub fn server(&self, names: &[&str]) -> Result<Arc<ServerConfig>> {
        self.certified(&CertificateParams::new(owned(names))?)
    }

    /// As [`Self::server`], with a certificate that has expired.
    pub fn expired_server(&self, names: &[&str]) -> Result<Arc<ServerConfig>> {
        let mut params = CertificateParams::new(owned(names))?;
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2020, 2, 1);
        self.certified(&params)
    }

    fn certified(&self, params: &CertificateParams) -> Result<Arc<ServerConfig>> {
        let key = KeyPair::generate()?;
        let made = params.signed_by(&key, &self.issuer)?;
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(
                vec![made.der().clone()],
                PrivateKeyDer::Pkcs8(key.serialize_der().into()),
            )?;
        Ok(Arc::new(config))
    }
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}
