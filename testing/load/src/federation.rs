//! The load of `cargo xtask bench --federation`: a homeserver beside homeservers that are played by this process.
//!
//! The other servers are scripts ([`resident`], [`room`]): they own rooms, answer what the server under measurement asks, and
//! send it what it is to take in. They cost little beside it, so that what is measured is the server. All on loopback;
//! every wait has a limit.
//!
//! Read in this order: [`files`], [`room`], [`resident`], [`client`], then the phases [`joining`], [`inbound`], [`fan_out`].

mod arrivals;
mod client;
mod fan_out;
pub(crate) mod files;
mod inbound;
mod joining;
mod resident;
mod room;

use std::{net::SocketAddr, path::PathBuf};

use anyhow::Result;
use clap::{Args, ValueEnum};

use crate::{process::Process, report::Report};

/// What is measured, and where.
#[derive(Args)]
pub(crate) struct Target {
    /// Where the server listens, without TLS, for clients and for other servers; loopback only
    #[arg(long)]
    pub(crate) address: SocketAddr,
    /// The server's name
    #[arg(long)]
    name: String,
    /// The server's process id
    #[arg(long)]
    pid: u32,
    /// The server's data folder
    #[arg(long)]
    data_dir: PathBuf,
    /// Where `federation-files` wrote the certificates that the server believes
    #[arg(long)]
    files: PathBuf,
    /// What to measure
    #[arg(long, value_enum)]
    what: What,
    /// Members of the room that is joined
    #[arg(long, default_value_t = 10_000)]
    members: usize,
    /// PDUs that are sent into one room, and as many over fifty
    #[arg(long, default_value_t = 5_000)]
    pdus: usize,
    /// Servers that a message goes to
    #[arg(long, default_value_t = 100)]
    destinations: usize,
    /// How many of these take connections and say nothing
    #[arg(long, default_value_t = 10)]
    dead: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// A user joins a room with many members on another server
    Join,
    /// Another server sends events
    Inbound,
    /// A user speaks in a room of many servers
    FanOut,
}

/// What the phases share.
struct Stage {
    address: SocketAddr,
    name: String,
    process: Process,
    files: PathBuf,
    report: Report,
}

pub(crate) async fn run(target: Target) -> Result<Report> {
    let mut stage = Stage {
        address: target.address,
        name: target.name,
        process: Process::new(target.pid, target.data_dir),
        files: target.files,
        report: Report::default(),
    };
    match target.what {
        What::Join => joining::run(&mut stage, target.members).await?,
        What::Inbound => inbound::run(&mut stage, target.pdus).await?,
        What::FanOut => fan_out::run(&mut stage, target.destinations, target.dead).await?,
    }
    Ok(stage.report)
}
