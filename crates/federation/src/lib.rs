//! Other homeservers: where they are, which keys they have, requests signed by them or by us, and what is sent to them.
//!
//! It decides nothing about rooms; it says who is who, asks, and carries. Whatever it fetches comes through
//! `gatehouse-outbound`. The ports that `gatehouse-rooms` and `gatehouse-directory` have to other servers are here.
//!
//! Read in this order: `tables`, [`federation`], [`discovery`], [`own_keys`], `key_answer`, `key_ring`, `known_keys`, `key_fetching`,
//! [`notary`], [`x_matrix`], `signed`, [`requests`], `memberships`, `events`, [`answer_splitter`], `state_answers`, `remote_servers`,
//! [`queries`], `remote_directories`, [`inbox`], `received`; then [`examination`], for the people who look after a server.

pub mod answer_splitter;
mod config;
pub mod discovery;
pub mod error;
mod events;
pub mod examination;
pub mod federation;
pub mod inbox;
mod key_answer;
mod key_fetching;
mod key_ring;
mod known_keys;
mod memberships;
pub mod notary;
mod one_at_a_time;
pub mod own_keys;
mod path;
pub mod queries;
mod random;
mod received;
mod remote_directories;
mod remote_servers;
pub mod requests;
pub mod sending;
mod signed;
mod state_answers;
mod tables;
pub mod x_matrix;

pub use self::{
    config::{FederationConfig, OldKey, PduPace},
    error::{FederationError, VerifyError},
    examination::{Finding, Verdict},
    federation::Federation,
    inbox::{Inbox, InboxError, ReceivedTransaction},
    notary::KeyQuery,
    random::Randomness,
    received::ReceivedCounts,
    sending::{Destination, DestinationRoom, SendingCounts},
    x_matrix::{ReceivedRequest, XMatrix},
};
