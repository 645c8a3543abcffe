//! This server with rooms, in which users of scripted servers are.

use std::{sync::Arc, time::Duration};

use gatehouse_accounts::Accounts;
use gatehouse_events::{EventBuilder, NewEvent, Parents, RoomVersion};
use gatehouse_federation::{Federation, FederationConfig, SendingCounts};
use gatehouse_rooms::{
    NoIdentityServers, Rooms, Sent,
    create::{CreateRoom, Preset},
    membership::invite::Directness,
    remote_servers::WantedState,
    send::Message,
};
use gatehouse_test_peers::{Peer, Received, Reply};
use parking_lot::Mutex;
use ruma::{
    CanonicalJsonObject, OwnedEventId, OwnedRoomId, OwnedServerName, OwnedUserId, RoomId, ServerName, UserId,
};
use serde_json::{Value, json, value::RawValue};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use crate::house::{House, NOW_MS, key, keys_of, name};

const VERSION: &str = "11";

/// How a scripted server takes transactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    Good,
    /// It answers nothing.
    Silent,
    /// Its answer comes a byte a second, and has no end.
    Trickling,
    /// It closes the connection instead of answering.
    HangingUp,
    /// It fails.
    Broken,
    /// It refuses whatever holds an event whose body is `bad`.
    Strict,
}

pub(crate) struct Town {
    pub(crate) house: House,
    pub(crate) rooms: Rooms,
    pub(crate) alice: OwnedUserId,
    /// It answers for the keys of those who are not there.
    _notary: Peer,
}

impl Town {
    pub(crate) async fn new() -> Self {
        let trusting =
            |config: &mut FederationConfig| config.trusted_key_servers = vec![name("notary.example")];
        let house = House::with(trusting).await;
        let notary = house.named("notary.example", notary).await;
        let rooms = rooms(&house, &house.federation);
        Self {
            house,
            rooms,
            alice: "@alice:us.example".try_into().unwrap(),
            _notary: notary,
        }
    }

    /// The same server after it was killed: nothing of what was in memory is left.
    pub(crate) fn restart(&mut self) {
        self.house.federation = self.house.restarted(|config| {
            config.trusted_key_servers = vec![name("notary.example")];
        });
        self.rooms = rooms(&self.house, &self.house.federation);
    }

    /// Sends from now on, until the answer is dropped.
    pub(crate) fn sending(&self) -> AbortOnDropHandle<()> {
        let (federation, rooms) = (self.house.federation.clone(), self.rooms.clone());
        let running = async move { federation.run_sending(rooms, CancellationToken::new()).await };
        AbortOnDropHandle::new(tokio::spawn(running))
    }

    /// Waits until the queue stands as it should.
    pub(crate) async fn until(&self, is_so: impl Fn(SendingCounts) -> bool) {
        let waiting = async {
            while !is_so(self.house.federation.sending_counts()) {
                tokio::task::yield_now().await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(20), waiting).await;
        assert!(waited.is_ok(), "{:?}", self.house.federation.sending_counts());
    }

    pub(crate) async fn room(&self) -> OwnedRoomId {
        let request = CreateRoom {
            room_id: None,
            version: VERSION.parse().unwrap(),
            preset: Preset::PublicChat,
            name: None,
            topic: None,
            alias: None,
            invite: Vec::new(),
            invite_3pid: Vec::new(),
            directness: Directness::Ordinary,
            creation_content: CanonicalJsonObject::new(),
            initial_state: Vec::new(),
            power_level_content_override: CanonicalJsonObject::new(),
        };
        self.rooms.create(&self.alice, &request, None).await.unwrap()
    }

    /// A scripted server, whose mood may change.
    pub(crate) async fn server(&self, mood: Mood) -> (Peer, OwnedServerName, Arc<Mutex<Mood>>) {
        let mood = Arc::new(Mutex::new(mood));
        let changing = Arc::clone(&mood);
        let (peer, server) = self
            .house
            .peer(move |received| answer(received, *changing.lock()))
            .await;
        (peer, server, mood)
    }

    /// A user of another server joins.
    pub(crate) async fn join(&self, server: &ServerName, room_id: &RoomId) -> OwnedUserId {
        let user = UserId::parse(format!("@bob:{server}")).unwrap();
        let template = self
            .rooms
            .make_join(server, room_id, &user, &[VERSION.to_owned()])
            .await
            .unwrap();
        let ids = |field: &str| -> Vec<OwnedEventId> {
            let ids = template.event[field].as_array().unwrap();
            ids.iter()
                .map(|id| id.as_str().unwrap().try_into().unwrap())
                .collect()
        };
        let parents = Parents {
            prev_events: ids("prev_events"),
            auth_events: ids("auth_events"),
            depth: i64::from(template.event["depth"].as_integer().unwrap())
                .try_into()
                .unwrap(),
            hashes: Vec::new(),
        };
        let version: RoomVersion = VERSION.parse().unwrap();
        let key = key("theirs");
        let builder = EventBuilder {
            version,
            server_name: server,
            key: &key,
        };
        let new = NewEvent {
            kind: "m.room.member".into(),
            state_key: Some(user.to_string()),
            content: content(&json!({ "membership": "join" })),
            redacts: None,
        };
        let built = builder.build(room_id, &user, new, parents, NOW_MS).unwrap();
        let pdu = RawValue::from_string(built.pdu).unwrap();
        let sent = Sent {
            origin: server,
            room_id,
            event_id: &built.event.event_id,
            pdu: &pdu,
        };
        self.rooms
            .send_join(sent, WantedState::WithoutMembers)
            .await
            .unwrap();
        user
    }

    pub(crate) async fn say(&self, room_id: &RoomId, body: &str) -> OwnedEventId {
        let message = Message {
            kind: "m.room.message".to_owned(),
            content: content(&json!({ "msgtype": "m.text", "body": body })),
            transaction: None,
        };
        self.rooms.send(&self.alice, room_id, &message).await.unwrap()
    }
}

fn rooms(house: &House, federation: &Federation) -> Rooms {
    let accounts = Accounts::new(
        house.store.clone(),
        gatehouse_accounts::Config::new(name("us.example")),
        house.clock.clone(),
    );
    let config = gatehouse_rooms::Config {
        default_version: VERSION.parse().unwrap(),
        legacy_default_version: VERSION.parse().unwrap(),
        cached_rooms: 100,
        event_cache_bytes: 1 << 20,
    };
    Rooms::new(
        house.store.clone(),
        accounts,
        key("own"),
        Arc::new(federation.clone()),
        Arc::new(NoIdentityServers),
        config,
        house.clock.clone(),
    )
}

pub(crate) fn content(value: &Value) -> CanonicalJsonObject {
    gatehouse_events::json::parse_content(value.to_string().as_bytes()).unwrap()
}

fn keys(server: &ServerName) -> Value {
    keys_of(server, &[&key("theirs")], &json!({}), NOW_MS + 24 * 3_600 * 1_000)
}

fn notary(received: &Received) -> Reply {
    let own = name("notary.example");
    let signed = |keys: Value| crate::house::signed(&own, &key("theirs"), keys);
    if received.uri == "/_matrix/key/v2/server" {
        return Reply::json(200, &keys(&own));
    }
    let question = received.json();
    let servers = question["server_keys"].as_object().unwrap().keys();
    let answers: Vec<Value> = servers.map(|server| signed(keys(&name(server)))).collect();
    Reply::json(200, &json!({ "server_keys": answers }))
}

fn answer(received: &Received, mood: Mood) -> Reply {
    if received.uri == "/_matrix/key/v2/server" {
        let host = received.header(&http::header::HOST);
        return Reply::json(200, &keys(&name(host)));
    }
    let is_bad = bodies(received).iter().any(|body| body == "bad");
    match mood {
        Mood::Silent => Reply::silence(),
        Mood::Trickling => Reply::trickle(" ", Duration::from_secs(1)),
        Mood::HangingUp => Reply::hang_up(),
        Mood::Broken => Reply::json(502, &json!({})),
        Mood::Strict if is_bad => Reply::json(400, &json!({ "errcode": "M_BAD_JSON", "error": "no" })),
        Mood::Good | Mood::Strict => Reply::json(200, &json!({ "pdus": {} })),
    }
}

/// The transactions among what came.
pub(crate) fn transactions(received: &[Received]) -> Vec<&Received> {
    received
        .iter()
        .filter(|it| it.uri.starts_with("/_matrix/federation/v1/send/"))
        .collect()
}

/// What the messages of a transaction say.
pub(crate) fn bodies(received: &Received) -> Vec<String> {
    let body = received.json();
    let pdus = body["pdus"].as_array().cloned().unwrap_or_default();
    pdus.iter()
        .filter_map(|pdu| pdu["content"]["body"].as_str().map(ToOwned::to_owned))
        .collect()
}

/// What all messages say that came in transactions, in order.
pub(crate) fn said(received: &[Received]) -> Vec<String> {
    transactions(received).into_iter().flat_map(bodies).collect()
}
