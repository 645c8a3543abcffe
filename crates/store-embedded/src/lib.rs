//! The store of a server on one machine: a log-structured merge tree in its data directory.
//!
//! [`EmbeddedBackend`] passes the conformance suite of `gatehouse-store`. One thread takes all batches that wait,
//! decides and numbers them, writes them as one journal entry and syncs it to disk once; then readers and
//! watchers see them. What was acknowledged survives `kill -9` and loss of power.
//!
//! It deliberately has no replication, no backup format and no way to run without syncing. After a failed write or
//! sync it takes nothing more until it is opened again, because nobody can tell what is on disk; it never tries
//! the sync a second time.
//!
//! Read in this order: [`EmbeddedConfig`], `open`, `journal` (what is looked at before the tree reads it), `layout` (how tables share one tree), `queue` and `committer`
//! (how batches reach the disk), `backend` (reads), `failure` (how errors are told apart), `free_space`.

mod backend;
mod committer;
mod config;
mod failure;
mod free_space;
mod journal;
mod layout;
mod open;
mod open_error;
mod queue;

pub use self::{backend::EmbeddedBackend, config::EmbeddedConfig, open_error::OpenError};
