//! The store that any number of nodes share: one PostgreSQL database.
//!
//! [`PostgresBackend`] passes the conformance suite of `gatehouse-store`. All rows are in one SQL table; a commit
//! locks the one row that holds the last position, so that positions are given, and become visible, in one order
//! over all nodes. Nodes learn of each other's commits by `NOTIFY`. When the connection breaks in the middle of a
//! commit, the node asks the database how the transaction ended before it answers.
//!
//! It deliberately has no replicas to read from (they show commits in another order), no SQL that others may
//! depend on, and no encryption of the connection: use a socket or a private network.
//!
//! Read in this order: [`PostgresConfig`], `connect`, `schema`, `reads`, `committer` (when to try again),
//! `transaction` (one try), `payload` and `listener` (what nodes tell each other), `leases`, `backend`, `failure`.

mod backend;
mod committer;
mod config;
mod connect;
mod failure;
mod leases;
mod listener;
mod payload;
mod reads;
mod schema;
mod shared;
mod transaction;

pub use self::{backend::PostgresBackend, config::PostgresConfig, failure::OpenError};
