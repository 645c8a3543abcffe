//! What the configuration says to an identity server without a homeserver.

use super::{Api, Config, ListenerConfig};
use crate::StartError;

/// Where it listens when nothing is said: beside a homeserver with its defaults on the same machine.
const PORT: u16 = 8090;

impl Config {
    /// As the identity service alone reads it: only its listeners, and its address as the only one.
    pub(crate) fn for_identity_alone(mut self) -> Result<Self, StartError> {
        if !self.federation.enabled {
            return Err(StartError::IdentityWithoutFederation);
        }
        if self.listener.is_empty() {
            self.listener = vec![ListenerConfig {
                port: PORT,
                ..ListenerConfig::default()
            }];
        }
        let serves = |listener: &ListenerConfig, api| listener.serve.contains(&api);
        let (mut listeners, others): (Vec<_>, Vec<_>) = self
            .listener
            .into_iter()
            .partition(|listener| serves(listener, Api::Identity));
        if listeners.is_empty() {
            return Err(StartError::NoIdentityListener);
        }
        // Monitoring has one of its own; those with any other API are the homeserver's.
        listeners.extend(
            others
                .into_iter()
                .filter(|listener| listener.serve == [Api::Metrics]),
        );
        self.listener = listeners;
        if let Some(address) = self.identity_service.public_baseurl.clone() {
            self.public_baseurl = Some(address);
        }
        self.identity_service.enabled = true;
        // Nobody registers here.
        self.registration.email_required = false;
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alone(settings: &str) -> Result<Config, StartError> {
        toml::from_str::<Config>(settings).unwrap().for_identity_alone()
    }

    #[test]
    fn with_no_settings_it_stands_beside_a_homeserver_with_none() {
        let config = alone("").ok().unwrap();
        assert_eq!(config.baseurl(), "http://127.0.0.1:8090/");
    }

    #[test]
    fn only_its_own_listeners_are_opened_and_the_first_is_its_address() {
        let config = alone(
            "[[listener]]\nport = 1\nserve = ['client', 'metrics']\n[[listener]]\nport = 2\nserve = ['metrics']\n\
             [[listener]]\nport = 3\nserve = ['identity']",
        );
        let config = config.ok().unwrap();
        let ports: Vec<_> = config.listener.iter().map(|listener| listener.port).collect();
        assert_eq!(ports, [3, 2]);
        assert_eq!(config.baseurl(), "http://127.0.0.1:3/");
    }

    #[test]
    fn its_own_address_comes_before_the_homeservers() {
        let homeserver = "public_baseurl = 'https://matrix.example'\n";
        let both =
            format!("{homeserver}[identity_service]\nenabled = false\npublic_baseurl = 'https://id.example'");
        for (settings, address) in [
            (homeserver, "https://matrix.example"),
            (&both, "https://id.example"),
        ] {
            let config = alone(settings).ok().unwrap();
            assert_eq!(config.baseurl(), address);
            assert!(config.identity_service.enabled);
        }
    }

    #[test]
    fn what_cannot_work_is_refused_with_advice() {
        for (settings, advice) in [
            ("[[listener]]\nserve = ['client']", "add it to `serve`"),
            ("[federation]\nenabled = false", "`[federation] enabled = true`"),
        ] {
            let sentence = alone(settings).err().unwrap().to_string();
            assert!(sentence.contains(advice), "{settings}: {sentence}");
        }
    }
}
