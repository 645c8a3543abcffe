//! The ports of `gatehouse-rooms` to other servers.

use futures_util::future::BoxFuture;
use gatehouse_events::SignatureNeeded;
use gatehouse_rooms::remote_servers::{
    Answer, Fetch, FetchedStateIds, OutgoingInvite, RawPdu, RemoteError, RemoteMembership, RemoteServers,
    SentJoin, ServerKeys, StatePart, Template, WantedState,
};
use ruma::{CanonicalJsonObject, EventId, RoomId, ServerName, UserId, signatures::PublicKeyMap};
use tokio::sync::mpsc;

use crate::{Federation, FederationError};

/// What the rooms engine makes of a failure. A refusal for reasons that lie between the servers, such as a signature that
/// was not accepted or too many requests, says nothing about the user, and never reaches one (security.md W12).
impl From<FederationError> for RemoteError {
    fn from(error: FederationError) -> Self {
        match error {
            FederationError::Refused(refusal) => match refusal.status {
                401 | 407 | 408 | 500.. => Self::Unreachable,
                400 if refusal.errcode == "M_INCOMPATIBLE_ROOM_VERSION"
                    && let Some(version) = refusal.room_version =>
                {
                    Self::IncompatibleVersion(version)
                }
                400..=499 => Self::Refused {
                    errcode: refusal.errcode,
                    error: refusal.error,
                    status: refusal.status,
                },
                _ => Self::BadAnswer,
            },
            FederationError::BadAnswer => Self::BadAnswer,
            FederationError::Disabled | FederationError::NotAllowed | FederationError::Unreachable(_) => {
                Self::Unreachable
            }
        }
    }
}

/// Says in the log what became of a question, in the words that its server chose.
async fn answered<T>(
    what: &'static str,
    server: &ServerName,
    asking: impl Future<Output = Result<T, FederationError>> + Send,
) -> Result<T, RemoteError> {
    asking.await.map_err(|error| {
        if let FederationError::Refused(refusal) = &error {
            tracing::info!(what, %server, %refusal, said = refusal.error, "the other server refuses");
        } else {
            tracing::info!(what, %server, %error, "the other server is of no help");
        }
        RemoteError::from(error)
    })
}

impl RemoteServers for Federation {
    fn make_membership<'a>(
        &'a self,
        server: &'a ServerName,
        room_id: &'a RoomId,
        user: &'a UserId,
        membership: RemoteMembership,
    ) -> Answer<'a, Template> {
        let asking = self.make_membership(server, room_id, user, membership);
        Box::pin(answered("making a membership", server, asking))
    }

    fn lets_guests_in<'a>(&'a self, server: &'a ServerName, room_id: &'a RoomId) -> Answer<'a, bool> {
        let asking = self.guest_can_join(server, room_id);
        Box::pin(answered("asking whether guests may join", server, asking))
    }

    fn send_join<'a>(
        &'a self,
        server: &'a ServerName,
        room_id: &'a RoomId,
        event_id: &'a EventId,
        pdu: &'a str,
        wanted: WantedState,
    ) -> Answer<'a, SentJoin> {
        let asking = self.send_join(server, room_id, event_id, pdu, wanted);
        Box::pin(answered("joining", server, asking))
    }

    fn send_knock<'a>(
        &'a self,
        server: &'a ServerName,
        room_id: &'a RoomId,
        event_id: &'a EventId,
        pdu: &'a str,
    ) -> Answer<'a, Vec<RawPdu>> {
        let asking = self.send_knock(server, room_id, event_id, pdu);
        Box::pin(answered("knocking", server, asking))
    }

    fn send_leave<'a>(
        &'a self,
        server: &'a ServerName,
        room_id: &'a RoomId,
        event_id: &'a EventId,
        pdu: &'a str,
    ) -> Answer<'a, ()> {
        let asking = self.send_leave(server, room_id, event_id, pdu);
        Box::pin(answered("leaving", server, asking))
    }

    fn invite<'a>(&'a self, server: &'a ServerName, invite: OutgoingInvite<'a>) -> Answer<'a, RawPdu> {
        Box::pin(answered("inviting", server, self.send_invite(server, invite)))
    }

    fn exchange_third_party_invite<'a>(
        &'a self,
        server: &'a ServerName,
        room_id: &'a RoomId,
        event: &'a CanonicalJsonObject,
    ) -> Answer<'a, ()> {
        let asking = self.send_third_party_invite(server, room_id, event);
        Box::pin(answered("exchanging an invitation", server, asking))
    }

    fn fetch<'a>(&'a self, server: &'a ServerName, fetch: Fetch<'a>) -> Answer<'a, Vec<RawPdu>> {
        Box::pin(answered(
            "getting events",
            server,
            self.fetch_events(server, fetch),
        ))
    }

    fn state<'a>(
        &'a self,
        server: &'a ServerName,
        room_id: &'a RoomId,
        at: &'a EventId,
        parts: mpsc::Sender<StatePart>,
    ) -> Answer<'a, ()> {
        let asking = self.fetch_state(server, room_id, at, parts);
        Box::pin(answered("getting state", server, asking))
    }

    fn state_ids<'a>(
        &'a self,
        server: &'a ServerName,
        room_id: &'a RoomId,
        at: &'a EventId,
    ) -> Answer<'a, FetchedStateIds> {
        let asking = self.fetch_state_ids(server, room_id, at);
        Box::pin(answered("getting state", server, asking))
    }
}

impl ServerKeys for Federation {
    fn keys(&self, wanted: Vec<SignatureNeeded>) -> BoxFuture<'_, PublicKeyMap> {
        Box::pin(self.keys_for_events(wanted))
    }
}
