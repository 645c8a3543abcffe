//! Getting the keys of other servers (server-server API, "Retrieving server keys"): from memory, from the store, from the
//! servers themselves, and from those that are trusted with it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use futures_util::{StreamExt as _, stream};
use gatehouse_events::{SignatureNeeded, json::parse_value};
use gatehouse_outbound::{OutboundAnswer, OutboundError};
use http::Method;
use ruma::{CanonicalJsonValue, OwnedServerName, ServerName, serde::Base64, signatures::PublicKeyMap};
use serde_json::{Value, json};

use crate::{
    Federation, FederationError,
    key_answer::{KeyAnswer, LIFETIME_MS, base64, is_signed_with},
    key_ring::{Asked, Keys},
    known_keys::Source,
    own_keys::canonical_object,
    tables::KeyRow,
};

/// How long an answer may take, and how long it may be (limits.md §4).
const TIMEOUT: Duration = Duration::from_secs(5);
const MAX_BYTES: usize = 64 << 10;

/// How long getting keys may take in all. What comes later is there for the next one who asks.
const IN_ALL: Duration = Duration::from_secs(10);

/// A server is asked again no sooner than this, and after failures twice as late each time, up to the other: somebody
/// may be sending us requests in the name of a server that is not there.
const AGAIN_MS: u64 = 10 * 1_000;
const AGAIN_AT_MOST_MS: u64 = 5 * 60 * 1_000;

/// Trusted servers are asked about a server no sooner again than this: anybody can make us look for keys that do not exist.
const ABOUT_AGAIN_MS: u64 = 60 * 1_000;

/// From so many servers on those that are trusted are asked first: one request instead of many.
const MANY: usize = 20;

/// Servers in one question to a notary, and how long its answer may be and take.
const NOTARY_BATCH: usize = 100;
const NOTARY_MAX_BYTES: usize = 4 << 20;

/// Servers whose keys are looked up at once.
const LOOKUPS: usize = 64;

/// Servers that are asked themselves for one question, at most: whoever makes up events makes up as many servers as they
/// like. Those that were asked just now do not count, so that another question goes on with the next ones.
const ASKED_AT_MOST: usize = 1_000;

/// Which keys of a server are wanted, and when they must be good; `None`: whenever.
type Uses = BTreeSet<(String, Option<u64>)>;
type Wanted = BTreeMap<OwnedServerName, Uses>;

impl Federation {
    /// The keys that could be had and were good when they were used, for events. One whose uses are not all within its
    /// time is left out. Takes ten seconds at most.
    pub(crate) async fn keys_for_events(&self, needed: Vec<SignatureNeeded>) -> PublicKeyMap {
        let mut wanted = Wanted::new();
        for needed in needed {
            let uses = needed.key_ids.into_iter().map(|id| (id, needed.valid_at_ms));
            wanted.entry(needed.server).or_default().extend(uses);
        }
        let missing = self.missing(&wanted).await;
        if !missing.is_empty() {
            // What is not here by then does not stop coming: the tasks go on.
            _ = tokio::time::timeout(IN_ALL, self.get(missing)).await;
        }
        let mut map = PublicKeyMap::new();
        for (server, uses) in wanted {
            let keys = self.keys_here(&server).await;
            let of_server = usable(&keys, &uses);
            if !of_server.is_empty() {
                map.insert(server.to_string(), of_server);
            }
        }
        map
    }

    /// A key with which a server signs its requests now; `None`: it has no such key.
    pub(crate) async fn key_for_requests(
        &self,
        server: &ServerName,
        key_id: &str,
    ) -> Result<Option<Base64>, FederationError> {
        if server == self.server_name() {
            let own = Base64::new(self.key().public_key().to_vec());
            return Ok((key_id == self.key().key_id()).then_some(own));
        }
        let now_ms = self.now_ms();
        let good = |keys: &Arc<Keys>| keys.get(key_id).filter(|key| is_current(key, now_ms)).cloned();
        let mut key = good(&self.keys_here(server).await);
        if key.is_none() {
            let uses = Uses::from([(key_id.to_owned(), Some(now_ms))]);
            let wanted = Wanted::from([(server.to_owned(), uses)]);
            _ = tokio::time::timeout(IN_ALL, self.get(wanted)).await;
            let keys = self.keys_here(server).await;
            key = good(&keys);
            if keys.is_empty() {
                return Err(FederationError::BadAnswer);
            }
        }
        Ok(key.and_then(|key| base64(&key.key)))
    }

    /// What the store cannot say counts as not known: the signature is refused then, and may be tried again.
    async fn keys_here(&self, server: &ServerName) -> Arc<Keys> {
        self.known_keys(server).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "the keys of other servers cannot be read");
            Arc::default()
        })
    }

    /// What of the wanted is not here, but could be somewhere.
    async fn missing(&self, wanted: &Wanted) -> Wanted {
        let lookups: Vec<_> = wanted
            .iter()
            .filter(|(server, _)| **server != *self.server_name())
            .map(|(server, uses)| self.lacking(server.clone(), uses.clone()))
            .collect();
        let found: Vec<_> = stream::iter(lookups).buffer_unordered(LOOKUPS).collect().await;
        found
            .into_iter()
            .filter(|(_, lacking)| !lacking.is_empty())
            .collect()
    }

    async fn lacking(&self, server: OwnedServerName, mut uses: Uses) -> (OwnedServerName, Uses) {
        // Nobody's key is believed for longer, so that nothing could come of asking.
        let too_late = self.now_ms().saturating_add(LIFETIME_MS);
        let keys = self.keys_here(&server).await;
        uses.retain(|(id, at)| !is_good(keys.get(id), *at) && at.is_none_or(|at| at <= too_late));
        (server, uses)
    }

    /// Asks for what is missing. Many are asked for at those that are trusted first.
    async fn get(&self, missing: Wanted) {
        let many = missing.len() > MANY;
        let mut missing = missing;
        if many {
            self.ask_notaries(&missing).await;
            missing = self.missing(&missing).await;
        }
        self.ask_directly(missing.keys().cloned().collect()).await;
        if !many {
            missing = self.missing(&missing).await;
            self.ask_notaries(&missing).await;
        }
    }

    /// Asks each server itself. The tasks go on when nobody waits any more.
    async fn ask_directly(&self, servers: Vec<OwnedServerName>) {
        let (ring, now_ms) = (self.key_ring(), self.now_ms());
        let may_be_asked = |server: &OwnedServerName| {
            let asked = ring.asked(server);
            asked.is_none_or(|asked| now_ms >= asked.at_ms.saturating_add(pause_ms(asked.failures)))
        };
        let tasks: Vec<_> = servers
            .into_iter()
            .filter(may_be_asked)
            .take(ASKED_AT_MOST)
            .map(|server| {
                let federation = self.clone();
                tokio::spawn(async move {
                    if let Err(error) = federation.fetch_keys(&server).await {
                        tracing::debug!(%server, %error, "the server's keys cannot be had from it");
                    }
                })
            })
            .collect();
        for task in tasks {
            // A task that crashed brought nothing.
            _ = task.await;
        }
    }

    /// Asks a server for its keys, unless it was asked just now.
    pub(crate) async fn fetch_keys(&self, server: &ServerName) -> Result<(), FederationError> {
        self.fetch_after(server, pause_ms).await
    }

    /// As [`Self::fetch_keys`], for others, who want newer ones than it gave just now. One that gave none has its pause.
    pub(crate) async fn fetch_keys_again(&self, server: &ServerName) -> Result<(), FederationError> {
        let pause = |failures| if failures == 0 { 0 } else { pause_ms(failures) };
        self.fetch_after(server, pause).await
    }

    async fn fetch_after(
        &self,
        server: &ServerName,
        pause_ms: impl Fn(u32) -> u64,
    ) -> Result<(), FederationError> {
        let ring = self.key_ring();
        let _turn = ring.asking.turn(server).await;
        let now_ms = self.now_ms();
        let before = ring.asked(server);
        if let Some(asked) = before
            && now_ms < asked.at_ms.saturating_add(pause_ms(asked.failures))
        {
            return Ok(());
        }
        // Whoever wanted them waits no longer than this, and others' turn comes.
        let slot = tokio::time::timeout(IN_ALL, ring.fetches.acquire()).await;
        let _slot = slot
            .map_err(|_| FederationError::Unreachable(OutboundError::TimedOut))?
            .map_err(|_| FederationError::Disabled)?;
        let outcome = self.fetch_and_keep(server).await;
        let failures = match &outcome {
            Ok(()) => 0,
            // It is there, and says no: asking costs no more than if it had said yes.
            Err(FederationError::Refused(refusal)) if refusal.status < 500 => 0,
            Err(_) => before.map_or(1, |asked| asked.failures.saturating_add(1)),
        };
        let at_ms = self.now_ms();
        ring.note(server, Asked { at_ms, failures });
        outcome
    }

    async fn fetch_and_keep(&self, server: &ServerName) -> Result<(), FederationError> {
        let outbound = self.outbound().ok_or(FederationError::Disabled)?;
        let location = self.location_of(server).await?;
        let request = location
            .request(Method::GET, "/_matrix/key/v2/server")
            .timeout(TIMEOUT)
            .max_bytes(MAX_BYTES);
        let answer = outbound.send(request).await?;
        if answer.status != 200 {
            return Err(crate::signed::refusal(&answer));
        }
        let answer = self
            .read_answer(json_of(&answer)?)
            .filter(|answer| answer.server == server)
            .ok_or(FederationError::BadAnswer)?;
        self.keep(&answer, Source::Direct).await.map_err(|error| {
            tracing::warn!(%error, "keys cannot be stored");
            FederationError::BadAnswer
        })
    }

    fn read_answer(&self, answer: Value) -> Option<KeyAnswer> {
        let object = canonical_object(answer)?;
        KeyAnswer::read(&object, &self.config().denied_keys, self.now_ms())
    }

    /// Asks those that are trusted.
    async fn ask_notaries(&self, missing: &Wanted) {
        if self.config().trusted_key_servers.is_empty() {
            return;
        }
        let (ring, now_ms) = (self.key_ring(), self.now_ms());
        let missing: Vec<(OwnedServerName, Uses)> = missing
            .iter()
            .filter(|(server, _)| ring.may_ask_about(server, now_ms, ABOUT_AGAIN_MS))
            .map(|(server, uses)| (server.clone(), uses.clone()))
            .collect();
        for notary in &self.config().trusted_key_servers {
            if notary == self.server_name() {
                continue;
            }
            for batch in missing.chunks(NOTARY_BATCH) {
                if let Err(error) = self.ask_notary(notary, batch).await {
                    tracing::debug!(%notary, %error, "the trusted key server is of no help");
                }
            }
        }
    }

    async fn ask_notary(
        &self,
        notary: &ServerName,
        batch: &[(OwnedServerName, Uses)],
    ) -> Result<(), FederationError> {
        let outbound = self.outbound().ok_or(FederationError::Disabled)?;
        let location = self.location_of(notary).await?;
        let request = location
            .request(Method::POST, "/_matrix/key/v2/query")
            .json(&question(batch, self.now_ms()))
            .timeout(TIMEOUT)
            .max_bytes(NOTARY_MAX_BYTES);
        let answer = outbound.send(request).await?;
        if answer.status != 200 {
            return Err(crate::signed::refusal(&answer));
        }
        let mut answer = json_of(&answer)?;
        let Some(Value::Array(answers)) = answer.get_mut("server_keys").map(Value::take) else {
            return Err(FederationError::BadAnswer);
        };
        // Its own keys it has to give us itself.
        self.fetch_keys(notary).await?;
        let own = self.keys_here(notary).await;
        for answer in answers.into_iter().take(2 * NOTARY_BATCH) {
            let Some(object) = canonical_object(answer) else {
                continue;
            };
            let is_vouched_for = signatures_of(&object, notary).any(|id| {
                own.get(id).is_some_and(|key| {
                    is_current(key, self.now_ms()) && is_signed_with(notary.as_str(), &object, id, &key.key)
                })
            });
            let read = KeyAnswer::read(&object, &self.config().denied_keys, self.now_ms());
            let asked_for = |answer: &KeyAnswer| batch.iter().any(|(server, _)| *server == answer.server);
            if let Some(answer) = read.filter(|answer| is_vouched_for && asked_for(answer))
                && let Err(error) = self.keep(&answer, Source::Notary).await
            {
                tracing::warn!(%error, "keys cannot be stored");
            }
        }
        Ok(())
    }
}

/// The answer as JSON that is not nested too deep.
fn json_of(answer: &OutboundAnswer) -> Result<Value, FederationError> {
    parse_value(&answer.body).map_err(|_| FederationError::BadAnswer)
}

/// The ids of the keys with which a server claims to have signed.
fn signatures_of<'a>(
    object: &'a ruma::CanonicalJsonObject,
    server: &ServerName,
) -> impl Iterator<Item = &'a String> + use<'a> {
    object
        .get("signatures")
        .and_then(CanonicalJsonValue::as_object)
        .and_then(|signatures| signatures.get(server.as_str())?.as_object())
        .into_iter()
        .flat_map(|signatures| signatures.keys())
}

fn question(batch: &[(OwnedServerName, Uses)], now_ms: u64) -> Value {
    let servers: serde_json::Map<String, Value> = batch
        .iter()
        .map(|(server, uses)| {
            let keys: serde_json::Map<String, Value> = uses
                .iter()
                .map(|(id, at)| {
                    let criteria = json!({ "minimum_valid_until_ts": at.unwrap_or(now_ms) });
                    (id.clone(), criteria)
                })
                .collect();
            (server.to_string(), keys.into())
        })
        .collect();
    json!({ "server_keys": servers })
}

/// How long a server is left alone after so many failures in a row.
fn pause_ms(failures: u32) -> u64 {
    AGAIN_MS
        .saturating_mul(1 << failures.saturating_sub(1).min(10))
        .min(AGAIN_AT_MOST_MS)
}

fn is_good(key: Option<&KeyRow>, at_ms: Option<u64>) -> bool {
    key.is_some_and(|key| at_ms.is_none_or(|at_ms| at_ms <= key.valid_until_ms))
}

/// E07: a request needs a key that is good now.
fn is_current(key: &KeyRow, now_ms: u64) -> bool {
    !key.is_old && now_ms <= key.valid_until_ms
}

/// The keys whose uses are all within their time (E07).
fn usable(keys: &Keys, uses: &Uses) -> BTreeMap<String, Base64> {
    let mut usable = BTreeMap::new();
    let mut stale = BTreeSet::new();
    for (id, at) in uses {
        match keys.get(id).filter(|key| is_good(Some(key), *at)) {
            Some(key) => usable.extend(base64(&key.key).map(|key| (id.clone(), key))),
            None => _ = stale.insert(id),
        }
    }
    usable.retain(|id, _| !stale.contains(id));
    usable
}
