//! Events, canonical JSON and the rules of every room version.
//!
//! Pure: no I/O, no async, and the time and the key are passed in. What a room version says is data from `ruma`;
//! nothing here compares version numbers. It deliberately knows neither storage nor HTTP.
//!
//! Read in this order: [`room_version`], [`event`], [`build`], [`authorise`], [`redaction`], [`client_event`],
//! [`json`].

pub mod authorise;
pub mod build;
pub mod client_event;
mod clock;
pub mod event;
pub mod json;
pub mod redaction;
pub mod room_version;
mod signature_needed;
mod signing_key;

pub use self::{
    build::{BuildError, Built, EventBuilder, NewEvent, Parents},
    client_event::{ClientEvent, Unsigned},
    clock::Clock,
    event::{Event, EventParseError},
    redaction::{redact, redact_event},
    room_version::{RoomVersion, UnknownRoomVersion},
    signature_needed::SignatureNeeded,
    signing_key::{SigningKey, SigningKeyError},
};
