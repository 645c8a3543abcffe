//! One seed, from beginning to verdict.

use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use tokio::runtime::Builder;

use crate::{
    people::tie,
    plan::{Deed, Plan, What},
    world::World,
};

/// How often everybody speaks, at most, until all agree. What was soft-failed holds servers apart until somebody whom
/// both believe follows it.
const ROUNDS: usize = 4;

/// What came of a seed.
#[derive(Debug)]
pub struct Outcome {
    /// The seed's world.
    pub plan: Plan,
    /// What happened.
    pub trace: Vec<String>,
    /// What does not hold.
    pub failure: Option<String>,
}

/// Runs a seed.
pub fn run(seed: u64) -> Result<Outcome> {
    let plan = Plan::of(seed)?;
    let runtime = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()?;
    let outcome = runtime.block_on(async {
        let world = World::build(&plan).await?;
        let trace = Arc::clone(&world.trace);
        let lived = live_and_judge(world).await;
        anyhow::Ok((trace.lines(), lived))
    });
    // Whoever was killed still waits for a disk that never answers.
    runtime.shutdown_background();
    let (trace, lived) = outcome?;
    Ok(Outcome {
        plan,
        trace,
        failure: lived.err().map(|error| format!("{error:#}")),
    })
}

async fn live_and_judge(mut world: World) -> Result<()> {
    world.found().await.context("the room cannot be made")?;
    world.introduce().await?;
    let world = Arc::new(world);
    world.begin_storm();
    let (accidents, deeds) = tokio::join!(world.have_accidents(), world.live());
    accidents.context("accidents")?;
    deeds.context("deeds")?;
    come_together(&world).await?;
    world.nothing_is_missing().await?;
    world.history_is_whole().await?;
    world.restarts_change_nothing().await
}

/// All is well, and everybody who is in the room speaks until all have the same.
async fn come_together(world: &World) -> Result<()> {
    world.until_quiet().await?;
    world.all_is_delivered().await?;
    for server in 1..world.plan.servers {
        let deed = Deed {
            at_ms: 0,
            who: (server, 0),
            what: What::Join,
        };
        world.perform(0, &deed).await?;
    }
    world.until_quiet().await?;
    let mut agreed = Ok(());
    for round in 0..ROUNDS {
        for server in 0..world.plan.servers {
            if let Some(user) = world.speaker(server).await? {
                let (number, deed) = tie(&world.plan, (server, user), round);
                let is_said = world.perform(number, &deed).await?;
                ensure!(is_said, "nobody on server {server} can speak, though all is well");
                world.until_quiet().await?;
            }
        }
        agreed = world.agree().await;
        if agreed.is_ok() {
            break;
        }
    }
    agreed
}
