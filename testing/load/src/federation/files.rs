//! The certificates of the servers that are played: one authority, which the server under measurement believes, and one
//! certificate for all of loopback.

use std::{fs, path::Path, sync::Arc};

use anyhow::{Context as _, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer},
};

const AUTHORITY: &str = "ca.pem";
const CERTIFICATE: &str = "resident.der";
const KEY: &str = "resident.key.der";

/// Writes them into a folder.
pub(crate) fn write(folder: &Path) -> Result<()> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.distinguished_name = named("an authority for the benchmark");
    let key = KeyPair::generate()?;
    fs::write(folder.join(AUTHORITY), params.self_signed(&key)?.pem())?;
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate()?;
    let names = ["127.0.0.1".to_owned(), "localhost".to_owned()];
    let mut params = CertificateParams::new(names)?;
    // Of the same name as its issuer it would pass for signed by itself.
    params.distinguished_name = named("a server of the benchmark");
    params.use_authority_key_identifier_extension = true;
    let made = params.signed_by(&key, &issuer)?;
    fs::write(folder.join(CERTIFICATE), made.der())?;
    fs::write(folder.join(KEY), key.serialize_der())?;
    Ok(())
}

fn named(name: &str) -> DistinguishedName {
    let mut named = DistinguishedName::new();
    named.push(DnType::CommonName, name);
    named
}

/// The TLS of a server that is played.
pub(crate) fn tls(folder: &Path) -> Result<Arc<ServerConfig>> {
    let read = |name: &str| fs::read(folder.join(name)).context("run `federation-files` first");
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from(read(CERTIFICATE)?)],
            PrivateKeyDer::Pkcs8(read(KEY)?.into()),
        )?;
    Ok(Arc::new(config))
}
