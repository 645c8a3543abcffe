//! Nobody else.

use futures_util::future::{BoxFuture, FutureExt as _, ready};
use gatehouse_events::SignatureNeeded;
use ruma::{CanonicalJsonObject, EventId, RoomId, ServerName, UserId, signatures::PublicKeyMap};
use serde_json::value::RawValue;
use tokio::sync::mpsc;

use super::{
    Answer, Fetch, FetchedStateIds, OutgoingInvite, RawPdu, RemoteError, RemoteMembership, RemoteServers,
    SentJoin, ServerKeys, StatePart, Template, WantedState,
};

/// A server that talks to no other.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoFederation;

fn unreachable<'a, T: Send + 'a>() -> Answer<'a, T> {
    ready(Err(RemoteError::Unreachable)).boxed()
}

impl RemoteServers for NoFederation {
    fn make_membership<'a>(
        &'a self,
        _: &'a ServerName,
        _: &'a RoomId,
        _: &'a UserId,
        _: RemoteMembership,
    ) -> Answer<'a, Template> {
        unreachable()
    }

    fn send_join<'a>(
        &'a self,
        _: &'a ServerName,
        _: &'a RoomId,
        _: &'a EventId,
        _: &'a str,
        _: WantedState,
    ) -> Answer<'a, SentJoin> {
        unreachable()
    }

    fn send_knock<'a>(
        &'a self,
        _: &'a ServerName,
        _: &'a RoomId,
        _: &'a EventId,
        _: &'a str,
    ) -> Answer<'a, Vec<Box<RawValue>>> {
        unreachable()
    }

    fn send_leave<'a>(
        &'a self,
        _: &'a ServerName,
        _: &'a RoomId,
        _: &'a EventId,
        _: &'a str,
    ) -> Answer<'a, ()> {
        unreachable()
    }

    fn invite<'a>(&'a self, _: &'a ServerName, _: OutgoingInvite<'a>) -> Answer<'a, RawPdu> {
        unreachable()
    }

    fn exchange_third_party_invite<'a>(
        &'a self,
        _: &'a ServerName,
        _: &'a RoomId,
        _: &'a CanonicalJsonObject,
    ) -> Answer<'a, ()> {
        unreachable()
    }

    fn fetch<'a>(&'a self, _: &'a ServerName, _: Fetch<'a>) -> Answer<'a, Vec<RawPdu>> {
        unreachable()
    }

    fn state<'a>(
        &'a self,
        _: &'a ServerName,
        _: &'a RoomId,
        _: &'a EventId,
        _: mpsc::Sender<StatePart>,
    ) -> Answer<'a, ()> {
        unreachable()
    }

    fn state_ids<'a>(
        &'a self,
        _: &'a ServerName,
        _: &'a RoomId,
        _: &'a EventId,
    ) -> Answer<'a, FetchedStateIds> {
        unreachable()
    }
}

impl ServerKeys for NoFederation {
    fn keys(&self, _: Vec<SignatureNeeded>) -> BoxFuture<'_, PublicKeyMap> {
        ready(PublicKeyMap::new()).boxed()
    }
}
