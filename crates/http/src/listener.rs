//! Where a server listens.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
};

use thiserror::Error;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, UnixListener},
};

use crate::{
    reading_deadline::ReadingDeadline,
    tls::{Tls, TlsError},
};

/// An address to listen at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// An IP address and a port; port 0 takes any that is free.
    Tcp(SocketAddr),
    /// A socket file, which is replaced when it is left over.
    Unix(PathBuf),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// The files of a certificate chain and its key, in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The chain, own certificate first.
    pub cert: PathBuf,
    /// The key.
    pub key: PathBuf,
}

/// Why a server cannot listen.
#[derive(Debug, Error)]
pub enum ListenError {
    /// The address is taken, or not this machine's, or not allowed.
    #[error(
        "cannot listen at {address}: {source}; stop what uses it, or choose another address with [[listener]]"
    )]
    Bind {
        /// Which.
        address: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The certificate or key cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// An open socket, whose connections nobody takes yet.
pub struct Listener {
    pub(crate) socket: Socket,
    pub(crate) tls: Option<Tls>,
    pub(crate) trusted_proxies: Arc<[IpAddr]>,
    address: Address,
}

pub(crate) enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// A connection of either kind.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Stream for T {}

impl Listener {
    /// Opens the socket.
    pub async fn bind(address: &Address, tls: Option<&TlsFiles>) -> Result<Self, ListenError> {
        let failed = |source| ListenError::Bind {
            address: address.to_string(),
            source,
        };
        let tls = tls.map(Tls::load).transpose()?;
        let (socket, address) = match address {
            Address::Tcp(at) => {
                let listener = TcpListener::bind(at).await.map_err(failed)?;
                let bound = listener.local_addr().map_err(failed)?;
                (Socket::Tcp(listener), Address::Tcp(bound))
            }
            Address::Unix(path) => {
                remove_left_over(path).await.map_err(failed)?;
                (
                    Socket::Unix(UnixListener::bind(path).map_err(failed)?),
                    Address::Unix(path.clone()),
                )
            }
        };
        Ok(Self {
            socket,
            tls,
            trusted_proxies: Arc::default(),
            address,
        })
    }

    /// Believes what these peers say in `X-Forwarded-For`.
    #[must_use]
    pub fn trusting(mut self, proxies: impl IntoIterator<Item = IpAddr>) -> Self {
        self.trusted_proxies = proxies.into_iter().map(|proxy| proxy.to_canonical()).collect();
        self
    }

    /// Where it listens; with the real port, when any was asked for.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Whether it speaks TLS.
    pub fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// The next connection, and the peer's address.
    pub(crate) async fn accept(&self) -> std::io::Result<(Box<dyn Stream>, Option<IpAddr>)> {
        match &self.socket {
            Socket::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                // A response waits for nothing; an error only means that it may be sent later.
                _ = stream.set_nodelay(true);
                Ok((
                    Box::new(ReadingDeadline::new(stream)),
                    Some(peer.ip().to_canonical()),
                ))
            }
            Socket::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                Ok((Box::new(ReadingDeadline::new(stream)), None))
            }
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Address::Unix(path) = &self.address {
            // One that is left over is removed by the next server.
            _ = std::fs::remove_file(path);
        }
    }
}

/// Removes a socket file that nobody listens at.
async fn remove_left_over(path: &Path) -> std::io::Result<()> {
    if !path.exists() {
        return Ok(());
    }
    match tokio::net::UnixStream::connect(path).await {
        Ok(_) => Err(std::io::Error::new(
            std::io::ErrorKind::AddrInUse,
            "another process listens there",
        )),
        Err(_) => tokio::fs::remove_file(path).await,
    }
}
