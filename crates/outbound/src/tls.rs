//! Whose certificates are believed.

use std::{path::PathBuf, sync::Arc};

use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
};

use crate::OutboundSetupError;

/// How certificates are checked.
pub(crate) struct Tls {
    pub(crate) config: ClientConfig,
    /// What checks them, when anything does.
    pub(crate) verifier: Option<Arc<WebPkiServerVerifier>>,
}

/// The system's authorities and the operator's; or none at all with `verify` off, which is for tests.
pub(crate) fn setup(verify: bool, extra: &[PathBuf]) -> Result<Tls, OutboundSetupError> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| OutboundSetupError::Tls(error.to_string()))?;
    if !verify {
        tracing::warn!("certificates of other servers are not checked: `[outbound_http] verify_tls` is off");
        return Ok(Tls {
            config: builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(Anybody { provider }))
                .with_no_client_auth(),
            verifier: None,
        });
    }
    let roots = Arc::new(roots(extra)?);
    // Without authorities nobody can be believed, and there is nothing to check with.
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::clone(&roots), provider).build();
    Ok(Tls {
        config: builder.with_root_certificates(roots).with_no_client_auth(),
        verifier: verifier.ok(),
    })
}

fn roots(extra: &[PathBuf]) -> Result<RootCertStore, OutboundSetupError> {
    let mut roots = RootCertStore::empty();
    let system = rustls_native_certs::load_native_certs();
    let (added, _) = roots.add_parsable_certificates(system.certs);
    if added == 0 {
        tracing::warn!(
            "this system has no certificate authorities, so no other server can be reached by TLS; \
             install its package ca-certificates"
        );
    }
    for path in extra {
        let failed = |reason: String| OutboundSetupError::Certificates {
            path: path.clone(),
            reason,
        };
        let certificates = CertificateDer::pem_file_iter(path).map_err(|error| failed(error.to_string()))?;
        for certificate in certificates {
            let certificate = certificate.map_err(|error| failed(error.to_string()))?;
            roots
                .add(certificate)
                .map_err(|error| failed(error.to_string()))?;
        }
    }
    Ok(roots)
}

/// Believes any certificate.
#[derive(Debug)]
struct Anybody {
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
