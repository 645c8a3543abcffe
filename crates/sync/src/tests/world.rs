//! A server without HTTP: engines over one store, which can be thrown away and built anew.

use std::sync::{Arc, Mutex};

use super::elsewhere::Elsewhere;
use crate::{Request, Sync};
use gatehouse_accounts::{Accounts, DeviceRequest, RegistrationRequest, Secret};
use gatehouse_directory::{Directory, NoRemoteDirectories};
use gatehouse_events::{Clock, SigningKey};
use gatehouse_rooms::{
    Join, MembershipRequest, NoIdentityServers, RemoteServers, Rooms, WriteError,
    create::{CreateRoom, Preset},
    membership::invite::Directness,
    send::{Message, StateUpdate},
};
use gatehouse_store::Store;
use ruma::{
    CanonicalJsonObject, OwnedDeviceId, OwnedEventId, OwnedRoomId, OwnedServerName, OwnedUserId, RoomId,
    owned_server_name,
};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

/// A user and the user's device.
#[derive(Debug, Clone)]
pub(crate) struct User {
    pub(crate) id: OwnedUserId,
    pub(crate) device: OwnedDeviceId,
}

impl User {
    /// An initial sync.
    pub(crate) fn request(&self) -> Request {
        Request {
            user: self.id.clone(),
            device: self.device.clone(),
            since: None,
            filter: Box::default(),
            timeout: std::time::Duration::ZERO,
            full_state: false,
            state_form: crate::StateForm::Before,
        }
    }
}

struct Engines {
    accounts: Accounts,
    rooms: Rooms,
    sync: Sync,
    follower: JoinHandle<()>,
}

/// Which server it is, and how it reaches others.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) name: OwnedServerName,
    pub(crate) seed: [u8; 32],
    pub(crate) remote: Arc<dyn RemoteServers>,
}

impl Default for Place {
    fn default() -> Self {
        Self {
            name: owned_server_name!("s"),
            seed: [7; 32],
            remote: Arc::new(Elsewhere),
        }
    }
}

pub(crate) struct World {
    pub(crate) store: Store,
    pub(crate) clock: Clock,
    place: Place,
    engines: Mutex<Engines>,
}

impl World {
    pub(crate) fn new(store: Store) -> Self {
        Self::at(Place::default(), store)
    }

    pub(crate) fn at(place: Place, store: Store) -> Self {
        let clock = Clock::manual(1_700_000_000_000);
        let engines = Mutex::new(engines(&store, &clock, &place));
        Self {
            store,
            clock,
            place,
            engines,
        }
    }

    /// As after a restart: nothing but the store is left.
    pub(crate) fn restart(&self) {
        let anew = engines(&self.store, &self.clock, &self.place);
        let old = std::mem::replace(&mut *self.engines.lock().unwrap(), anew);
        old.sync.stop();
        old.follower.abort();
    }

    pub(crate) fn accounts(&self) -> Accounts {
        self.engines.lock().unwrap().accounts.clone()
    }

    pub(crate) fn rooms(&self) -> Rooms {
        self.engines.lock().unwrap().rooms.clone()
    }

    pub(crate) fn sync(&self) -> Sync {
        self.engines.lock().unwrap().sync.clone()
    }

    pub(crate) async fn users(&self, count: usize) -> Vec<User> {
        let mut users = Vec::new();
        for number in 0..count {
            users.push(self.user(&format!("user{number:02}")).await);
        }
        users
    }

    pub(crate) async fn two_users(&self) -> [User; 2] {
        [self.user("alice").await, self.user("bob").await]
    }

    pub(crate) async fn user(&self, name: &str) -> User {
        let body = serde_json::json!({"auth": {"type": "m.login.dummy"}});
        let request = RegistrationRequest {
            username: Some(name.to_owned()),
            password: Some(Secret::new("a good long password".to_owned())),
            guest_access_token: None,
            device: DeviceRequest::default(),
            inhibit_login: false,
            address: None,
        };
        let registered = self
            .accounts()
            .register(body.as_object().unwrap(), request)
            .await
            .unwrap();
        User {
            id: registered.user_id,
            device: registered.login.unwrap().device_id,
        }
    }

    pub(crate) async fn log_out(&self, user: &User) {
        let devices = std::slice::from_ref(&user.device);
        self.accounts().delete_devices(&user.id, devices).await.unwrap();
    }
}

/// What users do.
impl World {
    pub(crate) async fn public_room(&self, creator: &User) -> OwnedRoomId {
        self.room(creator, Preset::PublicChat).await
    }

    pub(crate) async fn private_room(&self, creator: &User) -> OwnedRoomId {
        self.room(creator, Preset::PrivateChat).await
    }

    async fn room(&self, creator: &User, preset: Preset) -> OwnedRoomId {
        let request = CreateRoom {
            room_id: None,
            version: "11".parse().unwrap(),
            preset,
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
        self.rooms().create(&creator.id, &request, None).await.unwrap()
    }

    pub(crate) async fn send(
        &self,
        user: &User,
        room: &RoomId,
        body: &str,
    ) -> Result<OwnedEventId, WriteError> {
        let message = Message {
            kind: "m.room.message".to_owned(),
            content: content(&json!({"msgtype": "m.text", "body": body})),
            transaction: None,
        };
        self.rooms().send(&user.id, room, &message).await
    }

    pub(crate) async fn set(
        &self,
        user: &User,
        room: &RoomId,
        (kind, state_key): (&str, &str),
        value: Value,
    ) -> Result<OwnedEventId, WriteError> {
        let update = StateUpdate {
            kind: kind.to_owned(),
            state_key: state_key.to_owned(),
            content: content(&value),
            is_guest: false,
        };
        self.rooms().set_state(&user.id, room, &update).await
    }

    pub(crate) async fn set_visibility(&self, user: &User, room: &RoomId, visibility: &str) {
        let value = json!({"history_visibility": visibility});
        let key = ("m.room.history_visibility", "");
        self.set(user, room, key, value).await.unwrap();
    }

    /// As [`Self::set_visibility`]; a room has history visibility `shared` when it is made.
    pub(crate) async fn set_visibility_if_new(&self, user: &User, room: &RoomId, visibility: &str) {
        if visibility != "shared" {
            self.set_visibility(user, room, visibility).await;
        }
    }

    pub(crate) async fn join(&self, user: &User, room: &RoomId) -> Result<(), WriteError> {
        self.rooms().join(&user.id, room, &Join::default()).await
    }

    pub(crate) async fn leave(&self, user: &User, room: &RoomId) -> Result<OwnedEventId, WriteError> {
        self.rooms()
            .leave(&user.id, room, &MembershipRequest::default())
            .await
    }

    pub(crate) async fn invite(
        &self,
        user: &User,
        room: &RoomId,
        target: &User,
    ) -> Result<OwnedEventId, WriteError> {
        let request = MembershipRequest::default();
        self.rooms().invite(&user.id, &target.id, room, &request).await
    }

    pub(crate) async fn kick(
        &self,
        user: &User,
        room: &RoomId,
        target: &User,
    ) -> Result<OwnedEventId, WriteError> {
        let request = MembershipRequest::default();
        self.rooms().kick(&user.id, &target.id, room, &request).await
    }

    pub(crate) async fn ban(
        &self,
        user: &User,
        room: &RoomId,
        target: &User,
    ) -> Result<OwnedEventId, WriteError> {
        let request = MembershipRequest::default();
        self.rooms().ban(&user.id, &target.id, room, &request).await
    }

    pub(crate) async fn unban(
        &self,
        user: &User,
        room: &RoomId,
        target: &User,
    ) -> Result<OwnedEventId, WriteError> {
        let request = MembershipRequest::default();
        self.rooms().unban(&user.id, &target.id, room, &request).await
    }
}

fn content(value: &Value) -> CanonicalJsonObject {
    serde_json::from_value(value.clone()).unwrap()
}

fn engines(store: &Store, clock: &Clock, place: &Place) -> Engines {
    let mut config = gatehouse_accounts::Config::new(place.name.clone());
    config.registration.open = true;
    config.registration.cheap_password_hash = true;
    let accounts = Accounts::new(store.clone(), config, clock.clone());
    let key = SigningKey::from_seed(place.seed, "a_test").unwrap();
    let config = gatehouse_rooms::Config {
        default_version: "11".parse().unwrap(),
        legacy_default_version: "11".parse().unwrap(),
        cached_rooms: 100,
        event_cache_bytes: 1 << 20,
    };
    let rooms = Rooms::new(
        store.clone(),
        accounts.clone(),
        key,
        Arc::clone(&place.remote),
        Arc::new(NoIdentityServers),
        config,
        clock.clone(),
    );
    let directory = Directory::new(
        store.clone(),
        rooms.clone(),
        clock.clone(),
        gatehouse_directory::Config::default(),
        Arc::new(NoRemoteDirectories),
    );
    let sync = Sync::new(store.clone(), accounts.clone(), rooms.clone(), directory);
    let following = sync.clone();
    let follower = tokio::spawn(async move { following.follow().await });
    Engines {
        accounts,
        rooms,
        sync,
        follower,
    }
}
