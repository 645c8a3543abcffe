//! A homeserver that is played by a test: it has a name, a key, and a key server with TLS; it signs requests and events,
//! true ones and false ones, and answers what it is asked as it was told to.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use anyhow::{Context as _, Result};
use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use gatehouse_events::{Pdu, RoomVersion, SigningKey};
use parking_lot::Mutex;
use ruma::{
    CanonicalJsonObject, RoomId,
    signatures::{KeyPair as _, hash_and_sign_event, sign_json},
};
use serde_json::{Value, json};

use crate::{Authority, Peer, Received, Reply};

/// How long its keys are good for: less than the week that is believed.
const KEYS_ARE_GOOD_MS: u64 = 6 * 24 * 60 * 60 * 1_000;

type Answers = Arc<Mutex<Vec<(String, Arc<dyn Fn(&Received) -> Reply + Send + Sync>)>>>;

/// A homeserver played by a test. It stops when dropped.
pub struct Homeserver {
    name: String,
    key: Arc<SigningKey>,
    peer: Peer,
    answers: Answers,
    refuses_keys: Arc<AtomicBool>,
}

/// An event that the homeserver has hashed and signed.
#[derive(Debug, Clone)]
pub struct SignedEvent {
    /// Its id.
    pub id: String,
    /// Its reference hash.
    pub hash: String,
    /// As it is sent.
    pub pdu: Value,
}

impl Homeserver {
    /// One on a free port of loopback, whose keys are good for some days from then on.
    pub async fn start(authority: &Authority, now_ms: u64) -> Result<Self> {
        let key = Arc::new(SigningKey::generate()?);
        let tls = authority.server(&["127.0.0.1"])?;
        let (shared, answers): (_, Answers) = (Arc::clone(&key), Answers::default());
        let scripted = Arc::clone(&answers);
        let address: SocketAddr = "127.0.0.1:0".parse()?;
        // The name is the address, which is known when the port is.
        let own = Arc::new(Mutex::new(String::new()));
        let own_name = Arc::clone(&own);
        let refuses_keys = Arc::new(AtomicBool::new(false));
        let refuses = Arc::clone(&refuses_keys);
        let peer = Peer::at(address, tls, move |asked| {
            let name = own_name.lock().clone();
            if asked.uri.starts_with("/_matrix/key/v2/server") && !refuses.load(Ordering::Relaxed) {
                return Reply::json(200, &key_answer(&name, &shared, now_ms + KEYS_ARE_GOOD_MS));
            }
            let answer = scripted
                .lock()
                .iter()
                .rev()
                .find(|(path, _)| asked.uri.starts_with(path.as_str()))
                .map(|(_, answer)| Arc::clone(answer));
            let unknown = json!({ "errcode": "M_UNRECOGNIZED", "error": "not in the script" });
            answer.map_or_else(|| Reply::json(404, &unknown), |answer| answer(asked))
        })
        .await?;
        let name = peer.address().to_string();
        own.lock().clone_from(&name);
        Ok(Self {
            name,
            key,
            peer,
            answers,
            refuses_keys,
        })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A user of its own.
    pub fn user(&self, localpart: &str) -> String {
        format!("@{localpart}:{}", self.name)
    }

    /// Its key.
    pub fn key(&self) -> &Arc<SigningKey> {
        &self.key
    }

    /// What it was asked so far.
    pub fn received(&self) -> Vec<Received> {
        self.peer.received()
    }

    /// Waits until what it was asked is as it should be, and gives all of it.
    pub async fn until(&self, is_so: impl Fn(&[Received]) -> bool) -> Result<Vec<Received>> {
        self.peer.until(is_so).await
    }

    /// How often it was asked for what begins with this path.
    pub fn times_asked(&self, path: &str) -> usize {
        let received = self.peer.received();
        received
            .iter()
            .filter(|asked| asked.uri.starts_with(path))
            .count()
    }

    /// From now on it answers so what begins with this path. What was told last comes first.
    pub fn answer(&self, path: &str, answer: impl Fn(&Received) -> Reply + Send + Sync + 'static) {
        self.answers.lock().push((path.to_owned(), Arc::new(answer)));
    }

    /// Whether it refuses to say which keys it has.
    pub fn refuse_keys(&self, refuses: bool) {
        self.refuses_keys.store(refuses, Ordering::Relaxed);
    }

    /// The `Authorization` of a request to a server.
    pub fn authorization(&self, destination: &str, method: &str, uri: &str, body: Option<&Value>) -> String {
        let mut signed = json!({
            "method": method, "uri": uri, "origin": self.name, "destination": destination,
        });
        if let (Some(body), Some(signed)) = (body, signed.as_object_mut()) {
            signed.insert("content".to_owned(), body.clone());
        }
        // With the keys in their order, and numbers as they are: what a lenient server signs.
        let sig = self.key.sign(signed.to_string().as_bytes()).base64();
        let key = self.key.key_id();
        format!(
            "X-Matrix origin=\"{}\",destination=\"{destination}\",key=\"{key}\",sig=\"{sig}\"",
            self.name
        )
    }

    /// Hashes and signs an event of this room. It may have signatures already, which stay.
    pub fn sign(&self, version: RoomVersion, room_id: &RoomId, event: &Value) -> Result<SignedEvent> {
        self.sign_as(&self.name, version, room_id, event)
    }

    /// As [`Self::sign`], in another's name.
    pub fn sign_as(
        &self,
        name: &str,
        version: RoomVersion,
        room_id: &RoomId,
        event: &Value,
    ) -> Result<SignedEvent> {
        let mut object: CanonicalJsonObject = serde_json::from_value(event.clone())?;
        hash_and_sign_event(name, &*self.key, &mut object, &version.rules().redaction)?;
        let json = serde_json::to_string(&object)?;
        let read = Pdu::parse(&json, room_id, version).context(json.clone())?;
        Ok(SignedEvent {
            id: read.event.event_id.to_string(),
            hash: read.reference_hash,
            pdu: serde_json::from_str(&json)?,
        })
    }
}

fn key_answer(name: &str, key: &SigningKey, valid_until_ts: u64) -> Value {
    let public = STANDARD_NO_PAD.encode(key.public_key());
    let answer = json!({
        "server_name": name, "valid_until_ts": valid_until_ts, "old_verify_keys": {},
        "verify_keys": { key.key_id(): { "key": public } },
    });
    let mut object: CanonicalJsonObject = serde_json::from_value(answer).unwrap_or_default();
    // What cannot be signed goes unsigned, and is not believed.
    _ = sign_json(name, key, &mut object);
    serde_json::to_value(object).unwrap_or_default()
}
