//! Clients that wait and are not woken: what each of them costs.

use std::time::Duration;

use anyhow::Result;
use futures_util::future::join_all;

use super::Stage;
use crate::{connection::Connection, world};

/// How long they wait before their cost is read.
const SETTLING: Duration = Duration::from_secs(5);

/// How long each asks the server to hold its request.
const TIMEOUT_MS: u32 = 60_000;

/// Connections that are opened before the next batch is.
const BATCH: usize = 200;

pub(super) async fn run(stage: &Stage<'_>) -> Result<()> {
    let count = stage.scale.idle;
    if count == 0 {
        return Ok(());
    }
    let before = stage.process.resident_mib()?;
    let mut first = Connection::open(stage.address).await?;
    // A token is a place in the one order of everything, so one user's serves all.
    let (since, _) = world::sync_lazily(&mut first, stage.user(1)?, None, 0).await?;
    let mut waiting = Vec::new();
    for batch in 0..count.div_ceil(BATCH) {
        let batch = batch * BATCH..((batch + 1) * BATCH).min(count);
        let opened = batch.map(|index| {
            let since = &since;
            async move {
                let mut connection = Connection::open(stage.address).await?;
                let user = stage.user(index)?.clone();
                let since = since.clone();
                anyhow::Ok(tokio::spawn(async move {
                    world::sync_lazily(&mut connection, &user, Some(&since), TIMEOUT_MS)
                        .await
                        .map(drop)
                }))
            }
        });
        for task in join_all(opened).await {
            waiting.push(task?);
        }
    }
    tokio::time::sleep(SETTLING).await;
    let held = waiting.iter().filter(|task| !task.is_finished()).count();
    let cpu = stage.process.cpu_seconds()?;
    tokio::time::sleep(SETTLING).await;
    let cpu = stage.process.cpu_seconds()? - cpu;
    let grown = stage.process.resident_mib()? - before;
    stage.figure("idle long polls held", f64::from(u32::try_from(held)?), "");
    stage.figure("memory for the idle long polls", grown, "MiB");
    stage.figure(
        "CPU while they wait",
        cpu * 100.0 / SETTLING.as_secs_f64(),
        "% of a core",
    );
    for task in waiting {
        task.abort();
    }
    Ok(())
}
