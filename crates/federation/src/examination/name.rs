//! Whom the name leads to: the operator's lists, and the file that delegates.

use gatehouse_outbound::{OutboundAnswer, OutboundError};
use ruma::ServerName;

use crate::{
    Federation, FederationError,
    discovery::{
        Location,
        delegations::Said,
        well_known::{read, well_known_url},
    },
    examination::{Finding, shown},
};

const LISTS: &str = "allowed";
const FILE: &str = "well-known (server)";

/// What a file says that delegates.
const EXAMPLE: &str = "{\"m.server\": \"matrix.example.org:443\"}";

impl Federation {
    /// Where the server is by its name; nothing: it must not be asked.
    pub(super) async fn examine_name(
        &self,
        server: &ServerName,
        findings: &mut Vec<Finding>,
    ) -> Option<Location> {
        let tried = format!("whether the settings let this server talk to {server}");
        if let Err(error) = self.may_ask(server) {
            let advice = match error {
                FederationError::Disabled => "Set `[federation] enabled = true`.",
                _ => "Change `[federation] allow_servers` and `deny_servers`.",
            };
            findings.push(Finding::fault(LISTS, tried, error.to_string(), advice));
            return None;
        }
        findings.push(Finding::good(LISTS, tried, "They do."));
        if server.is_ip_literal() || server.port().is_some() {
            let came = "The name is an address or carries a port, so it says all by itself.";
            findings.push(Finding::good(FILE, server.as_str(), came));
            return Some(Location::of(server));
        }
        let tried = format!("GET {}", well_known_url(server, "server"));
        let (finding, location) = match self.fetch_well_known(server, "server").await {
            Ok(answer) => whereto(server, &tried, answer),
            Err(error) => (
                Finding::fault(
                    FILE,
                    tried,
                    error.to_string(),
                    "Set `[federation] enabled = true`.",
                ),
                None,
            ),
        };
        findings.push(finding);
        location
    }

    fn may_ask(&self, server: &ServerName) -> Result<(), FederationError> {
        match self.outbound() {
            None => Err(FederationError::Disabled),
            Some(_) if !self.allows(server) => Err(FederationError::NotAllowed),
            Some(_) => Ok(()),
        }
    }
}

/// What the answer to the question for the file means. Without a file the name itself is looked up.
fn whereto(
    server: &ServerName,
    tried: &str,
    answer: Result<OutboundAnswer, OutboundError>,
) -> (Finding, Option<Location>) {
    let found = |finding| (finding, Some(Location::of(server)));
    match answer {
        Ok(answer) if answer.status == 200 => match read(&answer) {
            Said::Delegated { to, .. } => {
                let came = format!("The server is at {to}.");
                (Finding::good(FILE, tried, came), Some(Location::of(&to)))
            }
            Said::Nothing | Said::NoAnswer => {
                let came = format!(
                    "A file that delegates to nobody: {}",
                    shown(&String::from_utf8_lossy(&answer.body))
                );
                let advice = format!(
                    "The file has to be JSON such as {EXAMPLE}. Until then other servers look for {server} itself."
                );
                found(Finding::fault(FILE, tried, came, advice))
            }
        },
        Ok(answer) if answer.status >= 500 => {
            let came = format!("The web server fails, with status {}.", answer.status);
            let advice =
                "Mend the web server. Other servers go on for a while with what the file said before.";
            found(Finding::note(FILE, tried, came, advice))
        }
        Ok(answer) => {
            let came = format!(
                "No file, with status {}. The name itself is looked up.",
                answer.status
            );
            found(Finding::good(FILE, tried, came))
        }
        Err(error) => {
            let came = format!("No answer: {error}. The name itself is looked up.");
            let advice = format!(
                "If the server is elsewhere, serve a file such as {EXAMPLE} there, or add SRV records for {server}."
            );
            found(Finding::note(FILE, tried, came, advice))
        }
    }
}
