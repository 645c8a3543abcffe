//! A homeserver played by the test, beside a real one.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicUsize, Ordering},
};

use gatehouse_events::{
    Pdu, RoomVersion, authorise::auth_types, build::reference_hash_of, json::canonical_object,
};
use gatehouse_test_peers::{Authority, Homeserver, Reply, SignedEvent};
use gatehouse_testkit::{Answer, TestServer, configured, user::escaped};
use ruma::{
    OwnedRoomId, UserId,
    room_version_rules::{EventIdFormatVersion, EventsReferenceFormatVersion},
};
use serde_json::{Value, json};

/// All room versions.
pub(crate) const VERSIONS: [&str; 12] = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12"];

/// The name of the real server.
const SERVER: &str = "test.example";

/// A homeserver played by the test, and the real server that it visits.
pub(crate) struct Visitor<'a> {
    pub(crate) home: Homeserver,
    server: &'a TestServer,
    sent: AtomicUsize,
}

/// A real server that trusts this authority.
pub(crate) async fn host(authority: &Authority) -> TestServer {
    configured(|config| {
        config.federation.extra_ca_files = vec![authority.file()];
        config.federation.deny_ip_ranges = Some(Vec::new());
        config.federation.public_rooms = true;
    })
    .await
}

impl<'a> Visitor<'a> {
    pub(crate) async fn new(authority: &Authority, server: &'a TestServer) -> Self {
        let home = Homeserver::start(authority, server.clock().now_ms())
            .await
            .unwrap();
        home.answer("/_matrix/federation/v1/send/", |_| {
            Reply::json(200, &json!({ "pdus": {} }))
        });
        Self {
            home,
            server,
            sent: AtomicUsize::new(0),
        }
    }

    /// A signed request.
    pub(crate) async fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        let authorization = self.home.authorization(SERVER, method, path, body);
        self.ask_with(&authorization, method, path, body).await
    }

    /// A request with an `Authorization` of the test's own.
    pub(crate) async fn ask_with(
        &self,
        authorization: &str,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Answer {
        let url = format!("{}{path}", self.server.base());
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let name = format!("{method} {path}");
        let mut request = self.server.http().request(method, url);
        if !authorization.is_empty() {
            request = request.header("authorization", authorization);
        }
        if let Some(body) = body {
            request = request.body(body.to_string());
        }
        let response = request.send().await.unwrap();
        Answer {
            request: name,
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            body: serde_json::from_str(&response.text().await.unwrap()).unwrap_or_default(),
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, None).await
    }

    pub(crate) async fn put(&self, path: &str, body: &Value) -> Answer {
        self.ask("PUT", path, Some(body)).await
    }

    /// A transaction of these PDUs under this id.
    pub(crate) fn transaction(&self, id: &str, pdus: &[Value]) -> (String, Value) {
        let body = json!({
            "origin": self.home.name(), "origin_server_ts": self.server.clock().now_ms(), "pdus": pdus, "edus": [],
        });
        (format!("/_matrix/federation/v1/send/{id}"), body)
    }

    /// Sends these PDUs in a transaction of their own, and gives what is said of each.
    pub(crate) async fn send(&self, pdus: &[Value]) -> Value {
        let number = self.sent.fetch_add(1, Ordering::Relaxed);
        let (path, body) = self.transaction(&format!("t{number}"), pdus);
        self.put(&path, &body).await.ok()["pdus"].clone()
    }

    /// A proposal of the real server to join.
    pub(crate) async fn make_join(&self, room: &str, user: &str) -> Answer {
        let versions: Vec<_> = VERSIONS.iter().map(|version| format!("ver={version}")).collect();
        let path = format!(
            "/_matrix/federation/v1/make_join/{}/{}?{}",
            escaped(room),
            escaped(user),
            versions.join("&")
        );
        self.get(&path).await
    }

    /// The join of a proposal, signed.
    pub(crate) fn signed_join(&self, room: &str, made: &Value) -> (RoomVersion, SignedEvent) {
        let version: RoomVersion = made["room_version"].as_str().unwrap().parse().unwrap();
        let room = OwnedRoomId::try_from(room).unwrap();
        let mut event = made["event"].clone();
        self.give_id(version, &mut event);
        (version, self.home.sign(version, &room, &event).unwrap())
    }

    /// Joins a room and learns its state.
    pub(crate) async fn join(&self, room: &str, user: &str) -> VisitedRoom {
        let made = self.make_join(room, user).await.ok();
        let (version, join) = self.signed_join(room, &made);
        let path = format!(
            "/_matrix/federation/v2/send_join/{}/{}",
            escaped(room),
            escaped(&join.id)
        );
        let joined = self.put(&path, &join.pdu).await.ok();
        let mut visited = VisitedRoom {
            id: room.try_into().unwrap(),
            version,
            state: HashMap::new(),
            last: join.clone(),
        };
        for pdu in joined["state"].as_array().unwrap() {
            visited.see(pdu);
        }
        visited.see(&joined["event"]);
        visited
    }

    /// Where the room version wants it, an id of the event's own.
    pub(crate) fn give_id(&self, version: RoomVersion, event: &mut Value) {
        if version.rules().event_id_format == EventIdFormatVersion::V1 {
            let number = self.sent.fetch_add(1, Ordering::Relaxed);
            event["event_id"] = format!("$visit{number}:{}", self.home.name()).into();
        }
    }

    /// An event after the last one of the room, signed. It becomes the last one.
    pub(crate) fn next(
        &self,
        room: &mut VisitedRoom,
        sender: &str,
        kind: &str,
        content: &Value,
    ) -> SignedEvent {
        let event = self.build(room, sender, kind, None, content);
        let signed = self.home.sign(room.version, &room.id, &event).unwrap();
        room.last = signed.clone();
        signed
    }

    /// An event after the last one of the room, without hashes and signatures.
    pub(crate) fn build(
        &self,
        room: &VisitedRoom,
        sender: &str,
        kind: &str,
        state_key: Option<&str>,
        content: &Value,
    ) -> Value {
        let sender_id = <&UserId>::try_from(sender).unwrap();
        let object = canonical_object(content.as_object().unwrap().clone()).unwrap();
        let keys = auth_types(room.version, &kind.into(), sender_id, state_key, &object).unwrap();
        let auth_events = keys
            .iter()
            .filter_map(|(kind, key)| room.state.get(&(kind.to_string(), key.clone())));
        let auth_events: Vec<_> = auth_events.map(|event| room.reference(event)).collect();
        let mut event = json!({
            "room_id": room.id, "sender": sender, "type": kind, "content": content,
            "origin_server_ts": self.server.clock().now_ms(),
            "depth": room.last.pdu["depth"].as_u64().unwrap() + 1,
            "prev_events": [room.reference(&room.last)], "auth_events": auth_events,
        });
        if let Some(state_key) = state_key {
            event["state_key"] = state_key.into();
        }
        self.give_id(room.version, &mut event);
        event
    }
}

/// A room of the real server in which the visitor is.
pub(crate) struct VisitedRoom {
    pub(crate) id: OwnedRoomId,
    pub(crate) version: RoomVersion,
    pub(crate) state: HashMap<(String, String), SignedEvent>,
    pub(crate) last: SignedEvent,
}

impl VisitedRoom {
    /// Puts an event into the state.
    pub(crate) fn see(&mut self, pdu: &Value) {
        let text = |field: &str| pdu[field].as_str().unwrap().to_owned();
        let event = self.read(pdu);
        self.state.insert((text("type"), text("state_key")), event);
    }

    /// An event of somebody else.
    pub(crate) fn read(&self, pdu: &Value) -> SignedEvent {
        let raw = pdu.to_string();
        let read = Pdu::parse(&raw, &self.id, self.version).unwrap();
        SignedEvent {
            id: read.event.event_id.to_string(),
            hash: reference_hash_of(&raw, self.version).unwrap(),
            pdu: pdu.clone(),
        }
    }

    fn reference(&self, event: &SignedEvent) -> Value {
        match self.version.rules().events_reference_format {
            EventsReferenceFormatVersion::V1 => json!([event.id, { "sha256": event.hash }]),
            _ => json!(event.id),
        }
    }
}

/// A message.
pub(crate) fn message(text: &str) -> Value {
    json!({ "msgtype": "m.text", "body": text })
}
