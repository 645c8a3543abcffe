//! The other servers, asked directly: what they answer is what their stores have.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use futures_util::{FutureExt, future::BoxFuture};
use gatehouse_events::{SignatureNeeded, SigningKey};
use parking_lot::Mutex;
use ruma::{
    CanonicalJsonObject, EventId, OwnedEventId, OwnedServerName, RoomId, ServerName, UserId, serde::Base64,
    signatures::PublicKeyMap,
};
use serde_json::value::RawValue;
use tokio::sync::mpsc;

use crate::{
    Rooms,
    remote_servers::{
        Answer, Fetch, FetchedStateIds, OutgoingInvite, RawPdu, RemoteError, RemoteMembership, RemoteServers,
        SentJoin, ServerKeys, StatePart, Template, WantedState,
    },
};

/// What every server knows of the others.
#[derive(Default)]
pub(super) struct Neighbours {
    servers: Mutex<HashMap<OwnedServerName, Rooms>>,
    keys: Mutex<HashMap<OwnedServerName, Arc<SigningKey>>>,
    /// Nobody answers `get_missing_events`.
    pub(super) forgets_missing: Mutex<bool>,
    /// Nobody gives any event to whoever asks for those between.
    pub(super) keeps_back: Mutex<bool>,
    /// Events that are not among those between, whoever asks.
    pub(super) withheld: Mutex<HashSet<OwnedEventId>>,
    /// How often somebody asked for those between.
    pub(super) asked_for_missing: AtomicUsize,
    /// Events at which somebody asked for the state.
    pub(super) asked_for_state: Mutex<Vec<OwnedEventId>>,
    /// Events that nobody gives away.
    pub(super) hidden: Mutex<HashSet<OwnedEventId>>,
    /// What a server says the state before an event is, whatever it is.
    pub(super) lies: Mutex<HashMap<OwnedEventId, Vec<OwnedEventId>>>,
    /// Events before which nobody says what the state is.
    pub(super) stateless: Mutex<HashSet<OwnedEventId>>,
    /// Events that are handed out whatever is asked for.
    pub(super) smuggled: Mutex<Vec<RawPdu>>,
    pub(super) asked: AtomicUsize,
    /// How often keys were asked for.
    pub(super) asked_for_keys: AtomicUsize,
}

impl Neighbours {
    pub(super) fn add(&self, name: &ServerName, rooms: &Rooms, key: Arc<SigningKey>) {
        self.servers.lock().insert(name.to_owned(), rooms.clone());
        self.keys.lock().insert(name.to_owned(), key);
    }

    pub(super) fn key(&self, name: &ServerName) -> Arc<SigningKey> {
        Arc::clone(&self.keys.lock()[name])
    }

    fn server(&self, name: &ServerName) -> Result<Rooms, RemoteError> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        self.servers
            .lock()
            .get(name)
            .cloned()
            .ok_or(RemoteError::Unreachable)
    }

    async fn pdus(&self, rooms: &Rooms, room_id: &RoomId, ids: &[OwnedEventId]) -> Vec<RawPdu> {
        let hidden = self.hidden.lock().clone();
        let ids: Vec<_> = ids.iter().filter(|id| !hidden.contains(*id)).cloned().collect();
        let mut placed = rooms.placed(room_id, &ids).await.unwrap();
        let rows = ids.iter().filter_map(|id| placed.remove(id));
        let mut pdus: Vec<RawPdu> = rows.map(|placed| raw(&placed.row.pdu)).collect();
        pdus.extend(self.smuggled.lock().iter().cloned());
        pdus
    }

    async fn missing_events(
        rooms: &Rooms,
        room_id: &RoomId,
        (earliest, latest): (&[OwnedEventId], &[OwnedEventId]),
        limit: usize,
    ) -> Vec<OwnedEventId> {
        let mut seen: HashSet<OwnedEventId> = earliest.iter().chain(latest).cloned().collect();
        let mut level: Vec<OwnedEventId> = latest.to_vec();
        let mut found = Vec::new();
        while !level.is_empty() && found.len() < limit {
            let placed = rooms.placed(room_id, &level).await.unwrap();
            let version = rooms.version_of(room_id).await.unwrap().unwrap();
            let parents = placed.values().flat_map(|placed| {
                let row = &placed.row;
                gatehouse_events::Event::parse(&row.pdu, room_id, version, Some(&row.event_id))
                    .unwrap()
                    .prev_events
            });
            let parents: BTreeSet<_> = parents.filter(|id| !seen.contains(id)).collect();
            seen.extend(parents.iter().cloned());
            found.extend(parents.iter().cloned());
            level = parents.into_iter().collect();
        }
        found.truncate(limit);
        found
    }

    async fn fetch_from(&self, server: &ServerName, fetch: Fetch<'_>) -> Result<Vec<RawPdu>, RemoteError> {
        let rooms = self.server(server)?;
        let (room_id, ids) = match fetch {
            Fetch::Event { event_id } => {
                let room_id = rooms.room_of(event_id).await.ok_or(RemoteError::BadAnswer)?;
                (room_id, vec![event_id.to_owned()])
            }
            Fetch::EventAuth { room_id, event_id } => {
                let head = rooms.head(room_id).await.unwrap().unwrap();
                let ids = rooms.auth_chain_ids(&head, vec![event_id.to_owned()]).await;
                (room_id.to_owned(), ids.unwrap())
            }
            Fetch::MissingEvents {
                room_id,
                earliest,
                latest,
                limit,
                ..
            } => {
                if *self.forgets_missing.lock() {
                    return Err(RemoteError::BadAnswer);
                }
                if *self.keeps_back.lock() {
                    return Ok(Vec::new());
                }
                self.asked_for_missing.fetch_add(1, Ordering::Relaxed);
                let mut ids = Self::missing_events(&rooms, room_id, (earliest, latest), limit).await;
                let withheld = self.withheld.lock();
                ids.retain(|id| !withheld.contains(id));
                (room_id.to_owned(), ids)
            }
            Fetch::Backfill { room_id, from, limit } => {
                let mut ids = from.to_vec();
                ids.extend(Self::missing_events(&rooms, room_id, (&[], from), limit).await);
                (room_id.to_owned(), ids)
            }
        };
        Ok(self.pdus(&rooms, &room_id, &ids).await)
    }

    async fn state_at(
        &self,
        server: &ServerName,
        room_id: &RoomId,
        at: &EventId,
    ) -> Result<FetchedStateIds, RemoteError> {
        let rooms = self.server(server)?;
        self.asked_for_state.lock().push(at.to_owned());
        if self.stateless.lock().contains(at) {
            return Err(RemoteError::BadAnswer);
        }
        let lie = self.lies.lock().get(at).cloned();
        let state = if let Some(state) = lie {
            state
        } else {
            let state = rooms.state_before_event(room_id, at).await.unwrap();
            let state = state.ok_or(RemoteError::BadAnswer)?;
            state.event_ids().cloned().collect()
        };
        let head = rooms.head(room_id).await.unwrap().unwrap();
        let auth_chain = rooms.auth_chain_ids(&head, state.clone()).await.unwrap();
        Ok(FetchedStateIds { state, auth_chain })
    }
}

pub(super) fn raw(json: &str) -> RawPdu {
    RawValue::from_string(json.to_owned()).unwrap()
}

/// Nobody is asked for these here.
fn nobody<T: Send + 'static>() -> Answer<'static, T> {
    std::future::ready(Err(RemoteError::Unreachable)).boxed()
}

/// One server's port: the others.
pub(super) struct Port(pub(super) Arc<Neighbours>);

impl ServerKeys for Port {
    fn keys(&self, wanted: Vec<SignatureNeeded>) -> BoxFuture<'_, PublicKeyMap> {
        self.0.asked_for_keys.fetch_add(1, Ordering::Relaxed);
        let keys = self.0.keys.lock();
        let mut found = PublicKeyMap::new();
        for wanted in wanted {
            if let Some(key) = keys.get(&wanted.server) {
                found
                    .entry(wanted.server.to_string())
                    .or_default()
                    .insert(key.key_id(), Base64::new(key.public_key().to_vec()));
            }
        }
        std::future::ready(found).boxed()
    }
}

impl RemoteServers for Port {
    fn make_membership<'a>(
        &'a self,
        _: &'a ServerName,
        _: &'a RoomId,
        _: &'a UserId,
        _: RemoteMembership,
    ) -> Answer<'a, Template> {
        nobody()
    }

    fn send_join<'a>(
        &'a self,
        _: &'a ServerName,
        _: &'a RoomId,
        _: &'a EventId,
        _: &'a str,
        _: WantedState,
    ) -> Answer<'a, SentJoin> {
        nobody()
    }

    fn send_knock<'a>(
        &'a self,
        _: &'a ServerName,
        _: &'a RoomId,
        _: &'a EventId,
        _: &'a str,
    ) -> Answer<'a, Vec<Box<RawValue>>> {
        nobody()
    }

    fn send_leave<'a>(
        &'a self,
        _: &'a ServerName,
        _: &'a RoomId,
        _: &'a EventId,
        _: &'a str,
    ) -> Answer<'a, ()> {
        nobody()
    }

    fn invite<'a>(&'a self, _: &'a ServerName, _: OutgoingInvite<'a>) -> Answer<'a, RawPdu> {
        nobody()
    }

    fn exchange_third_party_invite<'a>(
        &'a self,
        _: &'a ServerName,
        _: &'a RoomId,
        _: &'a CanonicalJsonObject,
    ) -> Answer<'a, ()> {
        nobody()
    }

    fn fetch<'a>(&'a self, server: &'a ServerName, fetch: Fetch<'a>) -> Answer<'a, Vec<RawPdu>> {
        self.0.fetch_from(server, fetch).boxed()
    }

    fn state<'a>(
        &'a self,
        server: &'a ServerName,
        room_id: &'a RoomId,
        at: &'a EventId,
        parts: mpsc::Sender<StatePart>,
    ) -> Answer<'a, ()> {
        async move {
            let ids = self.0.state_at(server, room_id, at).await?;
            let rooms = self.0.server(server)?;
            let state = self.0.pdus(&rooms, room_id, &ids.state).await;
            let auth_chain = self.0.pdus(&rooms, room_id, &ids.auth_chain).await;
            // Whoever asked may want no more of it.
            let _ = parts.send(StatePart::State(state)).await;
            let _ = parts.send(StatePart::AuthChain(auth_chain)).await;
            Ok(())
        }
        .boxed()
    }

    fn state_ids<'a>(
        &'a self,
        server: &'a ServerName,
        room_id: &'a RoomId,
        at: &'a EventId,
    ) -> Answer<'a, FetchedStateIds> {
        self.0.state_at(server, room_id, at).boxed()
    }
}
