//! The first three checks: form, signatures, hash. Every event of another server comes in here (security.md E04).

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use gatehouse_events::{Pdu, PduError, RoomVersion, SignatureNeeded};
use ruma::{OwnedEventId, OwnedServerName, RoomId, serde::Base64, signatures::PublicKeyMap};
use serde_json::value::RawValue;
use thiserror::Error;
use tokio::time::{Instant, timeout_at};

use crate::Rooms;

/// How long keys of an earlier time may be looked for, for all events that come together. Whoever makes up events can make
/// up servers, too, that take their time.
const PATIENCE_WITH_KEYS: Duration = Duration::from_secs(10);

/// Why an event is not looked at further.
#[derive(Debug, Clone, Error)]
#[error("{error}")]
pub(crate) struct PduRefusal {
    /// Its id, when it has one.
    pub(crate) event_id: Option<OwnedEventId>,
    /// The reason.
    pub(crate) error: PduError,
}

impl From<PduError> for PduRefusal {
    fn from(error: PduError) -> Self {
        Self {
            event_id: None,
            error,
        }
    }
}

/// A server and one of its keys.
type KeyName = (OwnedServerName, String);

/// The keys of those who signed events that came together.
#[derive(Default)]
struct BatchKeys {
    /// Those that were good at the latest time at which they were used.
    found: PublicKeyMap,
    /// That time.
    latest: BTreeMap<KeyName, Option<u64>>,
}

impl BatchKeys {
    /// Whether a key that an event needs is not here.
    fn lacks(&self, needed: &SignatureNeeded) -> bool {
        let found = self.found.get(needed.server.as_str());
        found.is_none_or(|found| !needed.key_ids.iter().any(|id| found.contains_key(id)))
    }

    /// Whether it was asked for at another time than that of the event, when it may have been good.
    fn was_asked_for_later(&self, needed: &SignatureNeeded) -> bool {
        let name = |id: &String| (needed.server.clone(), id.clone());
        let mut asked = needed.key_ids.iter().filter_map(|id| self.latest.get(&name(id)));
        asked.any(|latest| *latest != needed.valid_at_ms)
    }
}

impl Rooms {
    /// Reads events of a room and checks who signed them, in their order. One that is wrong does not harm the others; one
    /// whose content has another hash than it says comes out redacted.
    pub(crate) async fn check_pdus(
        &self,
        version: RoomVersion,
        room_id: &RoomId,
        raws: &[Box<RawValue>],
    ) -> Vec<Result<Pdu, PduRefusal>> {
        let parsed: Vec<Result<(Pdu, Vec<SignatureNeeded>), PduRefusal>> = raws
            .iter()
            .map(|raw| {
                let pdu = Pdu::parse(raw.get(), room_id, version)?;
                match pdu.signatures_needed() {
                    Ok(needed) => Ok((pdu, needed)),
                    Err(error) => Err(PduRefusal {
                        event_id: Some(pdu.event.event_id),
                        error,
                    }),
                }
            })
            .collect();
        let keys = self
            .keys_for_all(parsed.iter().flatten().flat_map(|(_, needed)| needed))
            .await;
        let deadline = Instant::now() + PATIENCE_WITH_KEYS;
        let mut checked = Vec::with_capacity(parsed.len());
        for parsed in parsed {
            checked.push(match parsed {
                Ok((pdu, needed)) => self.check_signatures(pdu, needed, &keys, deadline).await,
                Err(refusal) => Err(refusal),
            });
        }
        checked
    }

    async fn check_signatures(
        &self,
        pdu: Pdu,
        needed: Vec<SignatureNeeded>,
        keys: &BatchKeys,
        deadline: Instant,
    ) -> Result<Pdu, PduRefusal> {
        let event_id = pdu.event.event_id.clone();
        let refused = |error| PduRefusal {
            event_id: Some(event_id),
            error,
        };
        let lacking = || needed.iter().filter(|needed| keys.lacks(needed));
        // What nobody had a moment ago nobody has now. But a key may have been good when this event was made and not later,
        // when others of the batch were.
        let is_worth_asking = lacking().all(|needed| keys.was_asked_for_later(needed));
        if lacking().next().is_none() || !is_worth_asking || Instant::now() >= deadline {
            return pdu.verify(&keys.found).map_err(refused);
        }
        let own = timeout_at(deadline, self.shared.remote.keys(needed.clone())).await;
        let mut own = own.unwrap_or_default();
        self.add_own_key(&mut own, &needed);
        pdu.verify(&own).map_err(refused)
    }

    /// The keys that are valid for all of these. A key that was valid at one time was valid before, so each is asked for
    /// at the latest.
    async fn keys_for_all<'a>(&self, needed: impl Iterator<Item = &'a SignatureNeeded>) -> BatchKeys {
        let mut latest: BTreeMap<KeyName, Option<u64>> = BTreeMap::new();
        let mut own = BTreeSet::new();
        for needed in needed {
            for key_id in &needed.key_ids {
                if needed.server == self.server_name() && *key_id == self.shared.key.key_id() {
                    own.insert(needed.server.clone());
                    continue;
                }
                let time = latest.entry((needed.server.clone(), key_id.clone())).or_default();
                *time = (*time).max(needed.valid_at_ms);
            }
        }
        let wanted: Vec<SignatureNeeded> = latest
            .iter()
            .map(|((server, key_id), valid_at_ms)| SignatureNeeded {
                server: server.clone(),
                key_ids: vec![key_id.clone()],
                valid_at_ms: *valid_at_ms,
            })
            .collect();
        let mut found = if wanted.is_empty() {
            PublicKeyMap::new()
        } else {
            self.shared.remote.keys(wanted).await
        };
        if !own.is_empty() {
            self.insert_own_key(&mut found);
        }
        BatchKeys { found, latest }
    }

    fn add_own_key(&self, keys: &mut PublicKeyMap, needed: &[SignatureNeeded]) {
        if needed.iter().any(|needed| needed.server == self.server_name()) {
            self.insert_own_key(keys);
        }
    }

    fn insert_own_key(&self, keys: &mut PublicKeyMap) {
        let key = &self.shared.key;
        keys.entry(self.server_name().to_string())
            .or_default()
            .insert(key.key_id(), Base64::new(key.public_key().to_vec()));
    }
}
