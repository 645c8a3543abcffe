//! The ports to other servers, which `federation` implements. A method is one question to one server: it signs the
//! request, bounds the answer in size and time, and checks its form. What the answer is worth is decided here.

use futures_util::future::BoxFuture;
use gatehouse_events::SignatureNeeded;
use ruma::{
    CanonicalJsonObject, EventId, OwnedEventId, OwnedServerName, RoomId, ServerName, UserId,
    signatures::PublicKeyMap,
};
use serde_json::value::RawValue;
use thiserror::Error;
use tokio::sync::mpsc;

mod no_federation;

pub use self::no_federation::NoFederation;

/// An event as another server sent it. Nothing about it is checked.
pub type RawPdu = Box<RawValue>;

/// What a port answers.
pub type Answer<'a, T> = BoxFuture<'a, Result<T, RemoteError>>;

/// Why another server could not be asked, or did not agree. The sentences are ours: what the other server said may be
/// anything, and may make a client throw its session away (security.md W12).
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RemoteError {
    /// No server that could do it can be reached, or none answered in time.
    #[error("The other server cannot be reached. Check the address and try again later.")]
    Unreachable,
    /// The server says no (a status of 400 to 499).
    #[error("{}", refusal(.errcode))]
    Refused {
        /// Its `errcode`; empty when it gave none.
        errcode: String,
        /// Its words, for the log.
        error: String,
        /// Its status.
        status: u16,
    },
    /// The server does not take users of ours into the room, because one of the two does not know its version.
    #[error("The room is of version {0}, which one of the two servers does not know.")]
    IncompatibleVersion(String),
    /// The event that the server answered with is no JSON that the room's version has.
    #[error("The other server answered with an event that is no valid JSON. Nothing was changed.")]
    BadJson,
    /// What the server answered makes no sense, is too long, or was not its to say.
    #[error("The other server gave an answer that cannot be used. Try again later.")]
    BadAnswer,
}

/// What a refusal means for the person who asked.
fn refusal(errcode: &str) -> &'static str {
    match errcode {
        "M_FORBIDDEN" => "The room does not let you do this. Ask a member to invite you.",
        "M_NOT_FOUND" => "The other server knows no such room. Check the address.",
        "M_INCOMPATIBLE_ROOM_VERSION" | "M_UNSUPPORTED_ROOM_VERSION" => {
            "The room is of a version that one of the two servers does not know."
        }
        "M_UNABLE_TO_AUTHORISE_JOIN" | "M_UNABLE_TO_GRANT_JOIN" => {
            "No server that could be asked can let you in. Ask a member to invite you."
        }
        "M_LIMIT_EXCEEDED" => "The other server is asked too often. Try again later.",
        _ => "The other server refuses this.",
    }
}

/// What one of our users wants to become in a room that this server is not in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RemoteMembership {
    /// `make_join`.
    Joining,
    /// `make_knock`.
    Knocking,
    /// `make_leave`: rejecting an invite, taking back a knock.
    Leaving,
}

/// What `make_join`, `make_knock` and `make_leave` answer. Never signed as it is (security.md E02).
#[derive(Debug, Clone)]
pub struct Template {
    /// The room's version; 1 when the server does not say.
    pub room_version: Option<String>,
    /// The event that the server proposes.
    pub event: CanonicalJsonObject,
}

/// What `send_join` answers.
#[derive(Debug, Clone, Default)]
pub struct SentJoin {
    /// The join as the server hands it on, where it had to sign it too.
    pub event: Option<RawPdu>,
    /// The state before the join.
    pub state: Vec<RawPdu>,
    /// The auth chain of the join and of the state.
    pub auth_chain: Vec<RawPdu>,
    /// Members are missing from the state.
    pub members_omitted: bool,
    /// The servers in the room before the join.
    pub servers_in_room: Vec<OwnedServerName>,
}

/// The state before an event, as it is answered to `GET /state`.
#[derive(Debug, Clone, Default)]
pub struct FetchedState {
    /// The state.
    pub pdus: Vec<RawPdu>,
    /// Its auth chain.
    pub auth_chain: Vec<RawPdu>,
}

/// How much of a room's state is asked for with a join.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WantedState {
    /// All of it.
    Whole,
    /// What there is besides members (`omit_members=true`). A server that does not know of this sends all.
    WithoutMembers,
}

/// A stretch of the state before an event, or of the auth chain of that state (`GET /state`): at most
/// [`MAX_STATE_PART`] events.
#[derive(Debug, Clone)]
pub enum StatePart {
    /// Of the state.
    State(Vec<RawPdu>),
    /// Of its auth chain.
    AuthChain(Vec<RawPdu>),
}

/// Events in one [`StatePart`] at most.
pub const MAX_STATE_PART: usize = 1_000;

/// The ids of the state before an event (`GET /state_ids`).
#[derive(Debug, Clone, Default)]
pub struct FetchedStateIds {
    /// Of the state.
    pub state: Vec<OwnedEventId>,
    /// Of its auth chain.
    pub auth_chain: Vec<OwnedEventId>,
}

/// An invite to hand to the invited user's server.
#[derive(Debug, Clone, Copy)]
pub struct OutgoingInvite<'a> {
    /// Into which room.
    pub room_id: &'a RoomId,
    /// The invite.
    pub event_id: &'a EventId,
    /// The room's version: only 1 and 2 may be tried again over the old operation.
    pub version: &'a str,
    /// The invite, signed by us.
    pub pdu: &'a str,
    /// What the user is shown of the room: a JSON array of PDUs.
    pub invite_room_state: &'a str,
}

/// Events to get from a server that is in the room.
#[derive(Debug, Clone, Copy)]
pub enum Fetch<'a> {
    /// One event (`GET /event`).
    Event {
        /// Which.
        event_id: &'a EventId,
    },
    /// The auth chain of an event (`GET /event_auth`).
    EventAuth {
        /// In which room.
        room_id: &'a RoomId,
        /// Of which event.
        event_id: &'a EventId,
    },
    /// Events between those that are here and those that came (`POST /get_missing_events`).
    MissingEvents {
        /// In which room.
        room_id: &'a RoomId,
        /// What is here.
        earliest: &'a [OwnedEventId],
        /// What came.
        latest: &'a [OwnedEventId],
        /// How many at most.
        limit: usize,
        /// Nothing that says it is less deep.
        min_depth: u64,
    },
    /// Events before others, and those themselves (`GET /backfill`).
    Backfill {
        /// In which room.
        room_id: &'a RoomId,
        /// Before which.
        from: &'a [OwnedEventId],
        /// How many at most.
        limit: usize,
    },
}

/// What the rooms engine asks of other servers.
pub trait RemoteServers: ServerKeys {
    /// A membership change as the server would have it (`make_join`, `make_knock`, `make_leave`), for all room versions
    /// that this server knows.
    fn make_membership<'a>(
        &'a self,
        server: &'a ServerName,
        room_id: &'a RoomId,
        user: &'a UserId,
        membership: RemoteMembership,
    ) -> Answer<'a, Template>;

    /// Whether the room lets guests in (`hierarchy`). Whoever cannot be asked has not said so.
    fn lets_guests_in<'a>(&'a self, server: &'a ServerName, room_id: &'a RoomId) -> Answer<'a, bool> {
        _ = (server, room_id);
        Box::pin(std::future::ready(Err(RemoteError::Unreachable)))
    }

    /// Joins (`send_join`).
    fn send_join<'a>(
        &'a self,
        server: &'a ServerName,
        room_id: &'a RoomId,
        event_id: &'a EventId,
        pdu: &'a str,
        wanted: WantedState,
    ) -> Answer<'a, SentJoin>;

    /// Knocks (`send_knock`). The answer is what the user is shown of the room.
    fn send_knock<'a>(
        &'a self,
        server: &'a ServerName,
        room_id: &'a RoomId,
        event_id: &'a EventId,
        pdu: &'a str,
    ) -> Answer<'a, Vec<Box<RawValue>>>;

    /// Rejects an invite or takes a knock back (`send_leave`).
    fn send_leave<'a>(
        &'a self,
        server: &'a ServerName,
        room_id: &'a RoomId,
        event_id: &'a EventId,
        pdu: &'a str,
    ) -> Answer<'a, ()>;

    /// Invites a user of the server (`invite`). The answer is the invite with the server's signature, which is not
    /// checked.
    fn invite<'a>(&'a self, server: &'a ServerName, invite: OutgoingInvite<'a>) -> Answer<'a, RawPdu>;

    /// Hands the inviter's server what one of our users has proven (`exchange_third_party_invite`). Anybody can cause such
    /// a request: at most one is under way for a room (security.md T18).
    fn exchange_third_party_invite<'a>(
        &'a self,
        server: &'a ServerName,
        room_id: &'a RoomId,
        event: &'a CanonicalJsonObject,
    ) -> Answer<'a, ()>;

    /// Gets events.
    fn fetch<'a>(&'a self, server: &'a ServerName, fetch: Fetch<'a>) -> Answer<'a, Vec<RawPdu>>;

    /// The state before an event, and its auth chain (`state`). It is handed over in parts as it comes; the other server
    /// waits while nobody takes them. Only with `Ok` has all of it been handed over. Whoever takes no more drops the
    /// receiver.
    fn state<'a>(
        &'a self,
        server: &'a ServerName,
        room_id: &'a RoomId,
        at: &'a EventId,
        parts: mpsc::Sender<StatePart>,
    ) -> Answer<'a, ()>;

    /// The same as ids (`state_ids`).
    fn state_ids<'a>(
        &'a self,
        server: &'a ServerName,
        room_id: &'a RoomId,
        at: &'a EventId,
    ) -> Answer<'a, FetchedStateIds>;
}

/// The keys of other servers.
pub trait ServerKeys: Send + Sync + 'static {
    /// The keys that could be had and were valid when they were used. What is missing is missing: a signature by a key
    /// that nobody knows counts for nothing. Takes ten seconds at most.
    fn keys(&self, wanted: Vec<SignatureNeeded>) -> BoxFuture<'_, PublicKeyMap>;
}
