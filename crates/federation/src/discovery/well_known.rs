//! Reading `/.well-known/matrix/server`.

use std::time::Duration;

use gatehouse_events::json::parse_value;
use gatehouse_outbound::{OutboundAnswer, OutboundError, OutboundRequest};
use ruma::{OwnedServerName, ServerName};
use serde::Deserialize;

use super::{delegations::Said, lifetime::lifetime_ms};
use crate::{Federation, FederationError};

/// How long the file may take, how long it may be, and how often it may be elsewhere (limits.md §4).
const TIMEOUT: Duration = Duration::from_secs(5);
const MAX_BYTES: usize = 50 << 10;
const REDIRECTS: u8 = 3;

impl Federation {
    /// The server that this one delegates to; nothing: it is found under its own name (3).
    pub(super) async fn delegated(
        &self,
        server: &ServerName,
    ) -> Result<Option<OwnedServerName>, FederationError> {
        let discovered = self.discovered();
        if let Some(known) = discovered.get(server, self.now_ms()) {
            return Ok(known.to.clone());
        }
        let _turn = discovered.asking.turn(server).await;
        if let Some(known) = discovered.get(server, self.now_ms()) {
            return Ok(known.to.clone());
        }
        let said = self.ask_well_known(server).await?;
        Ok(discovered.learn(server, said, self.now_ms()))
    }

    async fn ask_well_known(&self, server: &ServerName) -> Result<Said, FederationError> {
        Ok(match self.fetch_well_known(server, "server").await? {
            Ok(answer) if answer.status == 200 => read(&answer),
            Ok(answer) if answer.status >= 500 => Said::NoAnswer,
            Ok(_) => Said::Nothing,
            Err(_) => Said::NoAnswer,
        })
    }

    /// The file of this name at the server's host.
    pub(crate) async fn fetch_well_known(
        &self,
        server: &ServerName,
        file: &str,
    ) -> Result<Result<OutboundAnswer, OutboundError>, FederationError> {
        let outbound = self.outbound().ok_or(FederationError::Disabled)?;
        let request = OutboundRequest::get(&well_known_url(server, file))
            .timeout(TIMEOUT)
            .max_bytes(MAX_BYTES)
            .redirects(REDIRECTS);
        Ok(outbound.send(request).await)
    }
}

/// Where a file about a server is: `server` for other servers, `client` for clients.
pub(crate) fn well_known_url(server: &ServerName, file: &str) -> String {
    format!("https://{server}/.well-known/matrix/{file}")
}

/// Anything but a good answer is no delegation.
pub(crate) fn read(answer: &OutboundAnswer) -> Said {
    #[derive(Deserialize)]
    struct WellKnown {
        #[serde(rename = "m.server")]
        server: OwnedServerName,
    }
    let said = parse_value(&answer.body)
        .ok()
        .and_then(|said| serde_json::from_value::<WellKnown>(said).ok());
    match said {
        Some(said) => Said::Delegated {
            to: said.server,
            lifetime_ms: lifetime_ms(answer),
        },
        None => Said::Nothing,
    }
}
