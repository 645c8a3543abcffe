//! Where a homeserver is (server-server API, "Resolving server names"). The steps' numbers are the specification's. What
//! DNS has to do with it, steps 3.3 to 6, is done by the door when it connects: see [`service`].

pub(crate) mod delegations;
mod lifetime;
pub(crate) mod well_known;

use gatehouse_outbound::{OutboundRequest, Service};
use http::{Method, header::HOST};
use ruma::ServerName;

use crate::{Federation, FederationError};

/// The port of servers that name none.
const PORT: u16 = 8_448;

/// How the door finds servers whose name, or the name that they delegate to, has no port: by the record registered for
/// it (3.3, 4), by its deprecated forerunner (3.4, 5), else at the port of federation (3.5, 6).
pub fn service() -> Service {
    Service {
        prefixes: vec!["_matrix-fed._tcp".to_owned(), "_matrix._tcp".to_owned()],
        port: PORT,
        name_servers: Vec::new(),
    }
}

/// Where requests to a server go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Location {
    /// `https://` and what follows; the certificate has to be for this host.
    base: String,
    /// The `Host` header.
    host: String,
    /// Whether the door has to find the host's port.
    is_service: bool,
}

impl Location {
    /// Of a server, or of what it delegates to.
    pub(crate) fn of(server: &ServerName) -> Self {
        let host = server.to_string();
        let (base, is_service) = if server.port().is_some() {
            // 2, 3.1, 3.2: exactly there.
            (format!("https://{server}"), false)
        } else if server.is_ip_literal() {
            // 1, 3.1
            (format!("https://{server}:{PORT}"), false)
        } else {
            // 3.3 to 6
            (format!("https://{server}"), true)
        };
        Self {
            base,
            host,
            is_service,
        }
    }

    /// Where requests go, as it is shown to people.
    pub(crate) fn place(&self) -> &str {
        &self.base
    }

    /// The name that the certificate has to be for.
    pub(crate) fn host_name(&self) -> &str {
        let authority = self.base.trim_start_matches("https://");
        match authority.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
            _ => authority,
        }
    }

    /// A request that goes there.
    pub(crate) fn request(&self, method: Method, path: &str) -> OutboundRequest {
        let request = OutboundRequest::new(method, &format!("{}{path}", self.base)).header(HOST, &self.host);
        if self.is_service {
            request.to_service()
        } else {
            request
        }
    }
}

impl Federation {
    /// Where requests to the server go.
    pub(crate) async fn location_of(&self, server: &ServerName) -> Result<Location, FederationError> {
        if !self.allows(server) {
            return Err(FederationError::NotAllowed);
        }
        if server.is_ip_literal() || server.port().is_some() {
            return Ok(Location::of(server));
        }
        // 3
        let delegated = self.delegated(server).await?;
        Ok(Location::of(delegated.as_deref().unwrap_or(server)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_where_the_specification_says() {
        let check = |server: &str, base: &str, is_service: bool| {
            let location = Location::of(&ruma::OwnedServerName::try_from(server).unwrap());
            let expected = Location {
                base: base.to_owned(),
                host: server.to_owned(),
                is_service,
            };
            assert_eq!(location, expected);
        };
        check("1.2.3.4", "https://1.2.3.4:8448", false);
        check("1.2.3.4:1", "https://1.2.3.4:1", false);
        check("[::1]", "https://[::1]:8448", false);
        check("[::1]:1", "https://[::1]:1", false);
        check("a.example:1", "https://a.example:1", false);
        check("a.example", "https://a.example", true);
    }
}
