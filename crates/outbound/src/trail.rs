//! What was looked up on the way to a host: for those who look for a fault there.

use std::net::SocketAddr;

/// What was looked up, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trail {
    /// SRV records.
    pub records: Vec<Record>,
    /// Addresses.
    pub lookups: Vec<Lookup>,
}

/// A name whose SRV records were asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The name.
    pub name: String,
    /// What there was.
    pub answer: SrvAnswer,
}

/// What there is of SRV records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SrvAnswer {
    /// No records.
    Nothing,
    /// They cannot be had, which counts as nothing.
    Failed,
    /// A record that says that the host does not offer it: its target is `.`.
    NoService,
    /// Hosts and ports, best first.
    Targets(Vec<(String, u16)>),
}

/// A name whose addresses were asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lookup {
    /// The name.
    pub name: String,
    /// The port that belongs to it.
    pub port: u16,
    /// Its addresses; none when there are none, or when they cannot be had.
    pub addresses: Vec<SocketAddr>,
    /// Those of them that the policy forbids. One is enough for the name not to be used.
    pub denied: Vec<SocketAddr>,
}
