//! A server with rooms and nothing else.

use std::sync::Arc;

use gatehouse_accounts::Accounts;
use gatehouse_events::{Clock, RoomVersion, SigningKey};
use gatehouse_store::Store;
use ruma::{CanonicalJsonObject, OwnedRoomId, OwnedUserId, UserId, owned_server_name};

use crate::{
    Config, IdentityServers, NoFederation, NoIdentityServers, RemoteServers, Rooms,
    create::{CreateRoom, Preset},
    membership::invite::Directness,
};

pub(super) fn user(name: &str) -> OwnedUserId {
    UserId::parse(format!("@{name}:s")).unwrap()
}

pub(super) fn rooms(store: &Store) -> Rooms {
    rooms_asking(store, Arc::new(NoIdentityServers))
}

pub(super) fn rooms_asking(store: &Store, identity_servers: Arc<dyn IdentityServers>) -> Rooms {
    rooms_among(store, Arc::new(NoFederation), identity_servers)
}

pub(super) fn rooms_among(
    store: &Store,
    remote: Arc<dyn RemoteServers>,
    identity_servers: Arc<dyn IdentityServers>,
) -> Rooms {
    let clock = Clock::manual(1_000_000);
    let config = gatehouse_accounts::Config::new(owned_server_name!("s"));
    let accounts = Accounts::new(store.clone(), config, clock.clone());
    let config = Config {
        default_version: "12".parse().unwrap(),
        legacy_default_version: "11".parse().unwrap(),
        cached_rooms: 100,
        event_cache_bytes: 1 << 20,
    };
    let key = SigningKey::from_seed([7; 32], "test").unwrap();
    Rooms::new(
        store.clone(),
        accounts,
        key,
        remote,
        identity_servers,
        config,
        clock,
    )
}

pub(super) fn request(version: RoomVersion, preset: Preset) -> CreateRoom {
    CreateRoom {
        room_id: None,
        version,
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
    }
}

pub(super) async fn room(
    rooms: &Rooms,
    creator: &UserId,
    version: RoomVersion,
    preset: Preset,
) -> OwnedRoomId {
    rooms
        .create(creator, &request(version, preset), None)
        .await
        .unwrap()
}

pub(super) fn content(text: &str) -> CanonicalJsonObject {
    gatehouse_events::json::parse_content(text.as_bytes()).unwrap()
}
