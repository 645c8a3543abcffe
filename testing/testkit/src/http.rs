//! The HTTP client that tests speak with.

use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore, crypto::ring::default_provider};

/// A client to configure further: it asks no proxy, and trusts nobody's certificate, as test servers speak plainly. TLS
/// is given to it because the library looks for a provider of the whole process otherwise.
///
/// # Panics
///
/// When the TLS library refuses its own defaults.
pub fn client() -> reqwest::ClientBuilder {
    #[expect(clippy::expect_used, reason = "a test that has no client has failed")]
    let tls = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider knows these versions")
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    reqwest::Client::builder()
        .no_proxy()
        .tls_backend_preconfigured(tls)
}
