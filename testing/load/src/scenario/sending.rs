//! Messages: into one room of many members, over fifty rooms, and to fifty clients that wait.

use std::{
    cell::RefCell,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use futures_util::future::try_join_all;
use tokio::sync::Barrier;

use super::{Stage, joining::Rooms};
use crate::{
    connection::Connection,
    report::percentile_ms,
    world::{self, User},
};

/// Rooms that messages are spread over.
const MANY_ROOMS: usize = 50;

/// Members of each of them.
const MEMBERS: usize = 10;

/// Clients that wait in one room.
const WAITING: usize = 50;

/// Messages that they wait for, one after the other.
const AWAITED: usize = 100;

/// Between two messages, so that every client is waiting again.
const PAUSE: Duration = Duration::from_millis(50);

pub(super) async fn run(stage: &Stage<'_>, rooms: &Rooms) -> Result<()> {
    let messages = stage.scale.messages;
    let before = stage.process.disk_bytes();
    for (at_once, count) in [(1, messages / 10), (16, messages)] {
        let name = format!("send, a room of {}", stage.scale.large_room);
        let work = async |connection: &mut Connection, index: usize| {
            // A sender has one transaction id per message; the members take turns.
            let sender = stage.user(index % 16 + 1)?;
            world::send(connection, &rooms.large, sender, &format!("a{at_once}.{index}"))
                .await
                .map(drop)
        };
        stage.measure(&name, at_once, count, work).await?;
    }
    let many = many_rooms(stage).await?;
    for (at_once, count) in [(16, messages), (64, messages)] {
        let work = async |connection: &mut Connection, index: usize| {
            let room = many.get(index % MANY_ROOMS).context("no room")?;
            let sender = stage.user(index % MANY_ROOMS)?;
            world::send(connection, room, sender, &format!("b{at_once}.{index}"))
                .await
                .map(drop)
        };
        stage.measure("send, fifty rooms", at_once, count, work).await?;
    }
    let sent = messages / 10 + 3 * messages;
    let grown = stage.process.disk_bytes().saturating_sub(before);
    stage.figure(
        "bytes on disk, a message",
        as_float(grown) / as_float(sent as u64),
        "bytes",
    );
    fan_out(stage).await
}

/// Store many more messages, so that a start on a full store can be measured.
pub(super) async fn fill(stage: &Stage<'_>) -> Result<()> {
    if stage.scale.fill == 0 {
        return Ok(());
    }
    let rooms = many_rooms(stage).await?;
    let work = async |connection: &mut Connection, index: usize| {
        let room = rooms.get(index % MANY_ROOMS).context("no room")?;
        let sender = stage.user(index % MANY_ROOMS)?;
        world::send(connection, room, sender, &format!("f{index}"))
            .await
            .map(drop)
    };
    stage
        .measure("send, filling the store", 64, stage.scale.fill, work)
        .await?;
    stage.figure(
        "bytes on disk, all",
        as_float(stage.process.disk_bytes()),
        "bytes",
    );
    stage.figure("memory, store filled", stage.process.resident_mib()?, "MiB");
    Ok(())
}

async fn many_rooms(stage: &Stage<'_>) -> Result<Vec<String>> {
    let mut connection = Connection::open(stage.address).await?;
    let mut rooms = Vec::new();
    for number in 0..MANY_ROOMS {
        let room = world::public_room(&mut connection, stage.user(number)?, "one of fifty").await?;
        for member in 1..MEMBERS {
            world::join(&mut connection, &room, stage.user(number + member)?).await?;
        }
        rooms.push(room);
    }
    Ok(rooms)
}

/// From the moment that a message is sent to the moment that each waiting client has it.
async fn fan_out(stage: &Stage<'_>) -> Result<()> {
    let owner = stage.user(0)?;
    let mut sender = Connection::open(stage.address).await?;
    let room = world::public_room(&mut sender, owner, "fifty wait here").await?;
    for number in 1..=WAITING {
        world::join(&mut sender, &room, stage.user(number)?).await?;
    }
    let sent: RefCell<Vec<Instant>> = RefCell::default();
    let ready = Barrier::new(WAITING + 1);
    let clients = (1..=WAITING).map(|number| {
        let (sent, ready) = (&sent, &ready);
        async move { wait_for_all(stage, stage.user(number)?, sent, ready).await }
    });
    let speaker = async {
        ready.wait().await;
        tokio::time::sleep(PAUSE).await;
        let before = stage.process.cpu_seconds()?;
        for number in 0..AWAITED {
            sent.borrow_mut().push(Instant::now());
            world::send(&mut sender, &room, owner, &format!("c{number}")).await?;
            tokio::time::sleep(PAUSE).await;
        }
        anyhow::Ok(before)
    };
    let (heard, spoken) = tokio::join!(try_join_all(clients), speaker);
    let mut latencies: Vec<Duration> = heard?.into_iter().flatten().collect();
    let cpu = stage.process.cpu_seconds()? - spoken?;
    latencies.sort_unstable();
    stage.figure("fan-out to 50 waiting, p50", percentile_ms(&latencies, 50), "ms");
    stage.figure("fan-out to 50 waiting, p99", percentile_ms(&latencies, 99), "ms");
    stage.figure(
        "fan-out to 50 waiting, server CPU a message",
        cpu * 1000.0 / as_float(AWAITED as u64),
        "ms",
    );
    Ok(())
}

/// Poll until every message came; the latency of each poll that brought one.
async fn wait_for_all(
    stage: &Stage<'_>,
    user: &User,
    sent: &RefCell<Vec<Instant>>,
    ready: &Barrier,
) -> Result<Vec<Duration>> {
    let mut connection = Connection::open(stage.address).await?;
    let (mut since, _) = world::sync_lazily(&mut connection, user, None, 0).await?;
    ready.wait().await;
    let mut heard = 0;
    let mut latencies = Vec::new();
    while heard < AWAITED {
        let (next, body) = world::sync_lazily(&mut connection, user, Some(&since), 30_000).await?;
        let messages = count_of(&body, b"\"m.room.message\"");
        if let Some(begin) = sent.borrow().get(heard).filter(|_| messages == 1) {
            latencies.push(begin.elapsed());
        }
        heard += messages;
        since = next;
    }
    Ok(latencies)
}

fn count_of(body: &[u8], sign: &[u8]) -> usize {
    body.windows(sign.len()).filter(|window| window == &sign).count()
}

#[expect(clippy::cast_precision_loss, reason = "counts here are far below 2^53")]
fn as_float(count: u64) -> f64 {
    count as f64
}
