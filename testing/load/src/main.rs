//! The load of `cargo xtask bench`: many clients in one process, on one thread, beside the server that it measures.
//!
//! It speaks the client-server API, and the server-server API where that is measured, and nothing else, so that it
//! measures any homeserver. It prints one JSON object and ends; every phase has a count, and every request a limit of time.

mod connection;
mod crowd;
mod federation;
mod floor;
mod process;
mod report;
mod scenario;
mod world;

use std::{net::SocketAddr, path::PathBuf};

use anyhow::{Result, bail};
use clap::{Args, Parser, Subcommand};

use crate::{process::Process, report::Report, scenario::Scale};

/// The load of the benchmark.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Put load on a homeserver on this machine, and measure it
    Server(Target),
    /// Invite e-mail addresses into one room of a homeserver on this machine, and measure it
    Invitations(InvitationsTarget),
    /// Put the load of other homeservers, which are played, on a homeserver on this machine, and measure it
    Federation(federation::Target),
    /// Write the certificates of the homeservers that are played, for the one under measurement to believe
    FederationFiles {
        /// Where to
        #[arg(long)]
        folder: PathBuf,
    },
    /// Measure what hashing, signing and committing alone cost
    Floor {
        /// An empty folder on the disk to measure
        #[arg(long)]
        folder: PathBuf,
        /// How many events
        #[arg(long, default_value_t = 10_000)]
        events: usize,
    },
}

#[derive(Args)]
struct Target {
    /// Where the server listens; loopback only
    #[arg(long)]
    address: SocketAddr,
    /// The server's process id, to read its CPU time and memory
    #[arg(long)]
    pid: u32,
    /// The server's data folder, to measure what an event takes on disk
    #[arg(long)]
    data_dir: PathBuf,
    /// How many users; all of them join one room
    #[arg(long, default_value_t = 10_000)]
    users: usize,
    /// How many of them join the room of the sending phase
    #[arg(long, default_value_t = 1_000)]
    large_room: usize,
    /// How many messages in each phase that sends
    #[arg(long, default_value_t = 10_000)]
    messages: usize,
    /// How many clients wait at once in the last phase; 0 leaves it out
    #[arg(long, default_value_t = 10_000)]
    idle: usize,
    /// How many more messages to store at the end, to look at a full store
    #[arg(long, default_value_t = 0)]
    fill: usize,
}

#[derive(Args)]
struct InvitationsTarget {
    /// Where the server listens; loopback only
    #[arg(long)]
    address: SocketAddr,
    /// The server's process id, to read its CPU time
    #[arg(long)]
    pid: u32,
    /// The server's data folder
    #[arg(long)]
    data_dir: PathBuf,
    /// The identity server, as users name it
    #[arg(long)]
    id_server: String,
    /// How many addresses
    #[arg(long, default_value_t = 20_000)]
    invitations: usize,
}

fn main() -> Result<()> {
    let report = match Arguments::parse().command {
        Command::Server(target) => measure_server(target)?,
        Command::Invitations(target) => measure_invitations(target)?,
        Command::Federation(target) => {
            refuse_elsewhere(target.address)?;
            runtime()?.block_on(federation::run(target))?
        }
        Command::FederationFiles { folder } => return federation::files::write(&folder),
        Command::Floor { folder, events } => floor::run(&folder, events)?,
    };
    println!("{}", serde_json::to_string(&report)?);
    Ok(())
}

fn measure_server(target: Target) -> Result<Report> {
    refuse_elsewhere(target.address)?;
    let scale = Scale {
        users: target.users,
        large_room: target.large_room.min(target.users),
        messages: target.messages,
        idle: target.idle,
        fill: target.fill,
    };
    let process = Process::new(target.pid, target.data_dir);
    runtime()?.block_on(scenario::run(target.address, &process, &scale))
}

fn measure_invitations(target: InvitationsTarget) -> Result<Report> {
    refuse_elsewhere(target.address)?;
    let process = Process::new(target.pid, target.data_dir);
    let inviting =
        scenario::invite_addresses(target.address, &process, &target.id_server, target.invitations);
    runtime()?.block_on(inviting)
}

fn refuse_elsewhere(address: SocketAddr) -> Result<()> {
    if !address.ip().is_loopback() {
        bail!("{address} is not a loopback address, and load goes nowhere else");
    }
    Ok(())
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?)
}
