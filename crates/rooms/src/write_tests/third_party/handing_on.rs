//! Invitations of other servers' users, and what one request with many invitations does.

use std::collections::BTreeMap;

use futures_util::{FutureExt, future::BoxFuture, future::ready};
use gatehouse_events::{RoomVersion, SignatureNeeded, SigningKey};
use parking_lot::Mutex;
use ruma::{
    CanonicalJsonObject, EventId, OwnedServerName, RoomId, ServerName,
    serde::Base64,
    signatures::{PublicKeyMap, sign_event},
};
use serde_json::value::to_raw_value;
use tokio::sync::mpsc;

use super::*;
use crate::{
    NoFederation, RemoteServers,
    remote_servers::{
        Answer, Fetch, FetchedStateIds, OutgoingInvite, RawPdu, RemoteError, RemoteMembership, SentJoin,
        ServerKeys, StatePart, Template, WantedState,
    },
    write_tests::house::rooms_among,
};

/// Another server that takes what it is handed, or does not.
#[derive(Default)]
pub(super) struct Elsewhere {
    answers: Mutex<Vec<Result<(), RemoteError>>>,
    handed: Mutex<Vec<(OwnedServerName, OwnedRoomId, CanonicalJsonObject)>>,
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

    /// Signs whatever it is shown.
    fn invite<'a>(&'a self, server: &'a ServerName, invite: OutgoingInvite<'a>) -> Answer<'a, RawPdu> {
        let version: RoomVersion = invite.version.parse().unwrap();
        let mut event: CanonicalJsonObject = serde_json::from_str(invite.pdu).unwrap();
        let rules = &version.rules().redaction;
        sign_event(server.as_str(), &key(), &mut event, rules).unwrap();
        ready(Ok(to_raw_value(&event).unwrap())).boxed()
    }

    fn exchange_third_party_invite<'a>(
        &'a self,
        server: &'a ServerName,
        room_id: &'a RoomId,
        event: &'a CanonicalJsonObject,
    ) -> Answer<'a, ()> {
        self.handed
            .lock()
            .push((server.to_owned(), room_id.to_owned(), event.clone()));
        ready(self.answers.lock().pop().unwrap_or(Ok(()))).boxed()
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

impl ServerKeys for Elsewhere {
    fn keys(&self, wanted: Vec<SignatureNeeded>) -> BoxFuture<'_, PublicKeyMap> {
        let key = BTreeMap::from([(key().key_id(), Base64::new(key().public_key().to_vec()))]);
        let names = wanted.into_iter().map(|wanted| wanted.server.to_string());
        ready(names.map(|name| (name, key.clone())).collect()).boxed()
    }
}

/// The key of all other servers.
fn key() -> SigningKey {
    SigningKey::from_seed([9; 32], "elsewhere").unwrap()
}

fn refused() -> RemoteError {
    RemoteError::Refused {
        errcode: "M_FORBIDDEN".to_owned(),
        error: "no".to_owned(),
        status: 403,
    }
}

/// A world with a neighbour.
pub(super) async fn neighbours() -> (World, Arc<Elsewhere>, String) {
    let (mut world, token) = World::invited(newest()).await;
    let elsewhere = Arc::new(Elsewhere::default());
    world.rooms = rooms_among(&world.store, elsewhere.clone(), world.identity.clone());
    (world, elsewhere, token)
}

fn erin() -> OwnedUserId {
    "@erin:elsewhere".try_into().unwrap()
}

fn invites(mxid: &UserId, invites: &[(&OwnedUserId, &str, Value)]) -> BoundAddress {
    let invites: Vec<_> = invites
        .iter()
        .map(|(sender, room, signed)| json!({ "sender": sender, "room_id": room, "signed": signed }))
        .collect();
    let body = json!({ "mxid": mxid, "invites": invites });
    BoundAddress::read(&content(&body.to_string())).unwrap()
}

#[tokio::test]
async fn t18_an_invitation_by_anothers_user_is_handed_to_their_server() {
    let (world, elsewhere, _) = neighbours().await;
    let signed = world.identity.sign(&block(&world.bob, "theirs"));
    let bound = invites(&world.bob, &[(&erin(), "!there:elsewhere", signed.clone())]);
    world.rooms.accept_bound(&bound).await.unwrap();
    let handed = elsewhere.handed.lock().pop().unwrap();
    assert_eq!(
        (handed.0.as_str(), handed.1.as_str()),
        ("elsewhere", "!there:elsewhere")
    );
    let event = serde_json::to_value(handed.2).unwrap();
    assert_eq!(event["type"], "m.room.member");
    assert_eq!(event["room_id"], "!there:elsewhere");
    assert_eq!(event["sender"], "@erin:elsewhere");
    assert_eq!(event["state_key"], "@bob:s");
    assert_eq!(event["content"]["membership"], "invite");
    assert_eq!(event["content"]["third_party_invite"]["signed"], signed);
    assert!(event["content"]["third_party_invite"]["display_name"].is_string());
}

#[tokio::test]
async fn t18_nothing_that_is_not_true_of_a_room_of_ours_is_handed_on() {
    let (world, elsewhere, token) = neighbours().await;
    let room = world.room.as_str();
    let carols = world.identity.sign(&block(&user("carol"), &token));
    let unknown = world.identity.sign(&block(&world.bob, "unknown"));
    let mut forged = world.identity.sign(&block(&world.bob, &token));
    forged["x"] = json!(1);
    // True, but Erin has not sent it.
    let alices = world.identity.sign(&block(&world.bob, &token));
    for signed in [carols, unknown, forged, alices] {
        let bound = invites(&world.bob, &[(&erin(), room, signed)]);
        world.rooms.accept_bound(&bound).await.unwrap();
    }
    assert!(elsewhere.handed.lock().is_empty());
}

#[tokio::test]
async fn one_invitation_that_has_to_wait_does_not_hold_up_the_others() {
    let (world, elsewhere, token) = neighbours().await;
    let theirs = world.identity.sign(&block(&world.bob, "theirs"));
    let ours = world.identity.sign(&block(&world.bob, &token));
    *elsewhere.answers.lock() = vec![Err(refused()), Err(RemoteError::Unreachable)];
    let (erin, there) = (erin(), "!there:elsewhere");
    let bound = invites(
        &world.bob,
        &[
            (&erin, there, theirs.clone()),
            (&erin, there, theirs.clone()),
            (&world.alice, world.room.as_str(), ours),
        ],
    );
    let outcome = world.rooms.accept_bound(&bound).await;
    assert!(matches!(
        outcome,
        Err(WriteError::Remote(RemoteError::Unreachable))
    ));
    assert_eq!(world.membership(&world.bob).await, MembershipState::Invite);
    // Sent again, it is done; what was refused is refused, and no reason to send it a third time.
    *elsewhere.answers.lock() = vec![Err(refused())];
    world.rooms.accept_bound(&bound).await.unwrap();
}

#[tokio::test]
async fn t18_a_request_waits_for_a_few_servers_at_most() {
    let (world, elsewhere, _) = neighbours().await;
    *elsewhere.answers.lock() = vec![Err(RemoteError::Unreachable); 100];
    let theirs = world.identity.sign(&block(&world.bob, "theirs"));
    let erin = erin();
    let many = vec![(&erin, "!there:elsewhere", theirs); 100];
    let outcome = world.rooms.accept_bound(&invites(&world.bob, &many)).await;
    assert!(outcome.is_err());
    assert_eq!(elsewhere.handed.lock().len(), 3);
}

#[tokio::test]
async fn t10_whoever_is_in_the_room_already_spends_the_token_that_they_show() {
    for by_bind in [true, false] {
        let (world, token) = World::invited(newest()).await;
        let (alice, bob, room) = (&world.alice, &world.bob, &world.room);
        world.rooms.invite(alice, bob, room, &plain()).await.unwrap();
        let signed = world.identity.sign(&block(bob, &token));
        if by_bind {
            world.rooms.join(bob, room, &Join::default()).await.unwrap();
            let before = world.events().await;
            world.bind(signed.clone()).await;
            assert_eq!(world.events().await, before);
        } else {
            world.join_with(bob, signed.clone()).await.unwrap();
        }
        assert_eq!(world.membership(bob).await, MembershipState::Join);
        world.rooms.kick(alice, bob, room, &plain()).await.unwrap();
        let refused = world.join_with(bob, signed).await.unwrap_err();
        assert!(
            matches!(
                refused,
                WriteError::Refused(Refusal::ThirdParty(ThirdPartyRefusal::Used))
            ),
            "{refused:?}"
        );
    }
}

#[tokio::test]
async fn t10_nobody_spends_the_token_of_another() {
    let (world, token) = World::invited(newest()).await;
    let carol = user("carol");
    world
        .rooms
        .invite(&world.alice, &carol, &world.room, &plain())
        .await
        .unwrap();
    let mut stolen = world.identity.sign(&block(&world.bob, &token));
    world.join_with(&carol, stolen.clone()).await.unwrap();
    stolen["mxid"] = json!(carol);
    world.join_with(&carol, stolen).await.unwrap();
    let signed = world.identity.sign(&block(&world.bob, &token));
    world.join_with(&world.bob, signed).await.unwrap();
}
