//! Servers with one room, and what their users do.

use std::{collections::HashMap, sync::Arc, time::Duration};

use gatehouse_accounts::Accounts;
use gatehouse_events::{
    Built, Clock, EventBuilder, NewEvent, Parents, Pdu, RoomVersion, SigningKey, authorise::auth_types,
};
use gatehouse_store::{Backend, Batch, Store};
use ruma::{
    EventId, OwnedEventId, OwnedRoomId, OwnedServerName, OwnedUserId, ServerName, UserId,
    room_version_rules::EventsReferenceFormatVersion,
};
use serde_json::{Value, json};

use super::{
    counted::Counted,
    neighbours::{Neighbours, Port, raw},
};
use crate::{
    Config, NoIdentityServers, RoomHead, Rooms,
    create::Preset,
    receive::{Received, adopt::Adopting},
    remote_servers::RawPdu,
    room_transaction::{AppendError, Beside},
    tables::{EVENT_INDEX, Standing},
};

impl Rooms {
    pub(super) async fn room_of(&self, event_id: &EventId) -> Option<OwnedRoomId> {
        let place = self
            .store
            .get(&EVENT_INDEX, &(event_id.to_owned(),))
            .await
            .unwrap();
        place.map(|(room, _)| room)
    }
}

/// Servers `a`, `b`, and so on.
pub(super) struct World {
    pub(super) servers: Vec<Rooms>,
    pub(super) neighbours: Arc<Neighbours>,
    pub(super) room: OwnedRoomId,
    pub(super) version: RoomVersion,
    pub(super) clock: Clock,
    /// What each server's store was asked.
    pub(super) stores: Vec<Arc<Counted>>,
}

pub(super) fn server_name(number: usize) -> OwnedServerName {
    let letter = char::from(b'a' + u8::try_from(number).unwrap());
    ServerName::parse(letter.to_string()).unwrap()
}

/// `@name:server`.
pub(super) fn user(name: &str, server: usize) -> OwnedUserId {
    UserId::parse(format!("@{name}:{}", server_name(server))).unwrap()
}

/// The user of each server who is in the room from the beginning.
pub(super) fn admin(server: usize) -> OwnedUserId {
    user("admin", server)
}

pub(super) fn new_event(kind: &str, state_key: Option<&str>, content: &Value) -> NewEvent {
    NewEvent {
        kind: kind.into(),
        state_key: state_key.map(str::to_owned),
        content: gatehouse_events::json::parse_content(content.to_string().as_bytes()).unwrap(),
        redacts: None,
    }
}

pub(super) fn member(target: &UserId, membership: &str) -> NewEvent {
    new_event(
        "m.room.member",
        Some(target.as_str()),
        &json!({ "membership": membership }),
    )
}

pub(super) fn message(text: &str) -> NewEvent {
    new_event("m.room.message", None, &json!({ "body": text }))
}

pub(super) fn topic(text: &str) -> NewEvent {
    new_event("m.room.topic", Some(""), &json!({ "topic": text }))
}

/// Power levels in which these users have these levels besides the first server's.
pub(super) fn levels(version: RoomVersion, users: &[(OwnedUserId, i64)]) -> NewEvent {
    let mut levels = serde_json::Map::new();
    if !version.rules().authorization.explicitly_privilege_room_creators {
        levels.insert(admin(0).to_string(), json!(100));
    }
    for (user, level) in users {
        levels.insert(user.to_string(), json!(level));
    }
    new_event("m.room.power_levels", Some(""), &json!({ "users": levels }))
}

impl World {
    /// A public room of the first server's admin, in which an admin of each other server is.
    pub(super) async fn new(version: &str, servers: usize) -> Self {
        let neighbours = Arc::new(Neighbours::default());
        let clock = Clock::manual(1_000_000);
        let stores: Vec<Arc<Counted>> = (0..servers).map(|_| Arc::default()).collect();
        let made: Vec<Rooms> = (0..servers)
            .map(|number| server(number, &neighbours, &clock, &stores[number]))
            .collect();
        let version: RoomVersion = version.parse().unwrap();
        let request = crate::write_tests::public_request(version);
        assert_eq!(request.preset, Preset::PublicChat);
        let room = made[0].create(&admin(0), &request, None).await.unwrap();
        let mut world = Self {
            servers: made,
            neighbours,
            room,
            version,
            clock,
            stores,
        };
        for number in 1..servers {
            world.join(number).await;
        }
        world
    }

    /// With one server more, whose admin joins.
    pub(super) async fn with_another_server(mut self) -> Self {
        let number = self.servers.len();
        let store = Arc::default();
        self.servers
            .push(server(number, &self.neighbours, &self.clock, &store));
        self.stores.push(store);
        self.join(number).await;
        self
    }

    /// Joins the server's admin over the first server, and tells the others.
    async fn join(&mut self, server: usize) {
        let join = self
            .craft(0, &admin(server), member(&admin(server), "join"))
            .await;
        let origin = server_name(server);
        let received = self.servers[0]
            .receive(&origin, &self.room, &[raw(&join.pdu)])
            .await;
        assert_eq!(received.unwrap()[0].1, Received::Accepted);
        for other in 1..server {
            let received = self.servers[other]
                .receive(&origin, &self.room, &[raw(&join.pdu)])
                .await;
            assert_eq!(received.unwrap()[0].1, Received::Accepted);
        }
        let (state, auth_chain) = self.state_before(0, &join.event.event_id).await;
        let pdu = Pdu::parse(&join.pdu, &self.room, self.version).unwrap();
        let adopting = Adopting {
            state,
            auth_chain,
            join: pdu,
            missing: None,
            beside: Batch::new(),
        };
        self.servers[server]
            .adopt(&self.room, self.version, &adopting)
            .await
            .unwrap();
    }

    pub(super) async fn state_before(&self, server: usize, at: &EventId) -> (Vec<Pdu>, Vec<Pdu>) {
        let rooms = &self.servers[server];
        let state = rooms.state_before_event(&self.room, at).await.unwrap().unwrap();
        let state: Vec<OwnedEventId> = state.event_ids().cloned().collect();
        let head = self.head(server).await;
        let chain = rooms.auth_chain_ids(&head, state.clone()).await.unwrap();
        (self.pdus(server, &state).await, self.pdus(server, &chain).await)
    }

    async fn pdus(&self, server: usize, ids: &[OwnedEventId]) -> Vec<Pdu> {
        let placed = self.servers[server].placed(&self.room, ids).await.unwrap();
        assert_eq!(placed.len(), ids.len());
        placed
            .values()
            .map(|placed| Pdu::parse(&placed.row.pdu, &self.room, self.version).unwrap())
            .collect()
    }

    pub(super) async fn head(&self, server: usize) -> Arc<RoomHead> {
        self.servers[server].head(&self.room).await.unwrap().unwrap()
    }

    /// An event of a user as a server's room would have it next, signed by the user's server. It is sent to nobody.
    pub(super) async fn craft(&self, on: usize, sender: &UserId, new: NewEvent) -> Built {
        let head = self.head(on).await;
        self.craft_at(on, sender, new, (head.extremities.clone(), head.depth + 1), &[])
            .await
    }

    /// As [`Self::craft`], where these events were the ends of the graph; with other events at some keys of what
    /// authorises it.
    pub(super) async fn craft_at(
        &self,
        on: usize,
        sender: &UserId,
        new: NewEvent,
        (prev_events, depth): (Vec<OwnedEventId>, u64),
        instead: &[(&str, &str, Option<OwnedEventId>)],
    ) -> Built {
        self.clock.advance(Duration::from_millis(1));
        let state_key = new.state_key.as_deref();
        let types = auth_types(self.version, &new.kind, sender, state_key, &new.content).unwrap();
        let head = self.head(on).await;
        let auth_events = types
            .iter()
            .filter_map(|(kind, key)| {
                let kind = kind.to_string();
                match instead.iter().find(|(k, s, _)| *k == kind && s == key) {
                    Some((_, _, event_id)) => event_id.clone(),
                    None => head.state_event_id(&kind, key).cloned(),
                }
            })
            .collect();
        self.craft_with(on, sender, new, (prev_events, auth_events, depth))
            .await
    }

    pub(super) async fn craft_with(
        &self,
        on: usize,
        sender: &UserId,
        new: NewEvent,
        (prev_events, auth_events, depth): (Vec<OwnedEventId>, Vec<OwnedEventId>, u64),
    ) -> Built {
        let mut parents = Parents {
            prev_events,
            auth_events,
            depth,
            hashes: Vec::new(),
        };
        let format = self.version.rules().events_reference_format;
        if matches!(format, EventsReferenceFormatVersion::V1) {
            for id in parents.prev_events.iter().chain(&parents.auth_events) {
                let hash = self.servers[on].reference_hash(id, self.version).await.unwrap();
                parents.hashes.extend(hash.map(|hash| (id.clone(), hash)));
            }
        }
        let key = self.neighbours.key(sender.server_name());
        let builder = EventBuilder {
            version: self.version,
            server_name: sender.server_name(),
            key: &key,
        };
        builder
            .build(&self.room, sender, new, parents, self.clock.now_ms())
            .unwrap()
    }

    /// What a user of a server does there, if the rules allow it.
    pub(super) async fn act(&self, server: usize, sender: &UserId, new: NewEvent) -> Option<OwnedEventId> {
        self.clock.advance(Duration::from_millis(1));
        let begun = self.servers[server].begin(&self.room).await.unwrap();
        let mut transaction = begun.unwrap();
        match transaction.append(sender, new, Beside::default()).await {
            Ok(event) => {
                transaction.commit().await.unwrap();
                Some(event.event_id.clone())
            }
            Err(AppendError::Denied(_)) => None,
            Err(error) => panic!("{error}"),
        }
    }

    pub(super) async fn raw(&self, server: usize, event_id: &EventId) -> RawPdu {
        let ids = [event_id.to_owned()];
        let placed = self.servers[server].placed(&self.room, &ids).await.unwrap();
        raw(&placed[event_id].row.pdu)
    }

    /// Hands an event of one server to another.
    pub(super) async fn tell(&self, from: usize, to: usize, event_id: &EventId) -> Received {
        let pdu = self.raw(from, event_id).await;
        self.hand(from, to, &pdu).await
    }

    pub(super) async fn hand(&self, from: usize, to: usize, pdu: &RawPdu) -> Received {
        let received = self.servers[to]
            .receive(&server_name(from), &self.room, std::slice::from_ref(pdu))
            .await;
        received.unwrap().remove(0).1
    }

    /// Nothing but this event is an end of a server's graph.
    pub(super) async fn assert_one_end(&self, server: usize, event_id: &OwnedEventId) {
        let ends = &self.head(server).await.extremities;
        assert_eq!(ends.as_slice(), std::slice::from_ref(event_id), "at {server}");
    }

    pub(super) async fn standing(&self, server: usize, event_id: &EventId) -> Option<Standing> {
        let ids = [event_id.to_owned()];
        let placed = self.servers[server].placed(&self.room, &ids).await.unwrap();
        placed.get(event_id).map(|placed| placed.row.standing)
    }

    pub(super) async fn state(&self, server: usize) -> HashMap<(String, String), OwnedEventId> {
        self.head(server).await.room_state().to_map()
    }

    pub(super) async fn assert_same_state(&self, place: &str) {
        let first = self.state(0).await;
        for server in 1..self.servers.len() {
            let other = self.state(server).await;
            for (key, event_id) in &first {
                assert_eq!(
                    other.get(key),
                    Some(event_id),
                    "{place}: {key:?} at {server} and at 0"
                );
            }
            for (key, event_id) in &other {
                assert_eq!(
                    first.get(key),
                    Some(event_id),
                    "{place}: {key:?} at 0 and at {server}"
                );
            }
        }
    }
}

fn server(number: usize, neighbours: &Arc<Neighbours>, clock: &Clock, store: &Arc<Counted>) -> Rooms {
    let name = server_name(number);
    let store = Store::new(Arc::clone(store) as Arc<dyn Backend>);
    let accounts = Accounts::new(
        store.clone(),
        gatehouse_accounts::Config::new(name.clone()),
        clock.clone(),
    );
    let config = Config {
        default_version: "12".parse().unwrap(),
        legacy_default_version: "11".parse().unwrap(),
        cached_rooms: 100,
        event_cache_bytes: 1 << 20,
    };
    let seed = [u8::try_from(number).unwrap() + 1; 32];
    let key = Arc::new(SigningKey::from_seed(seed, "test").unwrap());
    let rooms = Rooms::new(
        store,
        accounts,
        Arc::clone(&key),
        Arc::new(Port(Arc::clone(neighbours))),
        Arc::new(NoIdentityServers),
        config,
        clock.clone(),
    );
    neighbours.add(&name, &rooms, key);
    rooms
}

/// Numbers that a seed decides.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn roll(&mut self, sides: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % sides
    }
}
