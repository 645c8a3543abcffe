//! Another server: it can be reached for nothing, but its key is known.

use std::collections::BTreeMap;

use futures_util::{FutureExt as _, future::BoxFuture};
use gatehouse_events::{EventBuilder, NewEvent, Parents, SignatureNeeded, SigningKey};
use gatehouse_rooms::{
    NoFederation, PeerInvite, RemoteServers, Rooms,
    remote_servers::{
        Answer, Fetch, FetchedStateIds, OutgoingInvite, RawPdu, RemoteMembership, SentJoin, ServerKeys,
        StatePart, Template, WantedState,
    },
};
use ruma::{
    CanonicalJsonObject, EventId, OwnedEventId, OwnedUserId, RoomId, ServerName, UserId, owned_server_name,
    serde::Base64, signatures::PublicKeyMap,
};
use serde_json::{json, value::RawValue};
use tokio::sync::mpsc;

/// The port to it.
pub(crate) struct Elsewhere;

fn key() -> SigningKey {
    SigningKey::from_seed([9; 32], "its").unwrap()
}

/// A user there.
pub(crate) fn erin() -> OwnedUserId {
    UserId::parse("@erin:elsewhere").unwrap()
}

fn event(room: &RoomId, target: &UserId, membership: &str, depth: u64) -> (OwnedEventId, Box<RawValue>) {
    let builder = EventBuilder {
        version: "11".parse().unwrap(),
        server_name: &owned_server_name!("elsewhere"),
        key: &key(),
    };
    let content = json!({ "membership": membership, "reason": "tea" });
    let new = NewEvent {
        kind: "m.room.member".into(),
        state_key: Some(target.to_string()),
        content: serde_json::from_value(content).unwrap(),
        redacts: None,
    };
    let parents = Parents {
        prev_events: vec!["$before".try_into().unwrap()],
        depth,
        ..Parents::default()
    };
    let built = builder
        .build(room, &erin(), new, parents, 1_700_000_000_000)
        .unwrap();
    (built.event.event_id, RawValue::from_string(built.pdu).unwrap())
}

/// Erin invites a user of ours to a room that we are not in.
pub(crate) async fn invites(rooms: &Rooms, room: &RoomId, target: &UserId) -> OwnedEventId {
    let (event_id, pdu) = event(room, target, "invite", 5);
    let shown = json!([
        { "type": "m.room.name", "state_key": "", "sender": erin(), "content": { "name": "Tea" } },
    ]);
    let shown = serde_json::value::to_raw_value(&shown).unwrap();
    let invite = PeerInvite {
        origin: &owned_server_name!("elsewhere"),
        room_id: room,
        event_id: &event_id,
        version: "11",
        pdu: &pdu,
        invite_room_state: Some(&shown),
    };
    rooms.invite_from_remote(invite).await.unwrap();
    event_id
}

/// Erin takes the invite back.
pub(crate) async fn takes_back(rooms: &Rooms, room: &RoomId, target: &UserId) -> OwnedEventId {
    let (event_id, pdu) = event(room, target, "leave", 6);
    let origin = owned_server_name!("elsewhere");
    rooms.receive(&origin, room, &[pdu]).await.unwrap();
    event_id
}

impl ServerKeys for Elsewhere {
    fn keys(&self, wanted: Vec<SignatureNeeded>) -> BoxFuture<'_, PublicKeyMap> {
        let theirs = BTreeMap::from([(key().key_id(), Base64::new(key().public_key().to_vec()))]);
        let names = wanted.into_iter().map(|wanted| wanted.server.to_string());
        std::future::ready(names.map(|name| (name, theirs.clone())).collect()).boxed()
    }
}

impl RemoteServers for Elsewhere {
    fn make_membership<'a>(
        &'a self,
        server: &'a ServerName,
        room_id: &'a RoomId,
        user: &'a UserId,
        membership: RemoteMembership,
    ) -> Answer<'a, Template> {
        NoFederation.make_membership(server, room_id, user, membership)
    }

    fn send_join<'a>(
        &'a self,
        server: &'a ServerName,
        room_id: &'a RoomId,
        event_id: &'a EventId,
        pdu: &'a str,
        wanted: WantedState,
    ) -> Answer<'a, SentJoin> {
        NoFederation.send_join(server, room_id, event_id, pdu, wanted)
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

    fn fetch<'a>(&'a self, server: &'a ServerName, fetch: Fetch<'a>) -> Answer<'a, Vec<RawPdu>> {
        NoFederation.fetch(server, fetch)
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
        server: &'a ServerName,
        room_id: &'a RoomId,
        at: &'a EventId,
    ) -> Answer<'a, FetchedStateIds> {
        NoFederation.state_ids(server, room_id, at)
    }
}
