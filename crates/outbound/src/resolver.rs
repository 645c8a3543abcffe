//! From names to addresses that may be connected to.

use std::{error::Error, net::SocketAddr, sync::Arc};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use thiserror::Error;

use crate::policy::Policy;

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
            let found = allowed_addresses(&policy, name.as_str(), 0).await?;
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

/// The addresses of a name, with this port.
pub(crate) async fn allowed_addresses(
    policy: &Policy,
    name: &str,
    port: u16,
) -> Result<Vec<SocketAddr>, Box<dyn Error + Send + Sync>> {
    let found: Vec<SocketAddr> = tokio::net::lookup_host((name, port)).await?.collect();
    if found.iter().all(|address| policy.allows(address.ip())) {
        Ok(found)
    } else {
        Err(Box::new(NotUsed(Forbidden)))
    }
}
