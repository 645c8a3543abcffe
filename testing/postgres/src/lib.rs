//! A throw-away PostgreSQL for tests.
//!
//! [`Cluster::shared`] gives all tests of a process one server, on a socket in a temporary directory, which is
//! stopped and removed with the last handle. When [`URL_VARIABLE`] is set, that server is used instead. Each test
//! makes a database of its own with [`Cluster::database`]. [`Cluster::start`] gives a test a server that it may
//! stop and start as it likes.
//!
//! It deliberately offers no pool and no queries.

mod cluster;
mod programs;

pub use cluster::{Cluster, StopMode, URL_VARIABLE};
