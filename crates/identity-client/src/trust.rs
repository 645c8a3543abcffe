//! Which identity servers users may name, and where those are (security.md T16, T17).

use ruma::ServerName;

/// The operator's word on identity servers.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    /// Whether any server may be named that the address policy lets us reach.
    any: bool,
    /// Servers named one by one, with where they are.
    named: Vec<Named>,
    /// Names of the bundled one.
    bundled: Vec<String>,
}

#[derive(Debug, Clone)]
struct Named {
    name: String,
    base: String,
}

/// An identity server that may be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IdentityServer {
    /// The one in this process.
    Bundled,
    /// Another, by its name and where it is, without a slash at the end.
    Remote {
        /// As users name it: host, and port if any.
        name: String,
        /// Such as `https://id.example.org`; `http` only where the operator named it so.
        base: String,
    },
}

impl Trust {
    /// From `[identity_servers] trusted` and the names under which the bundled one is known. An entry is `*`, a host
    /// with or without a port, or such with `http://` before it for a server without TLS.
    pub fn new(trusted: &[String], bundled: Vec<String>) -> Self {
        let named = trusted.iter().filter(|entry| *entry != "*").map(|entry| {
            let entry = entry.trim_end_matches('/');
            let name = entry
                .strip_prefix("https://")
                .or_else(|| entry.strip_prefix("http://"))
                .unwrap_or(entry);
            let base = if entry.contains("://") {
                entry.to_owned()
            } else {
                format!("https://{entry}")
            };
            Named {
                name: name.to_ascii_lowercase(),
                base,
            }
        });
        Self {
            any: trusted.iter().any(|entry| entry == "*"),
            named: named.collect(),
            bundled: bundled
                .into_iter()
                .map(|name| name.to_ascii_lowercase())
                .collect(),
        }
    }

    /// Hosts that the operator named, and which therefore may be in a private network.
    pub fn named(&self) -> impl Iterator<Item = &str> {
        self.named.iter().map(|named| named.name.as_str())
    }

    /// Whether the operator named this server, or it is the bundled one. Its word on who owns an address may then be taken
    /// for accounts here; any other server could be the client's own.
    pub fn is_named(&self, id_server: &str) -> bool {
        let name = id_server.to_ascii_lowercase();
        self.bundled.contains(&name) || self.named.iter().any(|named| named.name == name)
    }

    /// Whether the URL is one of a server that the operator named as one without TLS (security.md T15).
    pub(crate) fn is_named_without_tls(&self, url: &str) -> bool {
        let plain = self
            .named
            .iter()
            .filter(|named| named.base.starts_with("http://"));
        plain
            .filter_map(|named| url.strip_prefix(named.base.as_str()))
            .any(|path| path.starts_with('/'))
    }

    /// The server that a client means; `None` when it is not to be asked.
    pub fn server(&self, id_server: &str) -> Option<IdentityServer> {
        let name = id_server.to_ascii_lowercase();
        if self.bundled.contains(&name) {
            return Some(IdentityServer::Bundled);
        }
        if let Some(named) = self.named.iter().find(|named| named.name == name) {
            return Some(IdentityServer::Remote {
                name,
                base: named.base.clone(),
            });
        }
        // The grammar of server names keeps paths, user names and queries out of the address.
        (self.any && ServerName::parse(&name).is_ok()).then(|| IdentityServer::Remote {
            base: format!("https://{name}"),
            name,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base(trust: &Trust, name: &str) -> Option<String> {
        match trust.server(name)? {
            IdentityServer::Bundled => Some("bundled".to_owned()),
            IdentityServer::Remote { base, .. } => Some(base),
        }
    }

    #[test]
    fn the_word_of_a_server_that_nobody_named_is_not_taken() {
        let trusted = ["*".to_owned(), "https://id.example".to_owned()];
        let trust = Trust::new(&trusted, vec!["hs.example".to_owned()]);
        assert!(trust.is_named("ID.example") && trust.is_named("hs.example"));
        assert!(!trust.is_named("other.example") && trust.server("other.example").is_some());
    }

    #[test]
    fn t17_only_servers_of_the_list_may_be_named() {
        let trusted = ["id.example.org".to_owned(), "http://127.0.0.1:8090".to_owned()];
        let trust = Trust::new(&trusted, vec!["hs.example.org".to_owned()]);
        assert_eq!(
            base(&trust, "ID.example.org").as_deref(),
            Some("https://id.example.org")
        );
        assert_eq!(
            base(&trust, "127.0.0.1:8090").as_deref(),
            Some("http://127.0.0.1:8090")
        );
        assert_eq!(base(&trust, "hs.example.org").as_deref(), Some("bundled"));
        assert_eq!(base(&trust, "127.0.0.1"), None);
        assert_eq!(base(&trust, "evil.example"), None);
    }

    #[test]
    fn t15_keys_are_asked_for_without_tls_where_the_operator_said_so_and_nowhere_else() {
        let trusted = ["http://127.0.0.1:8090".to_owned(), "id.example".to_owned()];
        let trust = Trust::new(&trusted, Vec::new());
        assert!(trust.is_named_without_tls("http://127.0.0.1:8090/isvalid"));
        for url in [
            "http://127.0.0.1:80901/isvalid",
            "http://127.0.0.1:8090.evil.example/isvalid",
            "http://127.0.0.1:8090@evil.example/isvalid",
            "http://id.example/isvalid",
            "http://evil.example/isvalid",
        ] {
            assert!(!trust.is_named_without_tls(url), "{url}");
        }
    }

    #[test]
    fn t17_a_name_is_never_more_than_host_and_port() {
        let trust = Trust::new(&["*".to_owned()], Vec::new());
        assert_eq!(
            base(&trust, "any.example:8448").as_deref(),
            Some("https://any.example:8448")
        );
        for name in [
            "",
            "https://a.example",
            "a.example/path",
            "user@a.example",
            "a.example?x",
            "a.example#x",
            "a.example:80:90",
            "a b",
            "a.example\\b",
            "a.example%2f",
        ] {
            assert_eq!(base(&trust, name), None, "{name}");
        }
    }
}
