//! Looking at the way to a host without sending anything: which names, which addresses, whose certificate.
//!
//! It goes the way that a request goes: the same policy, the same records, the same authorities. What it adds is that it
//! tells of each step, and tries every address where a request is content with the first that works.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use rustls::{
    CertificateError,
    client::danger::ServerCertVerifier,
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use url::Url;

use crate::{
    Outbound, OutboundError, OutboundRequest,
    outbound::{Door, Sockets, Way, literal},
    policy::Policy,
    resolver::allowed_addresses,
    trail::Trail,
};

/// How long a connection, and then agreeing on TLS, may take.
const CONNECT: Duration = Duration::from_secs(5);
const HANDSHAKE: Duration = Duration::from_secs(5);

/// Addresses that are tried.
const MAX_ADDRESSES: usize = 8;

/// So long after 1970 no certificate of today is good: whoever checks one for then is told when it expires.
const SOME_DAY: Duration = Duration::from_hours(8_000 * 365 * 24);

/// What was found on the way to a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// The names that were looked up; none for an address.
    pub trail: Trail,
    /// The addresses that a request would go to, or why there are none.
    pub connections: Result<Vec<Connection>, OutboundError>,
}

/// An address, and what came of connecting to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// The address.
    pub address: SocketAddr,
    /// Until when its certificate is good, in seconds since 1970, where that can be told; or why there is none.
    pub outcome: Result<Option<u64>, NoConnection>,
}

/// Why there is no connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoConnection {
    /// Nothing listens there.
    Refused,
    /// It did not answer in time.
    TimedOut,
    /// It cannot be reached.
    Unreachable,
    /// It does not speak TLS as it should, or broke off.
    NoTls,
    /// It has the wrong certificate.
    Certificate(WrongCertificate),
}

/// What is wrong with a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WrongCertificate {
    /// It was good until then, in seconds since 1970.
    Expired(u64),
    /// It will be good from then on, in seconds since 1970.
    NotYetValid(u64),
    /// It is for these.
    OtherNames(Vec<String>),
    /// It is signed by nobody that we know, or what lies between is missing.
    UnknownIssuer,
    /// Something else, in the words of whoever checked it.
    Other(String),
}

impl Outbound {
    /// Goes the way of a request up to where it would be sent.
    pub async fn inspect(&self, request: &OutboundRequest) -> Inspection {
        let mut trail = Trail::default();
        let connections = match &self.door {
            Door::Sockets(sockets) => sockets.connections(request, &mut trail).await,
            Door::Carried(_) => Err(OutboundError::Unreachable),
        };
        Inspection { trail, connections }
    }
}

impl Sockets {
    async fn connections(
        self: &Arc<Self>,
        request: &OutboundRequest,
        trail: &mut Trail,
    ) -> Result<Vec<Connection>, OutboundError> {
        let url = Url::parse(&request.url).map_err(|_| OutboundError::InvalidUrl)?;
        let (name, addresses) = self.addresses(&url, request, trail).await?;
        let trying: Vec<_> = addresses
            .into_iter()
            .take(MAX_ADDRESSES)
            .map(|address| {
                let (sockets, name) = (Arc::clone(self), name.clone());
                let trying = async move { sockets.connect(address, name).await };
                (address, tokio::spawn(trying))
            })
            .collect();
        let mut connections = Vec::new();
        for (address, outcome) in trying {
            let outcome = outcome.await.unwrap_or(Err(NoConnection::Unreachable));
            connections.push(Connection { address, outcome });
        }
        Ok(connections)
    }

    /// Where a request would go, and whose certificate it would ask for.
    async fn addresses(
        &self,
        url: &Url,
        request: &OutboundRequest,
        trail: &mut Trail,
    ) -> Result<(ServerName<'static>, Vec<SocketAddr>), OutboundError> {
        let way = self.way(url, request)?;
        let port = url.port_or_known_default().ok_or(OutboundError::InvalidUrl)?;
        if let Some(address) = literal(url)? {
            return Ok((address.into(), vec![SocketAddr::new(address, port)]));
        }
        let host = url.host_str().ok_or(OutboundError::InvalidUrl)?;
        let found = match (way, &self.finder) {
            (Way::Service, Some(finder)) => finder.addresses(host, trail).await,
            (Way::Service, None) => return Err(OutboundError::InvalidUrl),
            (Way::Guarded, _) => allowed_addresses(&self.policy, host, port, trail).await,
            (Way::Exempt, _) => allowed_addresses(&Policy::default(), host, port, trail).await,
        };
        let name = ServerName::try_from(host.to_owned()).map_err(|_| OutboundError::InvalidUrl)?;
        match found {
            Ok(addresses) => Ok((name, addresses)),
            Err(_) if trail.lookups.iter().any(|lookup| !lookup.denied.is_empty()) => {
                Err(OutboundError::Denied)
            }
            Err(_) => Err(OutboundError::Unreachable),
        }
    }

    async fn connect(
        &self,
        address: SocketAddr,
        name: ServerName<'static>,
    ) -> Result<Option<u64>, NoConnection> {
        let connecting = tokio::time::timeout(CONNECT, TcpStream::connect(address));
        let stream = match connecting.await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
                return Err(NoConnection::Refused);
            }
            Ok(Err(_)) => return Err(NoConnection::Unreachable),
            Err(_) => return Err(NoConnection::TimedOut),
        };
        let connector = TlsConnector::from(Arc::new(self.tls.config.clone()));
        let agreeing = tokio::time::timeout(HANDSHAKE, connector.connect(name.clone(), stream));
        match agreeing.await {
            Ok(Ok(stream)) => {
                let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
                Ok(self.good_until(chain, &name))
            }
            Ok(Err(error)) => Err(fault(&error)),
            Err(_) => Err(NoConnection::TimedOut),
        }
    }

    /// Until when a chain is good: some day it is not, and whoever says so says since when.
    fn good_until(&self, chain: &[CertificateDer<'_>], name: &ServerName<'_>) -> Option<u64> {
        let (own, others) = chain.split_first()?;
        let verifier = self.tls.verifier.as_ref()?;
        let then = UnixTime::since_unix_epoch(SOME_DAY);
        match verifier.verify_server_cert(own, others, name, &[], then) {
            Err(rustls::Error::InvalidCertificate(CertificateError::ExpiredContext {
                not_after, ..
            })) => Some(not_after.as_secs()),
            _ => None,
        }
    }
}

fn fault(error: &std::io::Error) -> NoConnection {
    let inside = error
        .get_ref()
        .and_then(|inside| inside.downcast_ref::<rustls::Error>());
    match inside {
        Some(rustls::Error::InvalidCertificate(error)) => NoConnection::Certificate(wrong(error)),
        _ => NoConnection::NoTls,
    }
}

fn wrong(error: &CertificateError) -> WrongCertificate {
    match error {
        CertificateError::ExpiredContext { not_after, .. } => WrongCertificate::Expired(not_after.as_secs()),
        CertificateError::NotValidYetContext { not_before, .. } => {
            WrongCertificate::NotYetValid(not_before.as_secs())
        }
        CertificateError::NotValidForNameContext { presented, .. } => {
            WrongCertificate::OtherNames(presented.clone())
        }
        // An authority may have the name of one that is known, and another key.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => WrongCertificate::UnknownIssuer,
        other => WrongCertificate::Other(other.to_string()),
    }
}
