//! What the server answers: its version, clients, and a request that we sign.

use gatehouse_events::json::parse_value;
use gatehouse_outbound::{OutboundAnswer, OutboundError, OutboundRequest};
use ruma::ServerName;
use serde_json::Value;

use crate::{
    Federation, FederationError,
    discovery::well_known::well_known_url,
    examination::{Finding, shown},
    path::{path, with_query},
    signed::{Bounds, SignedRequest},
};

const VERSION: &str = "federation";
const CLIENT_FILE: &str = "well-known (client)";
const CLIENTS: &str = "client API";
const SIGNATURE: &str = "our signature";

impl Federation {
    /// What runs there.
    pub(super) async fn examine_version(&self, server: &ServerName) -> Finding {
        let tried = "GET /_matrix/federation/v1/version";
        match self.query_version(server).await {
            Ok(version) => {
                let name = version
                    .name
                    .as_deref()
                    .map_or("an unnamed program".to_owned(), shown);
                let number = version.version.as_deref().map(shown).unwrap_or_default();
                let came = format!("{name} {number}");
                Finding::good(VERSION, tried, format!("{}.", came.trim_end()))
            }
            Err(error) => {
                let advice =
                    "See that a proxy passes everything under /_matrix on, and that the server federates.";
                Finding::fault(VERSION, tried, format!("No version: {error}."), advice)
            }
        }
    }

    /// Whether the server accepts what we sign, for which it has to have our keys: it is asked for a room alias that nobody
    /// has.
    pub async fn examine_signature(&self, server: &ServerName) -> Finding {
        let alias = format!("#gatehouse-doctor:{server}");
        let path = with_query(path("v1", &["query", "directory"]), [("room_alias", alias)]);
        let request = SignedRequest::get(server, path, Bounds::QUESTION);
        let tried = "a request signed by this server";
        let refused = match self.signed(request).await {
            Ok(_) => None,
            Err(FederationError::Refused(refusal)) if refusal.status == 404 => None,
            Err(error) => Some(error),
        };
        let Some(error) = refused else {
            return Finding::good(SIGNATURE, tried, "It was accepted.");
        };
        let came = match &error {
            FederationError::Refused(refusal) => format!("{error}: {}", shown(&refusal.error)),
            error => format!("No answer: {error}."),
        };
        let advice = match &error {
            FederationError::Refused(refusal) if refusal.status == 401 => {
                "The other server cannot check it: it has to reach this one for its keys. Let this server run, and try \
                 `gatehouse doctor` for it."
            }
            FederationError::Refused(refusal) if refusal.status == 403 => {
                "The other server does not want to talk to this one; ask those who run it."
            }
            _ => "Try again later, or ask those who run the other server.",
        };
        Finding::fault(SIGNATURE, tried, came, advice)
    }

    /// Whether clients find the server by its name, and are answered.
    pub(super) async fn examine_client_api(&self, server: &ServerName) -> Vec<Finding> {
        let url = well_known_url(server, "client");
        let tried = format!("GET {url}");
        let answer = match self.fetch_well_known(server, "client").await {
            Ok(answer) => answer,
            Err(error) => {
                return vec![Finding::fault(
                    CLIENT_FILE,
                    tried,
                    error.to_string(),
                    "Set `[federation] enabled = true`.",
                )];
            }
        };
        let (finding, base_url) = match client_base_url(answer) {
            ClientFile::Names(base_url) => {
                let came = format!("Clients are sent to {}.", shown(&base_url));
                (Finding::good(CLIENT_FILE, tried, came), base_url)
            }
            ClientFile::Missing(came) => {
                let advice = "Without the file people have to type the address of the server when they log in; serve it.";
                let finding = Finding::note(CLIENT_FILE, tried, came, advice);
                (finding, format!("https://{server}"))
            }
            ClientFile::Wrong => {
                let advice = "It has to be JSON such as {\"m.homeserver\": {\"base_url\": \"https://matrix.example.org\"}}.";
                let came = "A file that clients cannot read, so that nobody can log in.";
                return vec![Finding::fault(CLIENT_FILE, tried, came, advice)];
            }
        };
        vec![finding, self.examine_versions(&base_url).await]
    }

    /// Whether clients are answered at this address.
    async fn examine_versions(&self, base_url: &str) -> Finding {
        let url = format!("{}/_matrix/client/versions", base_url.trim_end_matches('/'));
        let tried = format!("GET {}", shown(&url));
        let answer = match self.outbound() {
            Some(outbound) => outbound.send(OutboundRequest::get(&url)).await,
            None => Err(OutboundError::Denied),
        };
        let advice =
            "See that clients reach the server at this address: the listener, the proxy, `public_baseurl`.";
        match answer {
            Ok(answer) if answer.status == 200 => match versions(&answer) {
                Some(newest) => Finding::good(CLIENTS, tried, format!("It speaks {newest} and others.")),
                None => Finding::fault(CLIENTS, tried, "Something that is no list of versions.", advice),
            },
            Ok(answer) => Finding::fault(CLIENTS, tried, format!("Status {}.", answer.status), advice),
            Err(error) => Finding::fault(CLIENTS, tried, format!("No answer: {error}."), advice),
        }
    }
}

/// What a server's file for clients says.
enum ClientFile {
    Names(String),
    Missing(String),
    Wrong,
}

fn client_base_url(answer: Result<OutboundAnswer, OutboundError>) -> ClientFile {
    let answer = match answer {
        Ok(answer) if answer.status == 200 => answer,
        Ok(answer) => return ClientFile::Missing(format!("No file, with status {}.", answer.status)),
        Err(error) => return ClientFile::Missing(format!("No answer: {error}.")),
    };
    let base_url = parse_value(&answer.body).ok().and_then(|said| {
        let base_url = said.pointer("/m.homeserver/base_url")?.as_str()?.to_owned();
        Some(base_url).filter(|url| url.starts_with("https://") || url.starts_with("http://"))
    });
    base_url.map_or(ClientFile::Wrong, ClientFile::Names)
}

/// The last of the versions that it speaks.
fn versions(answer: &OutboundAnswer) -> Option<String> {
    let said = parse_value(&answer.body).ok()?;
    let newest = said
        .get("versions")?
        .as_array()?
        .iter()
        .filter_map(Value::as_str)
        .next_back()?;
    Some(shown(newest))
}
