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
    changed: Changes,
    looked: Instant,
}

impl Tls {
    pub(crate) fn load(files: &TlsFiles) -> Result<Self, TlsError> {
        let changed = last_changes(files);
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
            let changed = last_changes(&self.files);
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

/// When each file last changed. Not only the later time: a file may be replaced by an older one.
type Changes = [Option<SystemTime>; 2];

fn last_changes(files: &TlsFiles) -> Changes {
    let changed = |path| std::fs::metadata(path).and_then(|file| file.modified()).ok();
    [changed(&files.cert), changed(&files.key)]
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

#[cfg(test)]
mod tests {
    use std::{fs::File, path::Path};

    use rustls::{ClientConfig, RootCertStore, pki_types::ServerName};
    use tokio_rustls::TlsConnector;

    use super::*;

    /// A new certificate and its key, in these files, changed at this time.
    fn write(files: &TlsFiles, changed: SystemTime) -> CertificateDer<'static> {
        let made = rcgen::generate_simple_self_signed(["a.example".to_owned()]).unwrap();
        let put = |path: &Path, text: String| {
            std::fs::write(path, text).unwrap();
            File::options()
                .write(true)
                .open(path)
                .unwrap()
                .set_modified(changed)
                .unwrap();
        };
        put(&files.cert, made.cert.pem());
        put(&files.key, made.signing_key.serialize_pem());
        made.cert.der().clone()
    }

    /// Whether a client that trusts this certificate alone gets a connection.
    async fn serves(tls: &Tls, trusted: &CertificateDer<'static>) -> bool {
        let mut roots = RootCertStore::empty();
        roots.add(trusted.clone()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let (client, server) = tokio::io::duplex(64 << 10);
        let name = ServerName::try_from("a.example").unwrap();
        let connecting = TlsConnector::from(Arc::new(config)).connect(name, client);
        let (connected, _) = tokio::join!(connecting, tls.acceptor().accept(server));
        connected.is_ok()
    }

    /// As if the files had not been looked at for a while.
    fn let_time_pass(tls: &Tls) {
        tls.state.lock().looked = Instant::now().checked_sub(LOOK_EVERY).unwrap();
    }

    #[tokio::test]
    async fn a_new_certificate_is_used_without_a_restart_and_a_bad_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let files = TlsFiles {
            cert: dir.path().join("cert.pem"),
            key: dir.path().join("key.pem"),
        };
        let at = |second: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000 + second);
        let first = write(&files, at(0));
        let tls = Tls::load(&files).unwrap();
        assert!(serves(&tls, &first).await);
        let older = write(&files, at(0) - Duration::from_secs(500));
        let_time_pass(&tls);
        assert!(serves(&tls, &older).await && !serves(&tls, &first).await);
        std::fs::write(&files.key, "not a key").unwrap();
        let_time_pass(&tls);
        assert!(serves(&tls, &older).await, "the old one stays in use");
        let newest = write(&files, at(9));
        let_time_pass(&tls);
        assert!(serves(&tls, &newest).await && !serves(&tls, &older).await);
    }

    #[test]
    fn files_that_are_no_certificate_or_key_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let files = TlsFiles {
            cert: dir.path().join("cert.pem"),
            key: dir.path().join("key.pem"),
        };
        let error = |files: &TlsFiles| {
            Tls::load(files)
                .err()
                .map(|error| error.to_string())
                .unwrap_or_default()
        };
        assert!(error(&files).contains("cert.pem"), "{}", error(&files));
        write(&files, SystemTime::UNIX_EPOCH);
        std::fs::write(&files.key, "nothing").unwrap();
        assert!(error(&files).contains("key.pem"), "{}", error(&files));
    }
}
