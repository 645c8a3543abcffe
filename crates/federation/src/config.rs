//! The settings.

use ruma::{OwnedServerName, ServerName};

use crate::random::Randomness;

/// The settings.
#[derive(Debug, Clone, Default)]
pub struct FederationConfig {
    /// Servers that are asked for the keys of those who cannot be.
    pub trusted_key_servers: Vec<OwnedServerName>,
    /// Public keys in unpadded base64 whose private halves are known to the public: nobody is believed who uses them.
    pub denied_keys: Vec<String>,
    /// The keys that this server signed with before.
    pub old_keys: Vec<OldKey>,
    /// When any are named, only these servers are talked to. `*.example.org` is every host below `example.org`.
    pub allow_servers: Vec<String>,
    /// These are not talked to.
    pub deny_servers: Vec<String>,
    /// Where the lengths of pauses come from.
    pub randomness: Randomness,
    /// How fast a server may send events into one room; `None`: as fast as it can.
    pub pdu_pace: Option<PduPace>,
}

/// A key that this server signed with before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OldKey {
    /// Its id, such as `ed25519:a_1`.
    pub key_id: String,
    /// The public half in unpadded base64.
    pub key: String,
    /// Since when it is not used any more, in milliseconds since 1970.
    pub expired_ts: u64,
}

/// How fast a server may send events into one room.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PduPace {
    /// In the long run.
    pub per_second: u32,
    /// At once: a server that was away has much to tell.
    pub burst: u32,
}

impl Default for PduPace {
    /// limits.md, `federation`.
    fn default() -> Self {
        Self {
            per_second: 20,
            burst: 1_000,
        }
    }
}

impl FederationConfig {
    /// Whether the server may be talked to.
    pub fn allows(&self, server: &ServerName) -> bool {
        let named = |list: &[String]| list.iter().any(|pattern| matches(pattern, server));
        !named(&self.deny_servers) && (self.allow_servers.is_empty() || named(&self.allow_servers))
    }
}

fn matches(pattern: &str, server: &ServerName) -> bool {
    let (pattern, host) = (pattern.to_ascii_lowercase(), server.host().to_ascii_lowercase());
    match pattern.strip_prefix('*') {
        Some(ending) => ending.starts_with('.') && host.ends_with(ending),
        None => pattern == host || pattern.eq_ignore_ascii_case(server.as_str()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(allow: &[&str], deny: &[&str], server: &str) -> bool {
        let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let config = FederationConfig {
            allow_servers: list(allow),
            deny_servers: list(deny),
            ..FederationConfig::default()
        };
        config.allows(&OwnedServerName::try_from(server).unwrap())
    }

    #[test]
    fn who_may_be_talked_to_is_as_the_lists_say() {
        assert!(allows(&[], &[], "a.example"));
        assert!(!allows(&[], &["A.example"], "a.EXAMPLE:8448"));
        assert!(!allows(&[], &["*.example"], "a.example"));
        assert!(allows(&[], &["*.example", "*le2"], "example2"));
        assert!(allows(&["a.example"], &[], "a.example:8448"));
        assert!(!allows(&["a.example"], &[], "b.example"));
        assert!(!allows(&["a.example"], &["a.example"], "a.example"));
        assert!(allows(&["a.example:1"], &[], "a.example:1"));
        assert!(!allows(&["a.example:1"], &[], "a.example:2"));
    }
}
