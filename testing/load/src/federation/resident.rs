//! A homeserver that is played: it owns rooms, hands them over to whoever joins, and takes what it is sent.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use anyhow::{Context as _, Result, bail};
use gatehouse_events::SigningKey;
use gatehouse_test_peers::{Peer, Received, Reply};
use parking_lot::Mutex;
use ruma::{
    CanonicalJsonObject, OwnedServerName, OwnedUserId, RoomId, ServerName, UserId,
    signatures::{KeyPair as _, sign_json},
};
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use super::{
    arrivals::Arrivals,
    files,
    room::{Room, Signer},
};

/// How long its keys are good for.
const KEYS_ARE_GOOD_MS: u64 = 6 * 24 * 60 * 60 * 1_000;

/// A homeserver that is played. It stops when dropped.
pub(super) struct Resident {
    shared: Arc<Shared>,
    _peer: Peer,
}

struct Shared {
    name: OwnedServerName,
    key: SigningKey,
    rooms: Mutex<Vec<Room>>,
    arrivals: Arrivals,
    /// It takes connections and says nothing.
    is_dead: AtomicBool,
}

impl Resident {
    /// One on a free port, with the certificate of this folder.
    pub(super) async fn start(folder: &Path) -> Result<Self> {
        // The name is the address, which is known when the port is.
        let script: Arc<Mutex<Option<Arc<Shared>>>> = Arc::default();
        let scripted = Arc::clone(&script);
        let peer = Peer::start(files::tls(folder)?, move |asked| {
            let shared = scripted.lock().clone();
            shared.map_or_else(Reply::silence, |shared| shared.answer(asked))
        })
        .await?;
        let shared = Arc::new(Shared {
            name: OwnedServerName::try_from(peer.address().to_string())?,
            key: SigningKey::generate()?,
            rooms: Mutex::default(),
            arrivals: Arrivals::default(),
            is_dead: AtomicBool::new(false),
        });
        *script.lock() = Some(Arc::clone(&shared));
        Ok(Self { shared, _peer: peer })
    }

    pub(super) fn name(&self) -> &ServerName {
        &self.shared.name
    }

    pub(super) fn signer(&self) -> Signer<'_> {
        Signer {
            name: &self.shared.name,
            key: &self.shared.key,
        }
    }

    pub(super) fn user(&self, localpart: &str) -> Result<OwnedUserId> {
        Ok(UserId::parse(format!("@{localpart}:{}", self.shared.name))?)
    }

    pub(super) fn host(&self, room: Room) {
        self.shared.rooms.lock().push(room);
    }

    pub(super) fn arrivals(&self) -> &Arrivals {
        &self.shared.arrivals
    }

    /// From now on it takes connections and says nothing.
    pub(super) fn die(&self) {
        self.shared.is_dead.store(true, Ordering::Relaxed);
    }

    /// The creator of a room says something there. Gives the PDU's id and text.
    pub(super) fn say(&self, room_id: &RoomId, text: &str) -> Result<(String, String)> {
        let mut rooms = self.shared.rooms.lock();
        let room = rooms.iter_mut().find(|room| room.id == room_id);
        let room = room.context("no such room")?;
        let id = room.say(self.signer(), text)?;
        let pdu = room.event(&id).context("it was just made")?.to_owned();
        Ok((id, pdu))
    }

    /// The `Authorization` of a request; a body has to be canonical JSON.
    pub(super) fn authorization(
        &self,
        destination: &str,
        method: &str,
        uri: &str,
        body: Option<&str>,
    ) -> String {
        let (name, key) = (&self.shared.name, &self.shared.key);
        let content = body.map_or_else(String::new, |body| format!("\"content\":{body},"));
        // The keys in their order: canonical JSON.
        let signed = format!(
            "{{{content}\"destination\":\"{destination}\",\"method\":\"{method}\",\"origin\":\"{name}\",\"uri\":\"{uri}\"}}"
        );
        let sig = key.sign(signed.as_bytes()).base64();
        format!(
            "X-Matrix origin=\"{name}\",destination=\"{destination}\",key=\"{}\",sig=\"{sig}\"",
            key.key_id()
        )
    }

    /// The id of the last event of a room.
    pub(super) fn last(&self, room_id: &RoomId) -> Result<String> {
        let rooms = self.shared.rooms.lock();
        let room = rooms.iter().find(|room| room.id == room_id);
        let last = room.and_then(Room::last);
        last.map(ToOwned::to_owned).context("no such room")
    }
}

impl Shared {
    fn answer(&self, asked: &Received) -> Reply {
        if self.is_dead.load(Ordering::Relaxed) {
            return Reply::silence();
        }
        let (path, query) = asked.uri.split_once('?').unwrap_or((&asked.uri, ""));
        let segments: Vec<String> = path.split('/').skip(2).map(decoded).collect();
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        match self.respond(&segments, query, asked) {
            Ok(body) => Reply::bytes(200, body).header("content-type", "application/json"),
            Err(error) => {
                let unknown = json!({ "errcode": "M_UNRECOGNIZED", "error": error.to_string() });
                Reply::json(404, &unknown)
            }
        }
    }

    fn respond(&self, path: &[&str], query: &str, asked: &Received) -> Result<String> {
        Ok(match path {
            ["key", "v2", "server", ..] => self.keys()?,
            ["federation", "v1", "version"] => {
                json!({ "server": { "name": "played", "version": "1" } }).to_string()
            }
            ["federation", "v1", "send", _] => self.take(&asked.body)?,
            ["federation", "v1", "make_join", room, user] => {
                let user = UserId::parse(*user)?;
                self.in_room(room, |room| Ok(room.proposal(&user)?.to_string()))?
            }
            ["federation", "v2", "send_join", room, _] => {
                let omits = has(query, "omit_members", "true");
                self.in_room(room, |room| self.send_join(room, &asked.body, omits))?
            }
            ["federation", "v1", "state", room] => self.in_room(room, |room| {
                let state = room.state_before(&value(query, "event_id")?)?;
                let chain = room.auth_chain(&state);
                let (pdus, chain) = (room.pdus(&state), room.pdus(&chain));
                Ok(format!("{{\"pdus\":[{pdus}],\"auth_chain\":[{chain}]}}"))
            })?,
            ["federation", "v1", "state_ids", room] => self.in_room(room, |room| {
                let state = room.state_before(&value(query, "event_id")?)?;
                let chain = room.auth_chain(&state);
                let (ids, chain) = (room.ids(&state), room.ids(&chain));
                Ok(format!("{{\"pdu_ids\":[{ids}],\"auth_chain_ids\":[{chain}]}}"))
            })?,
            ["federation", "v1", "event", id] => {
                let rooms = self.rooms.lock();
                let pdu = rooms.iter().find_map(|room| room.event(id));
                self.transaction(pdu.context("no such event")?)
            }
            ["federation", "v1", "event_auth", room, id] => self.in_room(room, |room| {
                let chain = room.auth_chain(&[room.place(id).context("no such event")?]);
                Ok(format!("{{\"auth_chain\":[{}]}}", room.pdus(&chain)))
            })?,
            ["federation", "v1", "backfill", room] => self.in_room(room, |room| {
                let limit: usize = value(query, "limit")?.parse()?;
                let from = room.place(&value(query, "v")?).context("no such event")?;
                let from: Vec<usize> = (0..=from).rev().take(limit.min(100)).collect();
                Ok(self.transaction(&room.pdus(&from)))
            })?,
            ["federation", "v1", "get_missing_events", room] => {
                self.in_room(room, |room| missing_events(room, &asked.body))?
            }
            _ => bail!("not in the script"),
        })
    }

    fn in_room(&self, id: &str, answer: impl FnOnce(&mut Room) -> Result<String>) -> Result<String> {
        let mut rooms = self.rooms.lock();
        let room = rooms.iter_mut().find(|room| room.id == id);
        answer(room.context("no such room")?)
    }

    fn transaction(&self, pdus: &str) -> String {
        format!(
            "{{\"origin\":\"{}\",\"origin_server_ts\":1,\"pdus\":[{pdus}]}}",
            self.name
        )
    }

    fn send_join(&self, room: &mut Room, body: &[u8], omits: bool) -> Result<String> {
        let raw: Box<RawValue> = serde_json::from_slice(body)?;
        let servers = json!(room.servers());
        let id = room.take(&raw)?;
        let mut state = room.state_before(&id)?;
        if omits {
            state = room.without_members(state);
        }
        let of: Vec<usize> = state.iter().copied().chain(room.place(&id)).collect();
        let chain = room.auth_chain(&of);
        Ok(format!(
            "{{\"origin\":\"{}\",\"event\":{raw},\"members_omitted\":{omits},\"servers_in_room\":{servers},\"state\":[{}],\"auth_chain\":[{}]}}",
            self.name,
            room.pdus(&state),
            room.pdus(&chain),
        ))
    }

    /// Takes a transaction in.
    fn take(&self, body: &[u8]) -> Result<String> {
        #[derive(Deserialize)]
        struct Transaction {
            pdus: Vec<Box<RawValue>>,
        }
        #[derive(Deserialize)]
        struct Pdu {
            room_id: String,
            content: Value,
        }
        let transaction: Transaction = serde_json::from_slice(body)?;
        let mut rooms = self.rooms.lock();
        for raw in &transaction.pdus {
            let pdu: Pdu = serde_json::from_str(raw.get())?;
            if let Some(room) = rooms.iter_mut().find(|room| room.id == pdu.room_id) {
                room.take(raw)?;
            }
            if let Some(text) = pdu.content.get("body").and_then(Value::as_str) {
                self.arrivals.note(text);
            }
        }
        Ok("{\"pdus\":{}}".to_owned())
    }

    fn keys(&self) -> Result<String> {
        let now = std::time::UNIX_EPOCH.elapsed()?.as_millis();
        let answer = json!({
            "server_name": self.name, "valid_until_ts": u64::try_from(now)? + KEYS_ARE_GOOD_MS,
            "old_verify_keys": {}, "verify_keys": { self.key.key_id(): { "key": self.key.public_key_base64() } },
        });
        let mut object: CanonicalJsonObject = serde_json::from_value(answer)?;
        sign_json(self.name.as_str(), &self.key, &mut object)?;
        Ok(serde_json::to_string(&object)?)
    }
}

/// The events between some and others of a line.
fn missing_events(room: &Room, body: &[u8]) -> Result<String> {
    #[derive(Deserialize)]
    struct Between {
        earliest_events: Vec<String>,
        latest_events: Vec<String>,
        limit: Option<usize>,
    }
    let between: Between = serde_json::from_slice(body)?;
    let places = |ids: &[String]| -> Vec<usize> { ids.iter().filter_map(|id| room.place(id)).collect() };
    let after = places(&between.earliest_events)
        .into_iter()
        .max()
        .map_or(0, |place| place + 1);
    let before = places(&between.latest_events)
        .into_iter()
        .min()
        .unwrap_or(room.len());
    let from = after.max(before.saturating_sub(between.limit.unwrap_or(10).min(20)));
    let places: Vec<usize> = (from..before).collect();
    Ok(format!("{{\"events\":[{}]}}", room.pdus(&places)))
}

fn decoded(segment: &str) -> String {
    form_urlencoded::parse(format!("x={}", segment.replace('+', "%2B")).as_bytes())
        .next()
        .map_or_else(String::new, |(_, value)| value.into_owned())
}

fn value(query: &str, name: &str) -> Result<String> {
    form_urlencoded::parse(query.as_bytes())
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
        .with_context(|| format!("no {name} in the query"))
}

fn has(query: &str, name: &str, wanted: &str) -> bool {
    value(query, name).is_ok_and(|value| value == wanted)
}
