//! Certificates that all partners of a test believe, and nobody else.

use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};

/// An authority that ends with the test, and a certificate that it gave for `localhost` and its address; all in PEM files.
pub(super) struct Authority {
    /// The authority's own certificate.
    pub(super) ca: PathBuf,
    /// The certificate.
    pub(super) certificate: PathBuf,
    /// Its key.
    pub(super) key: PathBuf,
}

impl Authority {
    pub(super) fn found(dir: &Path) -> Self {
        let ca_key = KeyPair::generate().unwrap();
        // Named, because a certificate whose issuer has its own name passes for its own issuer.
        let mut ca = named("an authority for tests", &[]);
        ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        ca.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let ca_certificate = ca.self_signed(&ca_key).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = named("localhost", &["localhost", "127.0.0.1"].map(str::to_owned))
            .signed_by(&key, &Issuer::new(ca, ca_key))
            .unwrap();
        let write = |name: &str, pem: String| {
            let path = dir.join(name);
            std::fs::write(&path, pem).unwrap();
            path
        };
        Self {
            ca: write("ca.pem", ca_certificate.pem()),
            certificate: write("certificate.pem", certificate.pem()),
            key: write("key.pem", key.serialize_pem()),
        }
    }
}

fn named(name: &str, hosts: &[String]) -> CertificateParams {
    let mut params = CertificateParams::new(hosts).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.use_authority_key_identifier_extension = true;
    params
}
