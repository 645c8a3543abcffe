//! TLS certificates, read again when their files change.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use parking_lot::Mutex;
use rustls::{
    ServerConfig,
    crypto::ring::default_provider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use thiserror::Error;
use tokio_rustls::TlsAcceptor;

use crate::listener::TlsFiles;

/// How often the files are looked at, at most.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Why a certificate cannot be used.
#[derive(Debug, Error)]
#[error("cannot use {path} for TLS: {reason}")]
pub struct TlsError {
    path: PathBuf,
    reason: String,
}

/// A certificate in use.
pub(crate) struct Tls {
    files: TlsFiles,
    state: Mutex<State>,
}

struct State {
    acceptor: TlsAcceptor,
    changed: Option<SystemTime>,
    looked: Instant,
}

impl Tls {
    pub(crate) fn load(files: &TlsFiles) -> Result<Self, TlsError> {
        let changed = last_change(files);
        let acceptor = acceptor(files)?;
        let state = State {
            acceptor,
            changed,
            looked: Instant::now(),
        };
        Ok(Self {
            files: files.clone(),
            state: Mutex::new(state),
        })
    }

    /// What new connections use. New files that are no good are reported, and the old ones stay in use.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        let mut state = self.state.lock();
        if state.looked.elapsed() >= LOOK_EVERY {
            state.looked = Instant::now();
            let changed = last_change(&self.files);
            if changed != state.changed {
                state.changed = changed;
                match acceptor(&self.files) {
                    Ok(acceptor) => {
                        tracing::info!("the TLS certificate was read again");
                        state.acceptor = acceptor;
                    }
                    Err(error) => tracing::error!(%error, "the old TLS certificate stays in use"),
                }
            }
        }
        state.acceptor.clone()
    }
}

fn last_change(files: &TlsFiles) -> Option<SystemTime> {
    let changed = |path| std::fs::metadata(path).and_then(|file| file.modified()).ok();
    changed(&files.cert).max(changed(&files.key))
}

fn acceptor(files: &TlsFiles) -> Result<TlsAcceptor, TlsError> {
    let bad = |path: &PathBuf, reason: String| TlsError {
        path: path.clone(),
        reason,
    };
    let chain = CertificateDer::pem_file_iter(&files.cert)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| bad(&files.cert, error.to_string()))?;
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| bad(&files.key, error.to_string()))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| bad(&files.cert, error.to_string()))?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| bad(&files.cert, error.to_string()))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
