//! This server, and the scripted ones around it.

use std::sync::Arc;

use gatehouse_events::{Clock, SigningKey};
use gatehouse_federation::{Federation, FederationConfig, discovery::service};
use gatehouse_outbound::{Outbound, OutboundConfig};
use gatehouse_store::{Store, memory::MemoryBackend};
use gatehouse_test_peers::{Authority, NameServer, Peer, Received, Reply};
use ruma::{OwnedServerName, ServerName};
use serde_json::{Value, json};

/// When the tests begin.
pub(crate) const NOW_MS: u64 = 1_700_000_000_000;

pub(crate) struct House {
    pub(crate) authority: Authority,
    pub(crate) names: NameServer,
    pub(crate) store: Store,
    pub(crate) clock: Clock,
    pub(crate) federation: Federation,
}

impl House {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut FederationConfig)) -> Self {
        let authority = Authority::new().unwrap();
        let names = NameServer::start().await.unwrap();
        let (store, clock) = (Store::new(Arc::new(MemoryBackend::new())), Clock::manual(NOW_MS));
        let mut config = FederationConfig::default();
        change(&mut config);
        let federation = own(&authority, &names, &store, &clock, config);
        Self {
            authority,
            names,
            store,
            clock,
            federation,
        }
    }

    /// The same server after a restart.
    pub(crate) fn restarted(&self, change: impl FnOnce(&mut FederationConfig)) -> Federation {
        let mut config = FederationConfig::default();
        change(&mut config);
        own(&self.authority, &self.names, &self.store, &self.clock, config)
    }

    /// A server at a free port of loopback, which is its name.
    pub(crate) async fn peer(
        &self,
        script: impl Fn(&Received) -> Reply + Send + Sync + 'static,
    ) -> (Peer, OwnedServerName) {
        let tls = self.authority.server(&["127.0.0.1"]).unwrap();
        let peer = Peer::start(tls, script).await.unwrap();
        let name = OwnedServerName::try_from(peer.address().to_string()).unwrap();
        (peer, name)
    }

    /// A server under a name of its own, found by its SRV record.
    pub(crate) async fn named(
        &self,
        name: &str,
        script: impl Fn(&Received) -> Reply + Send + Sync + 'static,
    ) -> Peer {
        let tls = self.authority.server(&[name]).unwrap();
        let peer = Peer::start(tls, script).await.unwrap();
        let record = format!("_matrix-fed._tcp.{name}");
        self.names.srv(&record, 1, "localhost", peer.port()).unwrap();
        peer
    }
}

fn own(
    authority: &Authority,
    names: &NameServer,
    store: &Store,
    clock: &Clock,
    config: FederationConfig,
) -> Federation {
    let mut found = service();
    found.name_servers = vec![names.address()];
    let outbound = Outbound::new(&OutboundConfig {
        verify_tls: true,
        deny_ip_ranges: Some(Vec::new()),
        exempt: Vec::new(),
        extra_ca_files: vec![authority.file()],
        service: Some(found),
    })
    .unwrap();
    let name = OwnedServerName::try_from("us.example").unwrap();
    Federation::new(
        store.clone(),
        name,
        Arc::new(key("own")),
        clock.clone(),
        Some(outbound),
        config,
    )
}

/// A key that depends on its version alone.
pub(crate) fn key(version: &str) -> SigningKey {
    let mut seed = [7; 32];
    for (target, byte) in seed.iter_mut().zip(version.bytes()) {
        *target = byte;
    }
    SigningKey::from_seed(seed, version).unwrap()
}

/// What a server says of its keys.
pub(crate) fn keys_of(server: &ServerName, keys: &[&SigningKey], old: &Value, valid_until_ts: u64) -> Value {
    let verify_keys: serde_json::Map<String, Value> = keys
        .iter()
        .map(|key| (key.key_id(), json!({ "key": key.public_key_base64() })))
        .collect();
    let answer = json!({
        "server_name": server,
        "verify_keys": verify_keys,
        "old_verify_keys": old,
        "valid_until_ts": valid_until_ts,
    });
    keys.iter()
        .fold(answer, |answer, key| signed(server, key, answer))
}

/// An object with one more signature.
pub(crate) fn signed(server: &ServerName, key: &SigningKey, object: Value) -> Value {
    let Value::Object(object) = object else {
        panic!("an object")
    };
    let mut object = ruma::canonical_json::try_from_json_map(object).unwrap();
    ruma::signatures::sign_json(server.as_str(), key, &mut object).unwrap();
    serde_json::to_value(object).unwrap()
}

/// The name of a server.
pub(crate) fn name(name: &str) -> OwnedServerName {
    name.try_into().unwrap()
}
