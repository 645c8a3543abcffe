//! The bundled identity service: its settings from the configuration, and the names by which it is known.

use std::{collections::BTreeMap, iter};

use gatehouse_events::SigningKey;
use gatehouse_identity::{
    Config as IdentityConfig, LookupConfig, Policy, PolicyText, Rate, Rates, SealingKey,
};
use ruma::OwnedServerName;

use crate::{
    StartError,
    config::{Config, PolicyConfig},
    outside::authority,
};

/// Where the identity service is reached, without a slash at the end.
pub(crate) fn base_url(config: &Config) -> String {
    let own = config.identity_service.public_baseurl.clone();
    let url = own.unwrap_or_else(|| config.baseurl());
    url.trim_end_matches('/').to_owned()
}

/// Where clients look for an identity server (`m.identity_server` in `/.well-known/matrix/client`).
pub(crate) fn told_to_clients(config: &Config) -> Option<String> {
    let bundled = config.identity_service.enabled.then(|| base_url(config));
    config.identity_servers.default.clone().or(bundled)
}

/// The names under which users may mean the bundled one: its own, the host at which it is reached, and the homeserver's,
/// which is the only one that somebody who has configured nothing knows. What the operator lists is what they say it is.
pub(crate) fn names(config: &Config) -> Vec<String> {
    if !config.identity_service.enabled {
        return Vec::new();
    }
    let base_url = base_url(config);
    let host = authority(&base_url).map(ToOwned::to_owned);
    let homeserver = Some(config.server_name.clone()).filter(|name| !is_listed(config, name));
    let own = config.identity_service.server_name.clone();
    own.into_iter().chain(host).chain(homeserver).collect()
}

fn is_listed(config: &Config, name: &str) -> bool {
    let hosts = config.identity_servers.trusted.iter().map(|entry| {
        let (_, host) = entry.split_once("://").unwrap_or(("", entry));
        host.trim_end_matches('/')
    });
    hosts.into_iter().any(|host| host.eq_ignore_ascii_case(name))
}

/// The names for which homeservers sign requests to the service: its own, and the host at which they find it.
pub(crate) fn signed_for(settings: &IdentityConfig) -> Vec<String> {
    let host = authority(&settings.base_url).map(ToOwned::to_owned);
    iter::once(settings.server_name.to_string()).chain(host).collect()
}

/// What the key is derived for under which the identity service's private keys are stored.
const SEALING_PURPOSE: &str = "gatehouse: keys of the identity service";

/// The engine's settings, with its private keys sealed under the server's key.
pub(crate) fn settings(config: &Config, key: &SigningKey) -> Result<IdentityConfig, StartError> {
    let service = &config.identity_service;
    let base_url = base_url(config);
    let server_name = match service.server_name.as_deref() {
        Some(name) => {
            OwnedServerName::try_from(name).map_err(|_| StartError::IdentityName(name.to_owned()))?
        }
        // One that listens at a unix socket has no host until it is told its public address.
        None => authority(&base_url)
            .and_then(|host| OwnedServerName::try_from(host).ok())
            .map_or_else(|| own_name(config), Ok)?,
    };
    let mut settings = IdentityConfig::new(server_name, base_url);
    settings.pages_base_url = pages_base_url(config);
    settings.next_link_hosts.clone_from(&service.next_link_hosts);
    settings.lookup = LookupConfig {
        max_addresses: service.max_lookup_addresses,
        allow_unhashed: service.unhashed_lookups,
        ..LookupConfig::default()
    };
    settings.sealing_key = Some(SealingKey::new(key.derive_key(SEALING_PURPOSE)));
    settings.policies = policies(&service.policies);
    settings.rates = rates(config);
    Ok(settings)
}

/// One policy for each id, in all the languages that the configuration has it in.
fn policies(configured: &[PolicyConfig]) -> Vec<Policy> {
    let mut policies: Vec<Policy> = Vec::new();
    for entry in configured {
        let text = PolicyText {
            name: entry.name.clone(),
            url: entry.url.clone(),
        };
        let known = policies
            .iter_mut()
            .find(|policy| policy.id == entry.id && policy.version == entry.version);
        match known {
            Some(policy) => _ = policy.languages.insert(entry.language.clone(), text),
            None => policies.push(Policy {
                id: entry.id.clone(),
                version: entry.version.clone(),
                languages: BTreeMap::from([(entry.language.clone(), text)]),
            }),
        }
    }
    policies
}

fn own_name(config: &Config) -> Result<OwnedServerName, StartError> {
    OwnedServerName::try_from(config.server_name.as_str())
        .map_err(|_| StartError::ServerName(config.server_name.clone()))
}

/// Where the pages are: with the homeserver, whoever runs the identity service.
fn pages_base_url(config: &Config) -> String {
    config.baseurl().trim_end_matches('/').to_owned()
}

/// What the operator says of the homeserver's limits holds for the service in the same process.
fn rates(config: &Config) -> Rates {
    let limits = &config.rate_limits;
    let mut rates = Rates {
        enabled: limits.enabled,
        ..Rates::default()
    };
    if let Some(rate) = limits.third_party_invites {
        let rate = Rate {
            per_second: rate.per_second,
            burst: rate.burst,
        };
        rates.invitations_per_sender = rate;
        rates.invitations_per_address = rate;
        rates.invitations_per_room = rate;
    }
    if let Some(rate) = limits.threepid_validation {
        rates.validations_per_address = Rate {
            per_second: rate.per_second,
            burst: rate.burst,
        };
    }
    rates
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bundled_service_is_known_by_the_homeservers_name_too() {
        let mut config = Config::default();
        let known = |config: &Config| names(config).contains(&"localhost".to_owned());
        assert!(known(&config), "{:?}", names(&config));
        // Unless the operator says that it is another's.
        config.identity_servers.trusted = vec!["https://localhost/".to_owned()];
        assert!(!known(&config));
        config.identity_service.enabled = false;
        assert_eq!(names(&config), Vec::<String>::new());
    }
}
