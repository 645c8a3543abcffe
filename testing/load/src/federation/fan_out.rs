//! A user speaks in a room of many servers, of which some take connections and say nothing.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use super::{Stage, client::Client, resident::Resident, room::Room};
use crate::report::percentile_ms;

/// A server that takes longer for a message is given up.
const LIMIT: Duration = Duration::from_mins(5);
/// Messages after the first.
const MESSAGES: usize = 10;

pub(super) async fn run(stage: &mut Stage, destinations: usize, dead: usize) -> Result<()> {
    let mut servers = Vec::new();
    for _ in 0..destinations {
        servers.push(Resident::start(&stage.files).await?);
    }
    let first = servers.first().context("no destinations")?;
    let mut room = Room::new(&first.user("creator")?, first.signer(), "wide")?;
    for server in servers.iter().skip(1) {
        room.join(&server.user("member")?, server.signer())?;
    }
    let id = room.id.clone();
    first.host(room);
    let mut client = Client::register(stage.address, LIMIT).await?;
    client.join(&id, first.name()).await?;
    client.until_members(destinations + 1, LIMIT).await?;
    // The first server owns the room and lives.
    let living = destinations.saturating_sub(dead);
    for server in servers.iter().skip(living) {
        server.die();
    }
    let mut times = Vec::new();
    let cpu = stage.process.cpu_seconds()?;
    for number in 0..=MESSAGES {
        let text = format!("message{number}");
        let begin = Instant::now();
        client.say(&text).await?;
        let mut last = begin;
        for server in servers.iter().take(living) {
            last = last.max(server.arrivals().of(&text, LIMIT).await?);
        }
        times.push(last - begin);
    }
    let name = |what: &str| format!("a message to {destinations} servers, {dead} of them dead: {what}");
    let first = times.remove(0);
    times.sort_unstable();
    let used = stage.process.cpu_seconds()? - cpu;
    let report = &mut stage.report;
    report.figure(
        &name("the first has come to all others after"),
        first.as_secs_f64(),
        "s",
    );
    report.figure(&name("later ones, p50"), percentile_ms(&times, 50) / 1_000.0, "s");
    report.figure(
        &name("later ones, slowest"),
        percentile_ms(&times, 100) / 1_000.0,
        "s",
    );
    let messages = f64::from(u32::try_from(MESSAGES + 1)?);
    report.figure(&name("server CPU a message"), used / messages * 1_000.0, "ms");
    Ok(())
}
