//! What a client is told of a room that was joined without its members, when they come.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use futures_util::{FutureExt as _, future::BoxFuture};
use gatehouse_events::{RoomVersion, SignatureNeeded, SigningKey};
use gatehouse_rooms::{
    Join, NoFederation, OutgoingPart, RemoteServers, Rooms, Sent,
    remote_servers::{
        Answer, Fetch, FetchedStateIds, OutgoingInvite, RawPdu, RemoteError, RemoteMembership, SentJoin,
        ServerKeys, StatePart, Template, WantedState,
    },
};
use gatehouse_store::Store;
use ruma::{
    CanonicalJsonObject, EventId, OwnedServerName, RoomId, ServerName, UserId, owned_server_name,
    serde::Base64, signatures::PublicKeyMap,
};
use serde_json::{Value, json, value::RawValue};
use tokio::sync::mpsc;

use super::world::{Place, User, World};

/// The port to a server that has the room; that one has none.
#[derive(Default)]
struct Port {
    host: Option<Rooms>,
    /// It gives no members.
    withholds: Arc<AtomicBool>,
}

const HOST_SEED: [u8; 32] = [3; 32];

fn us() -> OwnedServerName {
    owned_server_name!("s")
}

fn raw(json: String) -> RawPdu {
    RawValue::from_string(json).unwrap()
}

impl Port {
    fn host(&self) -> &Rooms {
        self.host.as_ref().unwrap()
    }

    fn is_open(&self) -> Result<(), RemoteError> {
        if self.withholds.load(Ordering::Relaxed) {
            Err(RemoteError::Unreachable)
        } else {
            Ok(())
        }
    }
}

impl ServerKeys for Port {
    fn keys(&self, _: Vec<SignatureNeeded>) -> BoxFuture<'_, PublicKeyMap> {
        let known = [("host", HOST_SEED), ("s", Place::default().seed)].map(|(server, seed)| {
            let key = SigningKey::from_seed(seed, "a_test").unwrap();
            let keys = [(key.key_id(), Base64::new(key.public_key().to_vec()))];
            (server.to_owned(), keys.into())
        });
        std::future::ready(known.into()).boxed()
    }
}

impl RemoteServers for Port {
    fn make_membership<'a>(
        &'a self,
        _: &'a ServerName,
        room_id: &'a RoomId,
        user: &'a UserId,
        _: RemoteMembership,
    ) -> Answer<'a, Template> {
        async move {
            let versions: Vec<String> = RoomVersion::all().map(|it| it.name().to_owned()).collect();
            Ok(self
                .host()
                .make_join(&us(), room_id, user, &versions)
                .await
                .unwrap())
        }
        .boxed()
    }

    fn send_join<'a>(
        &'a self,
        _: &'a ServerName,
        room_id: &'a RoomId,
        event_id: &'a EventId,
        pdu: &'a str,
        wanted: WantedState,
    ) -> Answer<'a, SentJoin> {
        async move {
            let sent = Sent {
                origin: &us(),
                room_id,
                event_id,
                pdu: &raw(pdu.to_owned()),
            };
            let mut answer = self.host().send_join(sent, wanted).await.unwrap();
            let mut joined = SentJoin {
                members_omitted: answer.members_omitted,
                servers_in_room: answer.servers_in_room,
                ..SentJoin::default()
            };
            while let Some(part) = answer.state.next().await.unwrap() {
                match part {
                    OutgoingPart::State(pdus) => joined.state.extend(pdus.into_iter().map(raw)),
                    OutgoingPart::AuthChain(pdus) => joined.auth_chain.extend(pdus.into_iter().map(raw)),
                }
            }
            Ok(joined)
        }
        .boxed()
    }

    fn send_knock<'a>(
        &'a self,
        server: &'a ServerName,
        room_id: &'a RoomId,
        event_id: &'a EventId,
        pdu: &'a str,
    ) -> Answer<'a, Vec<RawPdu>> {
        NoFederation.send_knock(server, room_id, event_id, pdu)
    }

    fn send_leave<'a>(
        &'a self,
        server: &'a ServerName,
        room_id: &'a RoomId,
        event_id: &'a EventId,
        pdu: &'a str,
    ) -> Answer<'a, ()> {
        NoFederation.send_leave(server, room_id, event_id, pdu)
    }

    fn invite<'a>(&'a self, server: &'a ServerName, invite: OutgoingInvite<'a>) -> Answer<'a, RawPdu> {
        NoFederation.invite(server, invite)
    }

    fn exchange_third_party_invite<'a>(
        &'a self,
        server: &'a ServerName,
        room_id: &'a RoomId,
        event: &'a CanonicalJsonObject,
    ) -> Answer<'a, ()> {
        NoFederation.exchange_third_party_invite(server, room_id, event)
    }

    fn fetch<'a>(&'a self, _: &'a ServerName, fetch: Fetch<'a>) -> Answer<'a, Vec<RawPdu>> {
        async move {
            let Fetch::Event { event_id } = fetch else {
                return Err(RemoteError::Unreachable);
            };
            let event = self.host().event_for_server(&us(), event_id).await;
            Ok(vec![event.unwrap()])
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
        NoFederation.state(server, room_id, at, parts)
    }

    fn state_ids<'a>(
        &'a self,
        _: &'a ServerName,
        room_id: &'a RoomId,
        at: &'a EventId,
    ) -> Answer<'a, FetchedStateIds> {
        async move {
            self.is_open()?;
            Ok(self
                .host()
                .state_ids_for_server(&us(), room_id, at)
                .await
                .unwrap())
        }
        .boxed()
    }
}

async fn synced(world: &World, user: &User, since: Option<&Value>, lazy: bool) -> Value {
    let mut request = user.request();
    request.since = since.map(|response| response["next_batch"].as_str().unwrap().parse().unwrap());
    if lazy {
        let filter = json!({ "room": { "state": { "lazy_load_members": true } } });
        *request.filter = crate::filter::Filter::parse(&filter.to_string()).unwrap();
    }
    serde_json::to_value(world.sync().sync(&request).await.unwrap()).unwrap()
}

fn members(room: &Value) -> Vec<&str> {
    let events = room["state"]["events"].as_array().unwrap().iter();
    let events = events.chain(room["timeline"]["events"].as_array().unwrap());
    let members = events.filter(|event| event["type"] == "m.room.member");
    let mut members: Vec<_> = members
        .map(|event| event["state_key"].as_str().unwrap())
        .collect();
    members.sort_unstable();
    members.dedup();
    members
}

#[tokio::test(start_paused = true)]
async fn members_that_come_behind_a_join_are_told_once_and_to_everybody() {
    let place = Place {
        name: owned_server_name!("host"),
        seed: HOST_SEED,
        remote: Arc::new(Port::default()),
    };
    let host = World::at(place, Store::in_memory());
    let [alice, bob] = host.two_users().await;
    let room = host.public_room(&alice).await;
    host.set(&alice, &room, ("m.room.name", ""), json!({ "name": "Tea" }))
        .await
        .unwrap();
    host.join(&bob, &room).await.unwrap();
    let withholds = Arc::new(AtomicBool::new(true));
    let place = Place {
        remote: Arc::new(Port {
            host: Some(host.rooms()),
            withholds: Arc::clone(&withholds),
        }),
        ..Place::default()
    };
    let world = World::at(place, Store::in_memory());
    let carol = world.user("carol").await;
    let join = Join {
        via: vec![owned_server_name!("host")],
        ..Join::default()
    };
    world.rooms().join(&carol.id, &room, &join).await.unwrap();
    for lazy in [false, true] {
        let first = synced(&world, &carol, None, lazy).await;
        let shown = &first["rooms"]["join"][room.as_str()];
        assert_eq!(members(shown), ["@carol:s"], "{shown}");
        assert_eq!(shown["summary"]["m.joined_member_count"], 1);
    }
    let eager = synced(&world, &carol, None, false).await;
    let lazy = synced(&world, &carol, None, true).await;
    withholds.store(false, Ordering::Relaxed);
    let viewer = gatehouse_rooms::present::Viewer {
        user: &carol.id,
        device: None,
    };
    let query = gatehouse_rooms::members::MembersQuery::default();
    // Waits until they are here.
    let here = world.rooms().members(viewer, &room, &query).await.unwrap();
    assert_eq!(here.len(), 3);
    for (before, lazily, told) in [
        (&eager, false, &["@alice:host", "@bob:host", "@carol:s"][..]),
        (&lazy, true, &["@carol:s"][..]),
    ] {
        let next = synced(&world, &carol, Some(before), lazily).await;
        let shown = &next["rooms"]["join"][room.as_str()];
        assert_eq!(members(shown), told, "{shown}");
        assert_eq!(shown["summary"]["m.joined_member_count"], 3);
        let last = synced(&world, &carol, Some(&next), lazily).await;
        assert_eq!(
            last["rooms"]["join"].as_object().map_or(0, serde_json::Map::len),
            0,
            "{last}"
        );
    }
    // Also to a client that comes back after a restart.
    world.restart();
    let next = synced(&world, &carol, Some(&eager), false).await;
    assert_eq!(members(&next["rooms"]["join"][room.as_str()]).len(), 3);
}
