//! The load of `cargo xtask bench`: many clients in one process, on one thread, beside the server that it measures.
//!
//! It speaks the client-server API and nothing else, so that it measures any homeserver. It prints one JSON object
//! and ends; every phase has a count, and every request a limit of time.

mod connection;
mod crowd;
mod process;
mod report;
mod scenario;
mod world;

use std::{net::SocketAddr, path::PathBuf};

use anyhow::{Result, bail};
use clap::Parser;

use crate::{process::Process, scenario::Scale};

/// Put load on a homeserver on this machine, and measure it.
#[derive(Parser)]
struct Arguments {
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

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if !arguments.address.ip().is_loopback() {
        bail!(
            "{} is not a loopback address, and load goes nowhere else",
            arguments.address
        );
    }
    let scale = Scale {
        users: arguments.users,
        large_room: arguments.large_room.min(arguments.users),
        messages: arguments.messages,
        idle: arguments.idle,
        fill: arguments.fill,
    };
    let process = Process::new(arguments.pid, arguments.data_dir);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let report = runtime.block_on(scenario::run(arguments.address, &process, &scale))?;
    println!("{}", serde_json::to_string(&report)?);
    Ok(())
}
