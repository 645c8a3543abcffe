//! Tests of the engine on the store in memory, and where durability matters on the embedded one.

mod accounts;
mod addresses;
mod keys;
mod lookup;
mod pepper_rotation;
mod pepper_rotation_on_disk;
mod terms;

use std::{collections::BTreeMap, sync::Arc};

use futures_util::future::BoxFuture;
use gatehouse_events::Clock;
use gatehouse_mail::{Carriers, Outbox, OutboxConfig, Templates, Threepid};
use gatehouse_store::{Batch, Store, memory::MemoryBackend};
use parking_lot::Mutex;
use ruma::{OwnedServerName, OwnedUserId, ServerName, UserId, server_name};
use serde_json::Value;

use crate::{
    Config, HomeserverError, Homeservers, Identity, LookupRequest, OpenIdToken, Secret, SignedRequest,
    association_row::AssociationRow, lookup::SHA256, tables::ASSOCIATIONS,
};

/// An arbitrary moment.
const START_MS: u64 = 1_750_000_000_000;

/// An engine, its clock and its store.
struct House {
    identity: Identity,
    clock: Clock,
    store: Store,
    backend: Arc<MemoryBackend>,
    homeservers: Arc<KnownTokens>,
}

fn house() -> House {
    house_with(|_| ())
}

fn house_with(change: impl FnOnce(&mut Config)) -> House {
    let backend = Arc::new(MemoryBackend::new());
    let store = Store::new(backend.clone());
    let clock = Clock::manual(START_MS);
    let homeservers = Arc::new(KnownTokens::default());
    House {
        identity: identity(&store, &clock, homeservers.clone(), change),
        clock,
        store,
        backend,
        homeservers,
    }
}

fn identity(
    store: &Store,
    clock: &Clock,
    homeservers: Arc<KnownTokens>,
    change: impl FnOnce(&mut Config),
) -> Identity {
    let mut config = Config::new(server_name!("id.test").to_owned(), "https://id.test");
    // Most tests look up more often than one may.
    config.rates.enabled = false;
    change(&mut config);
    let outbox = Outbox::new(
        store.clone(),
        clock.clone(),
        Carriers::default(),
        OutboxConfig {
            server_name: "id.test".to_owned(),
        },
        Templates::built_in().unwrap(),
    );
    Identity::new(store.clone(), config, clock.clone(), outbox, homeservers)
}

impl House {
    /// An access token of the user, got as clients do.
    async fn token(&self, user_id: &UserId) -> Secret {
        self.homeservers.give("openid", user_id);
        let token = openid("openid", user_id.server_name().as_str());
        self.identity.register(&token).await.unwrap()
    }

    /// Makes the address the user's, or nobody's.
    async fn bind(&self, address: &str, user_id: Option<&UserId>) {
        bind(&self.identity, address, user_id).await;
    }

    /// Whose these addresses are, looked up with the pepper that is given out.
    async fn owners(&self, addresses: &[&str]) -> BTreeMap<String, OwnedUserId> {
        owners(&self.identity, addresses).await
    }
}

async fn bind(identity: &Identity, address: &str, user_id: Option<&UserId>) {
    let threepid = Threepid::parse("email", address).unwrap();
    let key = ("email".to_owned(), address.to_owned());
    loop {
        let before = identity.get(&ASSOCIATIONS, &key).await.unwrap();
        let mut batch = Batch::new();
        batch.expect(&ASSOCIATIONS, &key, before.as_ref());
        match user_id {
            Some(user_id) => {
                let row = AssociationRow {
                    mxid: user_id.to_owned(),
                    ts: 0,
                };
                batch.put(&ASSOCIATIONS, &key, &row);
            }
            None => batch.delete(&ASSOCIATIONS, &key),
        }
        identity.put_hashes(&mut batch, &threepid, user_id).await.unwrap();
        if identity.commit(batch).await.unwrap().is_some() {
            return;
        }
    }
}

async fn owners(identity: &Identity, addresses: &[&str]) -> BTreeMap<String, OwnedUserId> {
    let pepper = identity.hash_details().await.unwrap().lookup_pepper;
    owners_by(identity, &pepper, addresses).await
}

/// As [`owners`], with a pepper that the client has.
async fn owners_by(identity: &Identity, pepper: &str, addresses: &[&str]) -> BTreeMap<String, OwnedUserId> {
    let hashes: Vec<_> = addresses.iter().map(|address| hash(address, pepper)).collect();
    let request = LookupRequest {
        algorithm: SHA256,
        pepper,
        addresses: &hashes,
    };
    let found = identity.lookup(&id("asker"), &request).await.unwrap();
    let plain = |(hash, user_id): (String, OwnedUserId)| {
        let at = hashes.iter().position(|it| *it == hash).unwrap();
        (addresses[at].to_owned(), user_id)
    };
    found.into_iter().map(plain).collect()
}

/// As a client hashes an e-mail address.
fn hash(address: &str, pepper: &str) -> String {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    use sha2::{Digest as _, Sha256};
    URL_SAFE_NO_PAD.encode(Sha256::digest(format!("{address} email {pepper}")))
}

fn id(localpart: &str) -> OwnedUserId {
    UserId::parse(format!("@{localpart}:house.test")).unwrap()
}

fn openid(token: &str, server: &str) -> OpenIdToken {
    OpenIdToken {
        access_token: Secret::new(token),
        matrix_server_name: server.to_owned(),
        token_type: Some("Bearer".to_owned()),
    }
}

/// Homeservers that know the tokens that they were told of.
#[derive(Default)]
struct KnownTokens {
    tokens: Mutex<BTreeMap<String, OwnedUserId>>,
    are_away: Mutex<bool>,
}

impl KnownTokens {
    fn give(&self, token: &str, user_id: &UserId) {
        self.tokens.lock().insert(token.to_owned(), user_id.to_owned());
    }
}

impl Homeservers for KnownTokens {
    fn openid_user<'a>(
        &'a self,
        _server: &'a ServerName,
        token: &'a str,
    ) -> BoxFuture<'a, Result<OwnedUserId, HomeserverError>> {
        let answer = if *self.are_away.lock() {
            Err(HomeserverError::Later("away".to_owned()))
        } else {
            let user_id = self.tokens.lock().get(token).cloned();
            user_id.ok_or_else(|| HomeserverError::Never("unknown token".to_owned()))
        };
        Box::pin(std::future::ready(answer))
    }

    fn onbind<'a>(
        &'a self,
        _server: &'a ServerName,
        _body: &'a Value,
    ) -> BoxFuture<'a, Result<(), HomeserverError>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn verify_request<'a>(
        &'a self,
        _request: &'a SignedRequest,
    ) -> BoxFuture<'a, Result<OwnedServerName, HomeserverError>> {
        Box::pin(std::future::ready(Err(HomeserverError::Never(
            "unsigned".to_owned(),
        ))))
    }
}
