//! Where the service of a host is: by SRV records, else at the service's port on the host itself.

use std::{error::Error, io, net::SocketAddr, sync::Arc};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::{
    OutboundSetupError,
    policy::Policy,
    resolver::allowed_addresses,
    srv::SrvRecords,
    trail::{Record, SrvAnswer, Trail},
};

/// Addresses that are tried for one host.
const MAX_ADDRESSES: usize = 16;

/// A service, and how it is found.
#[derive(Debug, Clone, Default)]
pub struct Service {
    /// Before a host's name they make the names of its SRV records, such as `_imaps._tcp`; the first that there are
    /// count.
    pub prefixes: Vec<String>,
    /// Where it is when there are no such records.
    pub port: u16,
    /// Whom to ask for SRV records; nobody: whom the system asks.
    pub name_servers: Vec<SocketAddr>,
}

/// Finds the service of a host, and gives out addresses only when all of them are allowed. The name in the URL stays the
/// one whose certificate is checked: DNS may say where a server is, not who it is.
pub(crate) struct ServiceResolver {
    pub(crate) finder: Arc<Finder>,
}

/// Finds the addresses of services.
pub(crate) struct Finder {
    policy: Arc<Policy>,
    records: SrvRecords,
    prefixes: Vec<String>,
    port: u16,
}

impl Resolve for ServiceResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let finder = Arc::clone(&self.finder);
        Box::pin(async move {
            let found = finder.addresses(name.as_str(), &mut Trail::default()).await?;
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

type Addresses = Result<Vec<SocketAddr>, Box<dyn Error + Send + Sync>>;

impl Finder {
    pub(crate) fn new(policy: Arc<Policy>, service: &Service) -> Result<Self, OutboundSetupError> {
        Ok(Self {
            policy,
            records: SrvRecords::asking(&service.name_servers)?,
            prefixes: service.prefixes.clone(),
            port: service.port,
        })
    }

    /// Where the service of the host is. What was looked up is left in the trail, whatever comes of it.
    pub(crate) async fn addresses(&self, host: &str, trail: &mut Trail) -> Addresses {
        for prefix in &self.prefixes {
            let name = format!("{prefix}.{host}");
            let answer = self.records.of(&format!("{name}.")).await;
            trail.records.push(Record {
                name,
                answer: answer.clone(),
            });
            match answer {
                SrvAnswer::Nothing | SrvAnswer::Failed => {}
                SrvAnswer::NoService => {
                    return Err(not_found("its SRV record says that there is no such service"));
                }
                SrvAnswer::Targets(targets) => return self.of_targets(&targets, trail).await,
            }
        }
        let mut found = allowed_addresses(&self.policy, host, self.port, trail).await?;
        found.truncate(MAX_ADDRESSES);
        Ok(found)
    }

    /// In the order of the targets. One that has no address is passed over.
    async fn of_targets(&self, targets: &[(String, u16)], trail: &mut Trail) -> Addresses {
        let mut addresses: Vec<SocketAddr> = Vec::new();
        let mut failure = not_found("no target of its SRV records has an address");
        for (target, port) in targets {
            match allowed_addresses(&self.policy, target, *port, trail).await {
                Ok(found) => addresses.extend(found),
                // A target inside our network is an attack, whatever else there is.
                Err(error) if !error.is::<io::Error>() => return Err(error),
                Err(error) => failure = error,
            }
        }
        if addresses.is_empty() {
            return Err(failure);
        }
        addresses.truncate(MAX_ADDRESSES);
        Ok(addresses)
    }
}

fn not_found(reason: &str) -> Box<dyn Error + Send + Sync> {
    Box::new(io::Error::new(io::ErrorKind::NotFound, reason))
}
