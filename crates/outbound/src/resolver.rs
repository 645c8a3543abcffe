//! From names to addresses that may be connected to.

use std::{error::Error, io, net::SocketAddr, sync::Arc};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use thiserror::Error;

use crate::{
    policy::Policy,
    trail::{Lookup, Trail},
};

/// The name leads to an address that the policy forbids.
#[derive(Debug, Error)]
#[error("the address is not allowed")]
pub(crate) struct Forbidden;

/// Around the former: the HTTP library shows what is behind a resolver's error, and not the error itself.
#[derive(Debug, Error)]
#[error("the name cannot be used")]
struct NotUsed(#[source] Forbidden);

/// Asks the system, and gives out addresses only when all of them are allowed: a name that leads both outside and
/// inside is an attack (I02). What it gives out is what is connected to; nobody asks again.
pub(crate) struct Guarded {
    pub(crate) policy: Arc<Policy>,
}

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let policy = Arc::clone(&self.policy);
        Box::pin(async move {
            let found = allowed_addresses(&policy, name.as_str(), 0, &mut Trail::default()).await?;
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

/// The addresses of a name, with this port.
pub(crate) async fn allowed_addresses(
    policy: &Policy,
    name: &str,
    port: u16,
    trail: &mut Trail,
) -> Result<Vec<SocketAddr>, Box<dyn Error + Send + Sync>> {
    let found: io::Result<Vec<SocketAddr>> =
        tokio::net::lookup_host((name, port)).await.map(Iterator::collect);
    let addresses = found.as_ref().map(Vec::as_slice).unwrap_or_default();
    let is_denied = |address: &&SocketAddr| !policy.allows(address.ip());
    let denied: Vec<SocketAddr> = addresses.iter().filter(is_denied).copied().collect();
    let is_allowed = denied.is_empty();
    trail.lookups.push(Lookup {
        name: name.to_owned(),
        port,
        addresses: addresses.to_vec(),
        denied,
    });
    let found = found?;
    if is_allowed {
        Ok(found)
    } else {
        Err(Box::new(NotUsed(Forbidden)))
    }
}
