//! Events, canonical JSON and the rules of every room version.
//!
//! Pure: no I/O, no async, and the time and the key are passed in. What a room version says is data from `ruma`;
//! nothing here compares version numbers. It deliberately knows neither storage nor HTTP.
//!
//! Read in this order: [`room_version`], [`event`], [`build`], [`authorise`], [`redaction`], [`client_event`],
//! [`json`]. Then what other servers send: [`pdu`], [`state_resolution`], [`server_acl`].

pub mod authorise;
pub mod build;
pub mod client_event;
mod clock;
pub mod event;
pub mod json;
pub mod pdu;
mod pdu_error;
mod pdu_format;
pub mod redaction;
pub mod room_version;
pub mod server_acl;
mod signature_needed;
mod signing_key;
pub mod state_resolution;

pub use self::{
    build::{BuildError, Built, EventBuilder, NewEvent, Parents},
    client_event::{ClientEvent, Unsigned},
    clock::Clock,
    event::{Event, EventParseError, auth_events_of},
    pdu::Pdu,
    pdu_error::PduError,
    pdu_format::{MAX_AUTH_EVENTS, MAX_PREV_EVENTS},
    redaction::{redact, redact_event},
    room_version::{RoomVersion, UnknownRoomVersion},
    server_acl::ServerAcl,
    signature_needed::SignatureNeeded,
    signing_key::{SigningKey, SigningKeyError},
    state_resolution::{Dispute, ResolveError, StateMap, resolve},
};
