//! Servers joined by a port in memory, which can be down and can lie.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use futures_util::{FutureExt as _, future::BoxFuture};
use gatehouse_accounts::{Accounts, DeviceRequest, NewUser};
use gatehouse_events::{Clock, RoomVersion, SignatureNeeded, SigningKey};
use gatehouse_store::{Direction, Position, Store};
use parking_lot::Mutex;
use ruma::{
    CanonicalJsonObject, EventId, OwnedEventId, OwnedRoomId, OwnedServerName, OwnedUserId, RoomId,
    ServerName, UserId, events::room::member::MembershipState, serde::Base64, signatures::PublicKeyMap,
};
use serde_json::{Value, json, value::RawValue};
use tokio::sync::mpsc;

use crate::{
    Config, Join, MembershipRequest, NoIdentityServers, OutgoingPart, OutgoingState, PeerError, PeerInvite,
    Rooms, Sent, WriteError,
    create::{CreateRoom, Preset},
    receive::Received,
    remote_servers::{
        Answer, Fetch, FetchedStateIds, OutgoingInvite, RawPdu, RemoteError, RemoteMembership, RemoteServers,
        SentJoin, ServerKeys, StatePart, Template, WantedState,
    },
    send::{Message, StateUpdate},
};

/// What a server makes of one answer; it may be nothing.
pub(super) struct Lie<T>(Option<Change<T>>);

type Change<T> = Arc<dyn Fn(&mut T) + Send + Sync>;

impl<T> Default for Lie<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T> Clone for Lie<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// What a server makes of its answers before it gives them.
#[derive(Default, Clone)]
pub(super) struct Lies {
    pub(super) template: Lie<Template>,
    pub(super) welcome: Lie<bool>,
    pub(super) joined: Lie<SentJoin>,
    pub(super) knocked: Lie<Vec<RawPdu>>,
    pub(super) invited: Lie<RawPdu>,
    pub(super) fetched: Lie<Vec<RawPdu>>,
    pub(super) ids: Lie<FetchedStateIds>,
    pub(super) part: Lie<StatePart>,
}

/// A lie.
pub(super) fn lie<T>(lie: impl Fn(&mut T) + Send + Sync + 'static) -> Lie<T> {
    Lie(Some(Arc::new(lie)))
}

/// What lies between the servers.
#[derive(Default)]
pub(super) struct Wire {
    servers: Mutex<BTreeMap<OwnedServerName, Rooms>>,
    keys: Mutex<BTreeMap<OwnedServerName, Arc<SigningKey>>>,
    pub(super) down: Mutex<BTreeSet<OwnedServerName>>,
    /// Questions that nobody answers.
    pub(super) unanswered: Mutex<BTreeSet<&'static str>>,
    pub(super) lies: Mutex<Lies>,
    /// Every question that was asked: of whom, and which.
    pub(super) asked: Mutex<Vec<(OwnedServerName, &'static str)>>,
}

impl Wire {
    fn ask(&self, server: &ServerName, what: &'static str) -> Result<Rooms, RemoteError> {
        self.asked.lock().push((server.to_owned(), what));
        if self.down.lock().contains(server) || self.unanswered.lock().contains(what) {
            return Err(RemoteError::Unreachable);
        }
        let servers = self.servers.lock();
        servers.get(server).cloned().ok_or(RemoteError::Unreachable)
    }

    fn tell<T>(&self, lie: impl Fn(&Lies) -> Lie<T>, mut answer: T) -> T {
        if let Some(lie) = lie(&self.lies.lock()).0 {
            lie(&mut answer);
        }
        answer
    }

    pub(super) fn key(&self, server: &ServerName) -> Arc<SigningKey> {
        Arc::clone(&self.keys.lock()[server])
    }
}

/// What a server answers to those who may not have what they want.
#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn refused(error: PeerError) -> RemoteError {
    let (status, errcode) = match &error {
        PeerError::NoSuchRoom | PeerError::NoSuchEvent | PeerError::MembersMissing => (404, "M_NOT_FOUND"),
        PeerError::NotInRoom | PeerError::UserNotYours | PeerError::Refused(_) | PeerError::NotSigned(_) => {
            (403, "M_FORBIDDEN")
        }
        PeerError::InviteBlocked(_) => (403, "M_INVITE_BLOCKED"),
        PeerError::IncompatibleRoomVersion(_) => (400, "M_INCOMPATIBLE_ROOM_VERSION"),
        PeerError::UnableToAuthoriseJoin => (400, "M_UNABLE_TO_AUTHORISE_JOIN"),
        PeerError::UnableToGrantJoin => (400, "M_UNABLE_TO_GRANT_JOIN"),
        PeerError::BadJson(_) => (400, "M_BAD_JSON"),
        PeerError::Invalid(_) => (400, "M_INVALID_PARAM"),
        PeerError::Write(_) => return RemoteError::Unreachable,
    };
    RemoteError::Refused {
        errcode: errcode.to_owned(),
        error: error.to_string(),
        status,
    }
}

pub(super) fn raw(json: &str) -> RawPdu {
    RawValue::from_string(json.to_owned()).unwrap()
}

/// All of a state, and of its auth chain.
pub(super) async fn whole(mut state: OutgoingState) -> Result<(Vec<RawPdu>, Vec<RawPdu>), PeerError> {
    let (mut pdus, mut auth_chain) = (Vec::new(), Vec::new());
    while let Some(part) = state.next().await? {
        match part {
            OutgoingPart::State(part) => pdus.extend(part.iter().map(|pdu| raw(pdu))),
            OutgoingPart::AuthChain(part) => auth_chain.extend(part.iter().map(|pdu| raw(pdu))),
        }
    }
    Ok((pdus, auth_chain))
}

/// One server's port to the others.
struct Port {
    me: OwnedServerName,
    wire: Arc<Wire>,
}

impl ServerKeys for Port {
    fn keys(&self, wanted: Vec<SignatureNeeded>) -> BoxFuture<'_, PublicKeyMap> {
        let keys = self.wire.keys.lock();
        let mut found = PublicKeyMap::new();
        for wanted in wanted {
            if let Some(key) = keys.get(&wanted.server) {
                let key = (key.key_id(), Base64::new(key.public_key().to_vec()));
                found.entry(wanted.server.to_string()).or_default().extend([key]);
            }
        }
        std::future::ready(found).boxed()
    }
}

impl RemoteServers for Port {
    fn make_membership<'a>(
        &'a self,
        server: &'a ServerName,
        room_id: &'a RoomId,
        user: &'a UserId,
        membership: RemoteMembership,
    ) -> Answer<'a, Template> {
        async move {
            let rooms = self.wire.ask(server, "make")?;
            let versions: Vec<String> = RoomVersion::all()
                .map(|version| version.name().to_owned())
                .collect();
            let made = match membership {
                RemoteMembership::Joining => rooms.make_join(&self.me, room_id, user, &versions).await,
                RemoteMembership::Knocking => rooms.make_knock(&self.me, room_id, user, &versions).await,
                RemoteMembership::Leaving => rooms.make_leave(&self.me, room_id, user).await,
            };
            Ok(self
                .wire
                .tell(|lies| lies.template.clone(), made.map_err(refused)?))
        }
        .boxed()
    }

    fn lets_guests_in<'a>(&'a self, server: &'a ServerName, room_id: &'a RoomId) -> Answer<'a, bool> {
        async move {
            let rooms = self.wire.ask(server, "hierarchy")?;
            let described = rooms.hierarchy_for_server(&self.me, room_id, true).await;
            let welcome = described.map_err(refused)?.room.room.guest_can_join;
            Ok(self.wire.tell(|lies| lies.welcome.clone(), welcome))
        }
        .boxed()
    }

    fn send_join<'a>(
        &'a self,
        server: &'a ServerName,
        room_id: &'a RoomId,
        event_id: &'a EventId,
        pdu: &'a str,
        wanted: WantedState,
    ) -> Answer<'a, SentJoin> {
        async move {
            let rooms = self.wire.ask(server, "send_join")?;
            let pdu = raw(pdu);
            let answer = rooms
                .send_join(self.sent(room_id, event_id, &pdu), wanted)
                .await
                .map_err(refused)?;
            let (state, auth_chain) = whole(answer.state).await.map_err(refused)?;
            let sent = SentJoin {
                event: Some(raw(&answer.event)),
                state,
                auth_chain,
                members_omitted: answer.members_omitted,
                servers_in_room: answer.servers_in_room,
            };
            Ok(self.wire.tell(|lies| lies.joined.clone(), sent))
        }
        .boxed()
    }

    fn send_knock<'a>(
        &'a self,
        server: &'a ServerName,
        room_id: &'a RoomId,
        event_id: &'a EventId,
        pdu: &'a str,
    ) -> Answer<'a, Vec<Box<RawValue>>> {
        async move {
            let rooms = self.wire.ask(server, "send_knock")?;
            let pdu = raw(pdu);
            let shown = rooms
                .send_knock(self.sent(room_id, event_id, &pdu))
                .await
                .map_err(refused)?;
            Ok(self.wire.tell(|lies| lies.knocked.clone(), shown))
        }
        .boxed()
    }

    fn send_leave<'a>(
        &'a self,
        server: &'a ServerName,
        room_id: &'a RoomId,
        event_id: &'a EventId,
        pdu: &'a str,
    ) -> Answer<'a, ()> {
        async move {
            let rooms = self.wire.ask(server, "send_leave")?;
            let pdu = raw(pdu);
            rooms
                .send_leave(self.sent(room_id, event_id, &pdu))
                .await
                .map_err(refused)
        }
        .boxed()
    }

    fn invite<'a>(&'a self, server: &'a ServerName, invite: OutgoingInvite<'a>) -> Answer<'a, RawPdu> {
        async move {
            let rooms = self.wire.ask(server, "invite")?;
            let (pdu, shown) = (raw(invite.pdu), raw(invite.invite_room_state));
            let invited = rooms.invite_from_remote(PeerInvite {
                origin: &self.me,
                room_id: invite.room_id,
                event_id: invite.event_id,
                version: invite.version,
                pdu: &pdu,
                invite_room_state: Some(&shown),
            });
            Ok(self
                .wire
                .tell(|lies| lies.invited.clone(), invited.await.map_err(refused)?))
        }
        .boxed()
    }

    fn exchange_third_party_invite<'a>(
        &'a self,
        server: &'a ServerName,
        room_id: &'a RoomId,
        event: &'a CanonicalJsonObject,
    ) -> Answer<'a, ()> {
        async move {
            let rooms = self.wire.ask(server, "exchange")?;
            let exchanged = rooms.exchange_third_party_invite(&self.me, room_id, event).await;
            exchanged.map_err(|error| refused(error.into()))
        }
        .boxed()
    }

    fn fetch<'a>(&'a self, server: &'a ServerName, fetch: Fetch<'a>) -> Answer<'a, Vec<RawPdu>> {
        async move {
            let me = &self.me;
            let fetched = match fetch {
                Fetch::Event { event_id } => {
                    let rooms = self.wire.ask(server, "event")?;
                    rooms
                        .event_for_server(me, event_id)
                        .await
                        .map(|event| vec![event])
                }
                Fetch::EventAuth { room_id, event_id } => {
                    let rooms = self.wire.ask(server, "event_auth")?;
                    match rooms.event_auth_for_server(me, room_id, event_id).await {
                        Ok(chain) => whole(chain).await.map(|(_, chain)| chain),
                        Err(error) => Err(error),
                    }
                }
                Fetch::MissingEvents {
                    room_id,
                    earliest,
                    latest,
                    limit,
                    min_depth,
                } => {
                    let rooms = self.wire.ask(server, "missing")?;
                    rooms
                        .missing_events_for_server(me, room_id, earliest, latest, limit, min_depth)
                        .await
                }
                Fetch::Backfill { room_id, from, limit } => {
                    let rooms = self.wire.ask(server, "backfill")?;
                    rooms.backfill_for_server(me, room_id, from, limit).await
                }
            };
            Ok(self
                .wire
                .tell(|lies| lies.fetched.clone(), fetched.map_err(refused)?))
        }
        .boxed()
    }

    fn state<'a>(
        &'a self,
        server: &'a ServerName,
        room_id: &'a RoomId,
        at: &'a EventId,
        parts: mpsc::Sender<StatePart>,
    ) -> Answer<'a, ()> {
        async move {
            let rooms = self.wire.ask(server, "state")?;
            let state = rooms.state_for_server(&self.me, room_id, at).await;
            let mut state = state.map_err(refused)?;
            while let Some(part) = state.next().await.map_err(refused)? {
                let raws = |pdus: Vec<String>| pdus.iter().map(|pdu| raw(pdu)).collect();
                let part = match part {
                    OutgoingPart::State(pdus) => StatePart::State(raws(pdus)),
                    OutgoingPart::AuthChain(pdus) => StatePart::AuthChain(raws(pdus)),
                };
                let part = self.wire.tell(|lies| lies.part.clone(), part);
                let _ = parts.send(part).await;
            }
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
        async move {
            let rooms = self.wire.ask(server, "state_ids")?;
            let ids = rooms.state_ids_for_server(&self.me, room_id, at).await;
            Ok(self.wire.tell(|lies| lies.ids.clone(), ids.map_err(refused)?))
        }
        .boxed()
    }
}

impl Port {
    fn sent<'a>(&'a self, room_id: &'a RoomId, event_id: &'a EventId, pdu: &'a RawValue) -> Sent<'a> {
        Sent {
            origin: &self.me,
            room_id,
            event_id,
            pdu,
        }
    }
}

/// Servers `a`, `b` and `c`, with a user of the same name as each.
pub(super) struct Town {
    pub(super) wire: Arc<Wire>,
    pub(super) clock: Clock,
}

pub(super) fn name(server: &str) -> OwnedServerName {
    ServerName::parse(server).unwrap()
}

/// The user of a server: `@a:a`.
pub(super) fn user(server: &str) -> OwnedUserId {
    UserId::parse(format!("@{server}:{server}")).unwrap()
}

pub(super) fn plain() -> MembershipRequest {
    MembershipRequest::default()
}

impl Town {
    pub(super) async fn new() -> Self {
        let town = Self {
            wire: Arc::default(),
            clock: Clock::manual(1_000_000),
        };
        for (number, server) in ["a", "b", "c"].into_iter().enumerate() {
            town.build(server, u8::try_from(number).unwrap()).await;
        }
        town
    }

    async fn build(&self, server: &str, seed: u8) {
        self.open(server, Store::in_memory(), seed);
        for username in [server, "guest", "other"] {
            self.sign_up(server, username).await;
        }
    }

    pub(super) async fn sign_up(&self, server: &str, username: &str) {
        let new = NewUser {
            username,
            password: None,
            is_admin: false,
        };
        let rooms = self.rooms(server);
        rooms.shared.accounts.create_user(&new, None).await.unwrap();
    }

    /// Starts a server over what a store has.
    pub(super) fn open(&self, server: &str, store: Store, seed: u8) {
        let mut config = gatehouse_accounts::Config::new(name(server));
        config.registration.guests = true;
        let accounts = Accounts::new(store.clone(), config, self.clock.clone());
        let config = Config {
            default_version: "12".parse().unwrap(),
            legacy_default_version: "11".parse().unwrap(),
            cached_rooms: 100,
            event_cache_bytes: 1 << 20,
        };
        let key = Arc::new(SigningKey::from_seed([seed + 1; 32], "test").unwrap());
        let port = Port {
            me: name(server),
            wire: Arc::clone(&self.wire),
        };
        let rooms = Rooms::new(
            store,
            accounts,
            Arc::clone(&key),
            Arc::new(port),
            Arc::new(NoIdentityServers),
            config,
            self.clock.clone(),
        );
        self.wire.servers.lock().insert(name(server), rooms);
        self.wire.keys.lock().insert(name(server), key);
    }

    /// A guest of a server.
    pub(super) async fn guest(&self, server: &str) -> OwnedUserId {
        let accounts = self.rooms(server).shared.accounts.clone();
        let guest = accounts.register_guest(DeviceRequest::default()).await;
        guest.unwrap().user_id
    }

    pub(super) fn rooms(&self, server: &str) -> Rooms {
        self.wire.servers.lock()[&name(server)].clone()
    }

    /// A room of the user of `a`.
    pub(super) async fn room(&self, version: &str, preset: Preset) -> OwnedRoomId {
        self.room_with(version, preset, &[]).await
    }

    /// The same with state besides.
    pub(super) async fn room_with(
        &self,
        version: &str,
        preset: Preset,
        state: &[(&str, Value)],
    ) -> OwnedRoomId {
        let mut request = request(version, preset);
        request.initial_state = state
            .iter()
            .map(|(kind, content)| update(kind, "", content))
            .collect();
        self.rooms("a").create(&user("a"), &request, None).await.unwrap()
    }

    /// The user of a server joins over `a`, and all members have come.
    pub(super) async fn join(&self, server: &str, room: &RoomId) -> Result<(), WriteError> {
        self.join_partly(server, room).await?;
        self.rooms(server).wait_until_whole(room).await
    }

    /// The same, where members may be missing.
    pub(super) async fn join_partly(&self, server: &str, room: &RoomId) -> Result<(), WriteError> {
        self.clock.advance(Duration::from_millis(1));
        let join = Join {
            via: vec![name("a")],
            ..Join::default()
        };
        self.rooms(server).join(&user(server), room, &join).await
    }

    pub(super) async fn say(&self, server: &str, room: &RoomId, text: &str) -> OwnedEventId {
        self.clock.advance(Duration::from_millis(1));
        let message = Message {
            kind: "m.room.message".into(),
            content: content(&json!({ "body": text, "msgtype": "m.text" })),
            transaction: None,
        };
        self.rooms(server)
            .send(&user(server), room, &message)
            .await
            .unwrap()
    }

    pub(super) async fn set(&self, server: &str, room: &RoomId, kind: &str, set: Value) -> OwnedEventId {
        self.clock.advance(Duration::from_millis(1));
        let update = update(kind, "", &set);
        let rooms = self.rooms(server);
        rooms.set_state(&user(server), room, &update).await.unwrap()
    }

    /// One server sends another all of a room's events that it has.
    pub(super) async fn deliver(&self, from: &str, to: &str, room: &RoomId) -> Vec<Received> {
        let sender = self.rooms(from);
        let all = (Position::ZERO, Position::MAX);
        let rows = sender
            .timeline(room, all, Direction::Forward, 1_000)
            .await
            .unwrap();
        let ids: Vec<_> = rows
            .events
            .iter()
            .map(|event| event.event_id().to_owned())
            .collect();
        let pdus = sender.raw_pdus(room, &ids).await.unwrap();
        let received = self.rooms(to).receive(&name(from), room, &pdus).await.unwrap();
        received.into_iter().map(|(_, received)| received).collect()
    }

    pub(super) async fn membership(&self, server: &str, room: &RoomId, of: &UserId) -> MembershipState {
        let head = self.rooms(server).head(room).await.unwrap();
        head.map_or(MembershipState::Leave, |head| head.membership(of))
    }

    /// What the user's own server says of a membership, in the room or not.
    pub(super) async fn own(&self, server: &str, room: &RoomId) -> Option<MembershipState> {
        let rooms = self.rooms(server);
        let all = rooms.current_memberships(&user(server)).await.unwrap();
        let found = all.into_iter().find(|membership| membership.room_id == *room);
        found.map(|membership| membership.membership)
    }

    pub(super) async fn knows(&self, server: &str, room: &RoomId) -> bool {
        self.rooms(server).head(room).await.unwrap().is_some()
    }

    /// Both have the same state.
    pub(super) async fn agree(&self, room: &RoomId, servers: &[&str]) {
        let first = self
            .rooms(servers[0])
            .head(room)
            .await
            .unwrap()
            .unwrap()
            .room_state();
        for server in &servers[1..] {
            let other = self.rooms(server).head(room).await.unwrap().unwrap().room_state();
            assert_eq!(first.to_map(), other.to_map(), "{server}");
        }
    }

    pub(super) fn lie(&self, lies: Lies) {
        *self.wire.lies.lock() = lies;
    }

    pub(super) fn asked(&self, what: &str) -> usize {
        self.wire
            .asked
            .lock()
            .iter()
            .filter(|(_, asked)| *asked == what)
            .count()
    }
}

pub(super) fn content(value: &Value) -> CanonicalJsonObject {
    gatehouse_events::json::parse_content(value.to_string().as_bytes()).unwrap()
}

pub(super) fn update(kind: &str, state_key: &str, set: &Value) -> StateUpdate {
    StateUpdate {
        kind: kind.into(),
        state_key: state_key.to_owned(),
        content: content(set),
        is_guest: false,
    }
}

pub(super) fn request(version: &str, preset: Preset) -> CreateRoom {
    CreateRoom {
        preset,
        ..crate::write_tests::public_request(version.parse().unwrap())
    }
}
