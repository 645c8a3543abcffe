//! Where a homeserver is (server-server API, "Resolving server names"): steps 1, 2, 3.1, 3.2 and 6. What is found by SRV
//! records comes with the rooms that are shared with other servers.

use std::{sync::Arc, time::Duration};

use gatehouse_outbound::OutboundRequest;
use quick_cache::sync::Cache;
use ruma::{OwnedServerName, ServerName};
use serde::Deserialize;

use crate::{Federation, FederationError};

/// The port of servers that name none.
const PORT: u16 = 8_448;

/// Servers remembered.
const REMEMBERED: usize = 5_000;

/// How long an answer, or that there is none, is believed.
const LIFETIME_MS: u64 = 24 * 3_600 * 1_000;
const LIFETIME_OF_NOTHING_MS: u64 = 3_600 * 1_000;

/// How long the file may take, and how long it may be.
const TIMEOUT: Duration = Duration::from_secs(5);
const MAX_BYTES: usize = 50 << 10;

/// What servers' `.well-known` files said.
#[derive(Debug)]
pub(crate) struct Discovered {
    delegations: Cache<OwnedServerName, Arc<Delegation>>,
}

#[derive(Debug)]
struct Delegation {
    to: Option<OwnedServerName>,
    until_ms: u64,
}

impl Discovered {
    pub(crate) fn new() -> Self {
        Self {
            delegations: Cache::new(REMEMBERED),
        }
    }
}

impl Federation {
    /// Host and port at which requests to the server go.
    pub async fn address_of(&self, server: &ServerName) -> Result<String, FederationError> {
        if server.is_ip_literal() || server.port().is_some() {
            return Ok(with_port(server));
        }
        let delegated = self.delegated(server).await?;
        Ok(with_port(delegated.as_deref().unwrap_or(server)))
    }

    /// What `/.well-known/matrix/server` says.
    async fn delegated(&self, server: &ServerName) -> Result<Option<OwnedServerName>, FederationError> {
        let known = self.discovered().delegations.get(server);
        if let Some(known) = known.filter(|known| self.now_ms() < known.until_ms) {
            return Ok(known.to.clone());
        }
        let to = self.ask_well_known(server).await?;
        let lifetime = if to.is_some() {
            LIFETIME_MS
        } else {
            LIFETIME_OF_NOTHING_MS
        };
        let delegation = Delegation {
            to: to.clone(),
            until_ms: self.now_ms().saturating_add(lifetime),
        };
        self.discovered()
            .delegations
            .insert(server.to_owned(), Arc::new(delegation));
        Ok(to)
    }

    /// Anything but a good answer is no delegation, and the server is looked for under its own name.
    async fn ask_well_known(&self, server: &ServerName) -> Result<Option<OwnedServerName>, FederationError> {
        #[derive(Deserialize)]
        struct WellKnown {
            #[serde(rename = "m.server")]
            server: OwnedServerName,
        }
        let outbound = self.outbound().ok_or(FederationError::Disabled)?;
        let url = format!("https://{server}/.well-known/matrix/server");
        let request = OutboundRequest::get(&url).timeout(TIMEOUT).max_bytes(MAX_BYTES);
        let Ok(answer) = outbound.send(request).await else {
            return Ok(None);
        };
        let said = answer.json().ok().filter(|_| answer.status == 200);
        Ok(said
            .and_then(|said| serde_json::from_value::<WellKnown>(said).ok())
            .map(|said| said.server))
    }
}

fn with_port(server: &ServerName) -> String {
    match server.port() {
        Some(_) => server.to_string(),
        None => format!("{server}:{PORT}"),
    }
}
