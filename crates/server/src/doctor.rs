//! What `gatehouse doctor` finds out: whether this server, or another, can be reached, and what to do where it cannot.
//!
//! It works beside a running server as well as without one: it opens no store, makes no key and changes nothing. The steps
//! up to a server are those of `gatehouse-federation`, by which servers find each other. What only the operator of a server
//! can know of it comes on top, for the own one.

mod inside;
mod outside;

use std::sync::Arc;

use gatehouse_events::{Clock, SigningKey};
use gatehouse_federation::Federation;
pub use gatehouse_federation::{Finding, Verdict};
use gatehouse_store::{Store, memory::MemoryBackend};
use ruma::{OwnedServerName, ServerName};

use crate::{StartError, config::Config, outside as doors, signing_key_file};

/// What was found of a server.
pub struct Examination {
    /// Which.
    pub server: OwnedServerName,
    /// In the order of the steps.
    pub findings: Vec<Finding>,
}

impl Examination {
    /// Whether nothing is broken.
    pub fn is_fine(&self) -> bool {
        self.findings
            .iter()
            .all(|finding| finding.verdict != Verdict::Fault)
    }
}

/// Looks at a server, or at this one.
pub async fn examine(
    config: &Config,
    server: Option<&ServerName>,
    clock: Clock,
) -> Result<Examination, StartError> {
    let own = OwnedServerName::try_from(config.server_name.as_str())
        .map_err(|_| StartError::ServerName(config.server_name.clone()))?;
    let server = server.unwrap_or(&own).to_owned();
    let is_own = server == own;
    let mut findings = Vec::new();
    let key = if is_own {
        inside::examine(config, &mut findings).await
    } else {
        signing_key_file::load(&config.signing_key_path()).ok().flatten()
    };
    let has_key = key.is_some();
    let federation = federation(config, own, key, clock)?;
    findings.extend(federation.examine(&server).await);
    if is_own {
        outside::examine(config, &federation, &mut findings).await?;
    } else if has_key && findings.iter().all(|finding| finding.verdict != Verdict::Fault) {
        findings.push(federation.examine_signature(&server).await);
    }
    Ok(Examination { server, findings })
}

/// Other servers, as this one finds them. What is learnt is forgotten at once. Without a key of its own it asks nothing
/// that would have to be signed.
fn federation(
    config: &Config,
    own: OwnedServerName,
    key: Option<SigningKey>,
    clock: Clock,
) -> Result<Federation, StartError> {
    let key = match key {
        Some(key) => key,
        None => SigningKey::generate().map_err(StartError::Key)?,
    };
    Ok(Federation::new(
        Store::new(Arc::new(MemoryBackend::new())),
        own,
        Arc::new(key),
        clock,
        doors::federation_outbound(config)?,
        doors::federation_config(config)?,
    ))
}
