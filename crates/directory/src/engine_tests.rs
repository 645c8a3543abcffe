//! The directory over a store in memory.

use std::{sync::Arc, time::Duration};

use gatehouse_accounts::Accounts;
use gatehouse_events::{Clock, SigningKey, json};
use gatehouse_rooms::{
    CACHED_ROOMS, EVENT_CACHE_BYTES, Join, MembershipRequest, NoFederation, NoIdentityServers, Rooms,
    create::{CreateRoom, Preset},
    membership::invite::Directness,
    send::StateUpdate,
};
use gatehouse_store::{Store, memory::MemoryBackend};
use ruma::{OwnedRoomId, OwnedUserId, RoomId, UserId, owned_server_name, room_id};
use serde_json::{Value, json};

use crate::{
    Actor, AliasError, CanonicalAliasError, Config, Directory, NoRemoteDirectories, PublicRoomsQuery,
    PublicationError, RoomVisibility, aliases::MAX_ALIASES_A_ROOM, canonical_alias::CANONICAL_ALIAS,
    slow_reads::SlowReads,
};

struct House {
    directory: Directory,
    rooms: Rooms,
    clock: Clock,
}

fn user(name: &str) -> OwnedUserId {
    UserId::parse(format!("@{name}:s")).unwrap()
}

fn house() -> House {
    house_with(Config::default())
}

fn house_with(settings: Config) -> House {
    house_over(Store::in_memory(), settings)
}

fn house_over(store: Store, settings: Config) -> House {
    let clock = Clock::manual(1_000);
    let accounts = Accounts::new(
        store.clone(),
        gatehouse_accounts::Config::new(owned_server_name!("s")),
        clock.clone(),
    );
    let config = gatehouse_rooms::Config {
        default_version: "11".parse().unwrap(),
        legacy_default_version: "11".parse().unwrap(),
        cached_rooms: CACHED_ROOMS,
        event_cache_bytes: EVENT_CACHE_BYTES,
    };
    let key = SigningKey::from_seed([7; 32], "test").unwrap();
    let remote = Arc::new(NoFederation);
    let rooms = Rooms::new(
        store.clone(),
        accounts,
        key,
        remote,
        Arc::new(NoIdentityServers),
        config,
        clock.clone(),
    );
    let directory = Directory::new(
        store,
        rooms.clone(),
        clock.clone(),
        settings,
        Arc::new(NoRemoteDirectories),
    );
    House {
        directory,
        rooms,
        clock,
    }
}

impl House {
    async fn room(&self, creator: &UserId, name: &str) -> OwnedRoomId {
        self.clock.advance(Duration::from_millis(1));
        let request = CreateRoom {
            room_id: None,
            version: "11".parse().unwrap(),
            preset: Preset::PublicChat,
            name: Some(name.to_owned()),
            topic: None,
            alias: None,
            invite: vec![],
            invite_3pid: vec![],
            directness: Directness::Ordinary,
            creation_content: ruma::CanonicalJsonObject::new(),
            initial_state: vec![],
            power_level_content_override: ruma::CanonicalJsonObject::new(),
        };
        self.rooms.create(creator, &request, None).await.unwrap()
    }

    async fn join(&self, user: &UserId, room: &RoomId) {
        self.rooms.join(user, room, &Join::default()).await.unwrap();
    }

    async fn state(&self, by: &UserId, room: &RoomId, kind: &str, content: Value) {
        let update = StateUpdate {
            kind: kind.to_owned(),
            state_key: String::new(),
            content: json::parse_content(content.to_string().as_bytes()).unwrap(),
            is_guest: false,
        };
        self.rooms.set_state(by, room, &update).await.unwrap();
    }

    async fn aliases(&self, by: &UserId, room: &RoomId) -> Vec<String> {
        let aliases = self.directory.aliases_of(Actor::User(by), room).await.unwrap();
        aliases.iter().map(ToString::to_string).collect()
    }

    async fn listed(&self) -> Vec<OwnedRoomId> {
        let page = self
            .directory
            .public_rooms(None, &PublicRoomsQuery::default())
            .await;
        page.unwrap()
            .chunk
            .iter()
            .map(|room| room.room_id.clone())
            .collect()
    }
}

#[tokio::test]
async fn an_alias_leads_to_its_room_until_it_is_removed() {
    let (house, owner) = (house(), user("owner"));
    let room = house.room(&owner, "x").await;
    let actor = Actor::User(&owner);
    house.directory.add_alias(actor, "#a:s", &room).await.unwrap();
    assert_eq!(house.directory.resolve("#a:s").await.unwrap().room_id, room);
    assert_eq!(house.aliases(&owner, &room).await, ["#a:s"]);
    house.directory.remove_alias(actor, "#a:s").await.unwrap();
    assert!(matches!(
        house.directory.resolve("#a:s").await,
        Err(AliasError::NotFound)
    ));
    assert!(house.aliases(&owner, &room).await.is_empty());
    let again = house.directory.remove_alias(actor, "#a:s").await;
    assert!(matches!(again, Err(AliasError::NotFound)));
}

#[tokio::test]
async fn an_alias_that_is_taken_stays_where_it_is() {
    let (house, owner, other) = (house(), user("owner"), user("other"));
    let (room, others) = (house.room(&owner, "x").await, house.room(&other, "y").await);
    house
        .directory
        .add_alias(Actor::User(&owner), "#a:s", &room)
        .await
        .unwrap();
    let taken = house
        .directory
        .add_alias(Actor::User(&other), "#a:s", &others)
        .await;
    assert!(matches!(taken, Err(AliasError::InUse)));
    assert_eq!(house.directory.resolve("#a:s").await.unwrap().room_id, room);
}

#[tokio::test]
async fn only_members_give_a_room_an_alias() {
    let (house, owner, stranger) = (house(), user("owner"), user("stranger"));
    let room = house.room(&owner, "x").await;
    let added = house
        .directory
        .add_alias(Actor::User(&stranger), "#a:s", &room)
        .await;
    assert!(matches!(added, Err(AliasError::NotInRoom)));
    let nowhere = house
        .directory
        .add_alias(Actor::Administrator(&owner), "#a:s", room_id!("!no:s"))
        .await;
    assert!(matches!(nowhere, Err(AliasError::NoSuchRoom)));
    let elsewhere = house
        .directory
        .add_alias(Actor::User(&owner), "#a:other", &room)
        .await;
    assert!(matches!(elsewhere, Err(AliasError::Invalid(_))));
}

#[tokio::test]
async fn w01_an_alias_is_removed_by_its_creator_by_power_or_by_an_administrator_only() {
    let (house, owner, member, other) = (house(), user("owner"), user("member"), user("other"));
    let room = house.room(&owner, "x").await;
    house.join(&member, &room).await;
    house.join(&other, &room).await;
    let add = async || {
        let added = house
            .directory
            .add_alias(Actor::User(&member), "#a:s", &room)
            .await;
        added.unwrap();
    };
    add().await;
    let forbidden = house.directory.remove_alias(Actor::User(&other), "#a:s").await;
    assert!(matches!(forbidden, Err(AliasError::NotYours)));
    assert!(house.directory.resolve("#a:s").await.is_ok());
    for allowed in [
        Actor::User(&member),
        Actor::User(&owner),
        Actor::Administrator(&other),
    ] {
        house.directory.remove_alias(allowed, "#a:s").await.unwrap();
        add().await;
    }
}

#[tokio::test]
async fn w01_a_forged_predecessor_moves_no_alias() {
    let (house, owner, thief) = (house(), user("owner"), user("thief"));
    let (room, forged) = (house.room(&owner, "x").await, house.room(&thief, "y").await);
    house
        .directory
        .add_alias(Actor::User(&owner), "#a:s", &room)
        .await
        .unwrap();
    house.directory.follow_upgrade(&room, &forged).await.unwrap();
    assert_eq!(house.directory.resolve("#a:s").await.unwrap().room_id, room);

    let next = house.room(&owner, "z").await;
    let publish = house
        .directory
        .set_visibility(Actor::User(&owner), &room, RoomVisibility::Public);
    publish.await.unwrap();
    let tombstone = json!({ "body": "moved", "replacement_room": next });
    house.state(&owner, &room, "m.room.tombstone", tombstone).await;
    house.directory.follow_upgrade(&room, &next).await.unwrap();
    assert_eq!(house.directory.resolve("#a:s").await.unwrap().room_id, next);
    assert_eq!(house.aliases(&owner, &next).await, ["#a:s"]);
    assert!(house.aliases(&owner, &room).await.is_empty());
    assert_eq!(house.listed().await, [next]);
}

#[tokio::test]
async fn a_removed_alias_leaves_the_canonical_alias_event() {
    let (house, owner) = (house(), user("owner"));
    let room = house.room(&owner, "x").await;
    let actor = Actor::User(&owner);
    for alias in ["#a:s", "#b:s"] {
        house.directory.add_alias(actor, alias, &room).await.unwrap();
    }
    let content = json!({ "alias": "#a:s", "alt_aliases": ["#a:s", "#b:s"] });
    house.state(&owner, &room, CANONICAL_ALIAS, content).await;
    house.directory.remove_alias(actor, "#a:s").await.unwrap();
    let event = house
        .rooms
        .state_event_at(&room, CANONICAL_ALIAS, "", gatehouse_store::Position::MAX)
        .await
        .unwrap()
        .unwrap();
    let content: Value = event.event.content_as().unwrap();
    assert_eq!(content, json!({ "alt_aliases": ["#b:s"] }));
}

#[tokio::test]
async fn a_canonical_alias_must_lead_to_the_room() {
    let (house, owner) = (house(), user("owner"));
    let (room, other) = (house.room(&owner, "x").await, house.room(&owner, "y").await);
    house
        .directory
        .add_alias(Actor::User(&owner), "#a:s", &room)
        .await
        .unwrap();
    house
        .directory
        .add_alias(Actor::User(&owner), "#other:s", &other)
        .await
        .unwrap();
    let check = async |content: Value| {
        let content = content.as_object().unwrap().clone();
        house.directory.check_canonical_alias(&room, &content).await
    };
    check(json!({ "alias": "#a:s" })).await.unwrap();
    for bad in ["#missing:s", "#other:s", "#a:elsewhere"] {
        let refused = check(json!({ "alias": "#a:s", "alt_aliases": [bad] })).await;
        assert!(
            matches!(refused, Err(CanonicalAliasError::ElsewhereOrNowhere(_))),
            "{bad}"
        );
    }
    let refused = check(json!({ "alt_aliases": ["%a:s"] })).await;
    assert!(matches!(refused, Err(CanonicalAliasError::NotAnAlias(_))));
}

#[tokio::test]
async fn a_room_has_a_hundred_aliases_at_most() {
    let (house, owner) = (house(), user("owner"));
    let room = house.room(&owner, "x").await;
    let actor = Actor::User(&owner);
    for number in 0..MAX_ALIASES_A_ROOM {
        house
            .directory
            .add_alias(actor, &format!("#a{number}:s"), &room)
            .await
            .unwrap();
    }
    let more = house.directory.add_alias(actor, "#more:s", &room).await;
    assert!(matches!(more, Err(AliasError::TooMany)));
    house.directory.remove_alias(actor, "#a0:s").await.unwrap();
    house.directory.add_alias(actor, "#more:s", &room).await.unwrap();
}

#[tokio::test]
async fn aliases_are_listed_for_members_or_where_all_the_world_reads() {
    let (house, owner, stranger) = (house(), user("owner"), user("stranger"));
    let room = house.room(&owner, "x").await;
    let listed = house.directory.aliases_of(Actor::User(&stranger), &room).await;
    assert!(matches!(listed, Err(AliasError::NotInRoom)));
    let world_readable = json!({ "history_visibility": "world_readable" });
    house
        .state(&owner, &room, "m.room.history_visibility", world_readable)
        .await;
    assert!(house.aliases(&stranger, &room).await.is_empty());
}

#[tokio::test]
async fn the_list_follows_what_happens_to_its_rooms() {
    let (house, owner, guest) = (house(), user("owner"), user("guest"));
    let (first, second) = (
        house.room(&owner, "First").await,
        house.room(&owner, "Second").await,
    );
    assert!(house.listed().await.is_empty());
    for room in [&first, &second] {
        house.clock.advance(Duration::from_millis(1));
        let published = house
            .directory
            .set_visibility(Actor::User(&owner), room, RoomVisibility::Public)
            .await;
        published.unwrap();
    }
    assert_eq!(
        house.listed().await,
        [second.clone(), first.clone()],
        "the newest first"
    );
    house.join(&guest, &first).await;
    assert_eq!(
        house.listed().await,
        [first.clone(), second.clone()],
        "the largest first"
    );
    house
        .state(&owner, &second, "m.room.topic", json!({ "topic": "Wombles" }))
        .await;
    let query = PublicRoomsQuery {
        search_term: Some("WOMBLE".to_owned()),
        ..PublicRoomsQuery::default()
    };
    let page = house.directory.public_rooms(None, &query).await.unwrap();
    assert_eq!(page.chunk.len(), 1);
    assert_eq!(page.chunk[0].topic.as_deref(), Some("Wombles"));
    let leave = MembershipRequest::default();
    house.rooms.leave(&guest, &first, &leave).await.unwrap();
    let hide = house
        .directory
        .set_visibility(Actor::User(&owner), &second, RoomVisibility::Private);
    hide.await.unwrap();
    assert_eq!(house.listed().await, [first]);
}

#[tokio::test]
async fn the_list_is_whole_though_a_client_hung_up_as_it_was_read() {
    let store = Store::new(Arc::new(SlowReads(MemoryBackend::new())));
    let (house, owner) = (house_over(store, Config::default()), user("owner"));
    let mut published = Vec::new();
    // First when nothing was read yet, then when one room changed.
    for name in ["First", "Second"] {
        let room = house.room(&owner, name).await;
        let set = house
            .directory
            .set_visibility(Actor::User(&owner), &room, RoomVisibility::Public);
        set.await.unwrap();
        published.insert(0, room);
        tokio::select! {
            biased;
            _ = house.listed() => panic!("the request was to end in the middle"),
            () = std::future::ready(()) => {}
        }
        assert_eq!(house.listed().await, published, "{name}");
    }
}

#[tokio::test]
async fn publishing_takes_power_in_the_room_or_an_administrator() {
    let (house, owner, member) = (house(), user("owner"), user("member"));
    let room = house.room(&owner, "x").await;
    house.join(&member, &room).await;
    let publish = async |actor: Actor<'_>| {
        house
            .directory
            .set_visibility(actor, &room, RoomVisibility::Public)
            .await
    };
    assert!(matches!(
        publish(Actor::User(&member)).await,
        Err(PublicationError::NotAllowed)
    ));
    publish(Actor::User(&owner)).await.unwrap();
    publish(Actor::Administrator(&member)).await.unwrap();

    let strict = house_with(Config {
        anyone_may_publish: false,
        ..Config::default()
    });
    let room = strict.room(&owner, "x").await;
    let refused = strict
        .directory
        .set_visibility(Actor::User(&owner), &room, RoomVisibility::Public)
        .await;
    assert!(matches!(refused, Err(PublicationError::AdministratorsOnly)));
}
