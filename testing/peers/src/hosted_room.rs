//! A room of a scripted homeserver. Its server hands it out to whoever asks, in each of the answers that carry events: as
//! it is, or as a test would have it lie.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use anyhow::{Context as _, Result};
use gatehouse_events::{Pdu, RoomVersion, SigningKey, authorise::auth_types, json::canonical_object};
use parking_lot::Mutex;
use ruma::{
    CanonicalJsonObject, OwnedRoomId, OwnedServerName, UserId,
    signatures::{add_content_hash_to_event, reference_hash},
};
use serde_json::{Value, json};

use crate::{Homeserver, Received, Reply, SignedEvent};

/// What is made of an honest answer.
type Lie = Arc<dyn Fn(&Received, Value) -> Reply + Send + Sync>;

/// An honest answer.
type Answer = fn(&Inside, &Received) -> Value;

/// The operations that it serves: what tests call them, their paths, and the honest answers.
const SERVED: [(&str, &str, Answer); 13] = [
    ("make_join", "v1/make_join/", Inside::proposal),
    ("make_leave", "v1/make_leave/", Inside::proposal),
    ("make_knock", "v1/make_knock/", Inside::proposal),
    ("send_join", "v2/send_join/", Inside::whole),
    ("send_leave", "v2/send_leave/", |_, _| json!({})),
    (
        "send_knock",
        "v1/send_knock/",
        |_, _| json!({ "knock_room_state": [] }),
    ),
    ("invite", "v2/invite/", Inside::invited),
    ("state", "v1/state/", Inside::state),
    ("state_ids", "v1/state_ids/", Inside::state_ids),
    ("event", "v1/event/", Inside::event),
    ("event_auth", "v1/event_auth/", Inside::event_auth),
    ("backfill", "v1/backfill/", Inside::history),
    (
        "get_missing_events",
        "v1/get_missing_events/",
        Inside::missing_events,
    ),
];

/// The deepest that an event may be.
const MAX_DEPTH: u64 = (1 << 53) - 1;

/// A room whose ids are hashes (version 4 or later). Clones are the same room.
#[derive(Clone)]
pub struct HostedRoom {
    /// Its id.
    pub id: OwnedRoomId,
    /// Its version.
    pub version: RoomVersion,
    inside: Arc<Mutex<Inside>>,
}

struct Inside {
    id: OwnedRoomId,
    version: RoomVersion,
    server: OwnedServerName,
    key: Arc<SigningKey>,
    now_ms: u64,
    /// All of its events, oldest first.
    events: Vec<SignedEvent>,
    state: BTreeMap<(String, String), SignedEvent>,
    lies: HashMap<String, Lie>,
    /// Events, and what is handed out in their place.
    forged: Vec<(Value, Value)>,
}

impl HostedRoom {
    /// A public room of the homeserver's user `host`.
    pub fn open(home: &Homeserver, version: &str, now_ms: u64) -> Result<Self> {
        Self::open_with(home, version, now_ms, |_| {})
    }

    /// The same, with another beginning, on which all else of it builds.
    pub fn open_with(
        home: &Homeserver,
        version: &str,
        now_ms: u64,
        change: impl FnOnce(&mut Value),
    ) -> Result<Self> {
        let version: RoomVersion = version.parse().map_err(|_| anyhow::anyhow!("no such version"))?;
        let host = home.user("host");
        let mut create = json!({
            "type": "m.room.create", "state_key": "", "sender": host, "depth": 1, "origin_server_ts": now_ms,
            "content": { "creator": host, "room_version": version.name() }, "prev_events": [], "auth_events": [],
        });
        change(&mut create);
        let id: OwnedRoomId = if version.rules().event_format.require_room_create_room_id {
            let id = format!("!hosted:{}", home.name());
            if let Some(create) = create.as_object_mut() {
                create.insert("room_id".to_owned(), id.as_str().into());
            }
            id.try_into()?
        } else {
            hash_of(&create, version)?.try_into()?
        };
        let room = Self {
            id: id.clone(),
            version,
            inside: Arc::new(Mutex::new(Inside {
                id,
                version,
                server: home.name().try_into()?,
                key: Arc::clone(home.key()),
                now_ms,
                events: Vec::new(),
                state: BTreeMap::new(),
                lies: HashMap::new(),
                forged: Vec::new(),
            })),
        };
        room.keep(home.sign(version, &room.id, &create)?);
        room.add(
            home,
            &host,
            "m.room.member",
            Some(&host),
            &json!({ "membership": "join" }),
        )?;
        let is_privileged = version.rules().authorization.explicitly_privilege_room_creators;
        let users = if is_privileged {
            json!({})
        } else {
            json!({ &host: 100 })
        };
        room.add(
            home,
            &host,
            "m.room.power_levels",
            Some(""),
            &json!({ "users": users }),
        )?;
        room.add(
            home,
            &host,
            "m.room.join_rules",
            Some(""),
            &json!({ "join_rule": "public" }),
        )?;
        room.serve(home);
        Ok(room)
    }

    fn serve(&self, home: &Homeserver) {
        for (name, path, honest) in SERVED {
            let inside = Arc::clone(&self.inside);
            home.answer(&format!("/_matrix/federation/{path}"), move |asked| {
                let (answer, lie) = {
                    let mut room = inside.lock();
                    if name == "send_join" {
                        room.take(&asked.json());
                    }
                    let mut answer = honest(&room, asked);
                    room.forge_in(&mut answer);
                    (answer, room.lies.get(name).cloned())
                };
                match lie {
                    Some(lie) => lie(asked, answer),
                    None => Reply::json(200, &answer),
                }
            });
        }
    }

    /// From now on this operation is answered so; the second argument is the honest answer.
    pub fn lie(&self, operation: &str, lie: impl Fn(&Received, Value) -> Reply + Send + Sync + 'static) {
        self.inside
            .lock()
            .lies
            .insert(operation.to_owned(), Arc::new(lie));
    }

    /// As [`Self::lie`], where the answer is JSON, too.
    pub fn change(&self, operation: &str, change: impl Fn(&mut Value) + Send + Sync + 'static) {
        self.lie(operation, move |_, mut answer| {
            change(&mut answer);
            Reply::json(200, &answer)
        });
    }

    /// From now on every answer has this in the place of an event.
    pub fn forge(&self, event: &SignedEvent, instead: Value) {
        self.inside.lock().forged.push((event.pdu.clone(), instead));
    }

    /// From now on all answers are honest.
    pub fn be_honest(&self) {
        let mut room = self.inside.lock();
        room.lies.clear();
        room.forged.clear();
    }

    /// An event after the last one, without hashes and signatures.
    pub fn build(&self, sender: &str, kind: &str, state_key: Option<&str>, content: &Value) -> Result<Value> {
        self.inside.lock().build(sender, kind, state_key, content)
    }

    /// An event after the last one, which it becomes.
    pub fn add(
        &self,
        home: &Homeserver,
        sender: &str,
        kind: &str,
        state_key: Option<&str>,
        content: &Value,
    ) -> Result<SignedEvent> {
        let event = self.build(sender, kind, state_key, content)?;
        let signed = home.sign(self.version, &self.id, &event)?;
        self.keep(signed.clone());
        Ok(signed)
    }

    /// Makes an event the last one.
    pub fn keep(&self, event: SignedEvent) {
        self.inside.lock().keep(event);
    }

    /// The event that sets this state.
    pub fn state(&self, kind: &str, state_key: &str) -> Option<SignedEvent> {
        let key = (kind.to_owned(), state_key.to_owned());
        self.inside.lock().state.get(&key).cloned()
    }

    /// The last event.
    pub fn last(&self) -> Option<SignedEvent> {
        self.inside.lock().events.last().cloned()
    }
}

impl Inside {
    fn keep(&mut self, event: SignedEvent) {
        let text = |field: &str| event.pdu.get(field).and_then(Value::as_str).map(str::to_owned);
        if let (Some(kind), Some(state_key)) = (text("type"), text("state_key")) {
            self.state.insert((kind, state_key), event.clone());
        }
        self.events.push(event);
    }

    fn forge_in(&self, answer: &mut Value) {
        if let Some((_, instead)) = self.forged.iter().find(|(event, _)| event == answer) {
            answer.clone_from(instead);
            return;
        }
        match answer {
            Value::Array(items) => items.iter_mut().for_each(|item| self.forge_in(item)),
            Value::Object(fields) => fields.values_mut().for_each(|field| self.forge_in(field)),
            _ => {}
        }
    }

    /// Takes in what somebody sends, without any check.
    fn take(&mut self, pdu: &Value) {
        let json = pdu.to_string();
        if let Ok(read) = Pdu::parse(&json, &self.id, self.version) {
            self.keep(SignedEvent {
                id: read.event.event_id.to_string(),
                hash: read.reference_hash,
                pdu: pdu.clone(),
            });
        }
    }

    fn build(&self, sender: &str, kind: &str, state_key: Option<&str>, content: &Value) -> Result<Value> {
        let sender_id = <&UserId>::try_from(sender)?;
        let object = content.as_object().cloned().unwrap_or_default();
        let object = canonical_object(object).map_err(|error| anyhow::anyhow!("{error}"))?;
        let keys = auth_types(self.version, &kind.into(), sender_id, state_key, &object);
        let keys = keys.map_err(|denied| anyhow::anyhow!(denied.0))?;
        let auth_events: Vec<_> = keys
            .into_iter()
            .filter_map(|(kind, key)| self.state.get(&(kind.to_string(), key)))
            .map(|event| &event.id)
            .collect();
        let last = self.events.last();
        let depth = last
            .and_then(|last| last.pdu.get("depth")?.as_u64())
            .unwrap_or_default();
        let prev_events: Vec<_> = last.iter().map(|last| &last.id).collect();
        let mut event = json!({
            "room_id": self.id, "sender": sender, "type": kind, "content": content,
            "depth": depth.saturating_add(1).min(MAX_DEPTH),
            "origin_server_ts": self.now_ms + u64::try_from(self.events.len())?, "prev_events": prev_events, "auth_events": auth_events,
        });
        if let (Some(state_key), Some(event)) = (state_key, event.as_object_mut()) {
            event.insert("state_key".to_owned(), state_key.into());
        }
        Ok(event)
    }

    /// A membership event for whom the path names.
    fn proposal(&self, asked: &Received) -> Value {
        let path = asked.uri.split('?').next().unwrap_or_default();
        let user = decoded(path.rsplit('/').next().unwrap_or_default());
        let membership = ["join", "leave", "knock"]
            .into_iter()
            .find(|membership| path.contains(&format!("/make_{membership}/")));
        let content = json!({ "membership": membership });
        let event = self.build(&user, "m.room.member", Some(&user), &content);
        json!({ "room_version": self.version.name(), "event": event.unwrap_or_default() })
    }

    /// What the other server sent, with this server's signature.
    fn invited(&self, asked: &Received) -> Value {
        let body = asked.json();
        let signed = || {
            let event = body.get("event")?;
            let room = OwnedRoomId::try_from(event.get("room_id")?.as_str()?).ok()?;
            let version = body.get("room_version")?.as_str()?.parse().ok()?;
            let mut pdu = Pdu::parse(&event.to_string(), &room, version).ok()?;
            pdu.add_signature_of(&self.server, &self.key).ok()?;
            serde_json::from_str::<Value>(&pdu.json).ok()
        };
        json!({ "event": signed() })
    }

    fn state_pdus(&self) -> Vec<&Value> {
        self.state.values().map(|event| &event.pdu).collect()
    }

    fn auth_chain(&self) -> Vec<&SignedEvent> {
        let is_state = |event: &&SignedEvent| event.pdu.get("state_key").is_some();
        self.events.iter().filter(is_state).collect()
    }

    fn auth_chain_pdus(&self) -> Vec<&Value> {
        self.auth_chain().into_iter().map(|event| &event.pdu).collect()
    }

    fn whole(&self, asked: &Received) -> Value {
        let (joined, user) = (asked.json(), asked.json().get("state_key").cloned());
        let before = self.state_pdus().into_iter();
        let before: Vec<_> = before
            .filter(|event| event.get("state_key") != user.as_ref())
            .collect();
        json!({
            "origin": self.server, "event": joined, "state": before, "auth_chain": self.auth_chain_pdus(),
            "members_omitted": false, "servers_in_room": [self.server],
        })
    }

    fn state(&self, _: &Received) -> Value {
        json!({ "pdus": self.state_pdus(), "auth_chain": self.auth_chain_pdus() })
    }

    fn state_ids(&self, _: &Received) -> Value {
        let state: Vec<_> = self.state.values().map(|event| &event.id).collect();
        let chain: Vec<_> = self.auth_chain().into_iter().map(|event| &event.id).collect();
        json!({ "pdu_ids": state, "auth_chain_ids": chain })
    }

    fn event(&self, asked: &Received) -> Value {
        let uri = decoded(&asked.uri);
        let found = self.events.iter().filter(|event| uri.ends_with(&event.id));
        let pdus: Vec<_> = found.map(|event| &event.pdu).collect();
        json!({ "origin": self.server, "origin_server_ts": self.now_ms, "pdus": pdus })
    }

    fn event_auth(&self, _: &Received) -> Value {
        json!({ "auth_chain": self.auth_chain_pdus() })
    }

    /// All of it, the newest first: whoever asks takes what it needs.
    fn history(&self, _: &Received) -> Value {
        let pdus: Vec<_> = self
            .events
            .iter()
            .rev()
            .take(100)
            .map(|event| &event.pdu)
            .collect();
        json!({ "origin": self.server, "origin_server_ts": self.now_ms, "pdus": pdus })
    }

    /// The twenty before the first of those that are named.
    fn missing_events(&self, asked: &Received) -> Value {
        let latest = asked.json();
        let latest = latest.get("latest_events").and_then(Value::as_array);
        let is_named = |event: &SignedEvent| {
            latest.is_some_and(|latest| latest.iter().any(|id| id.as_str() == Some(&event.id)))
        };
        let end = self.events.iter().position(is_named).unwrap_or(self.events.len());
        let start = end.saturating_sub(20);
        let events: Vec<_> = self
            .events
            .iter()
            .take(end)
            .skip(start)
            .map(|event| &event.pdu)
            .collect();
        json!({ "events": events })
    }
}

/// The room id that is the hash of this create event.
fn hash_of(create: &Value, version: RoomVersion) -> Result<String> {
    let mut object: CanonicalJsonObject = serde_json::from_value(create.clone())?;
    add_content_hash_to_event(&mut object)?;
    let hash = reference_hash(&object, version.rules()).context("the create event has no hash")?;
    Ok(format!("!{hash}"))
}

/// Without percent-encoding.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        let byte = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok());
        let escaped = byte.filter(|_| *first == b'%');
        bytes.push(escaped.unwrap_or(*first));
        rest = match escaped {
            Some(_) => after.get(2..).unwrap_or_default(),
            None => after,
        };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
