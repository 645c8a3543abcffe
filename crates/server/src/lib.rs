//! The composition root: from a configuration to a running server.
//!
//! The only crate that reads the configuration file and that knows which storage backend runs. It holds no state of
//! its own, so that any number of servers run in one process.
//!
//! Read in this order: [`config`], [`signing_key_file`], [`open`], [`start`], [`running`], [`offline`], [`doctor`]; then, for an
//! identity server without a homeserver, [`open_identity`], [`start_identity`], [`identity_commands`].

pub mod config;
pub mod doctor;
mod homeservers;
mod housekeeping;
pub mod identity;
pub mod identity_commands;
mod identity_servers;
mod identity_service;
pub mod offline;
pub mod open;
pub mod open_identity;
mod other_homeservers;
mod outside;
mod recaptcha;
pub mod running;
pub mod signing_key_file;
pub mod start;
mod start_error;
pub mod start_identity;
mod tables;

pub use self::{
    config::Config,
    open::{Engines, Storage, open},
    open_identity::{IdentityEngines, open_identity},
    running::Running,
    start::{ADMIN_SOCKET, start},
    start_error::StartError,
    start_identity::{RunningIdentity, start_identity},
};
