//! `/sync` never skips and never repeats an event, and the state that a client makes of it is the room's.
//!
//! Writers and clients work at the same time on a store in memory, interleaved by a seed: clients with all kinds of
//! filters, who lose responses, cancel requests and use tokens again, on engines that are thrown away and built anew.
//! At the end what each client has is compared with what its user may see. A failure names the seed;
//! `SYNC_SEED=<seed>` repeats it, `SYNC_SEEDS=<count>` tries more.

mod client;
mod random;
mod verdict;
mod writer;

use std::{cell::Cell, rc::Rc, time::Duration};

use gatehouse_store::Store;
use tokio::task::LocalSet;

use self::{client::Client, random::Random, verdict::judge, writer::Writer};
use crate::tests::world::World;

const USERS: usize = 6;
const ROOMS: usize = 3;
const WRITERS: usize = 3;
const STEPS: usize = 60;
const SEEDS: u64 = 40;

#[test]
fn sync_never_skips_and_never_repeats() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seeds = match number("SYNC_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("SYNC_SEEDS").unwrap_or(SEEDS),
    };
    for seed in seeds {
        let outcome = std::panic::catch_unwind(|| run(seed));
        assert!(outcome.is_ok(), "failed with SYNC_SEED={seed}");
    }
}

fn run(seed: u64) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    LocalSet::new().block_on(&runtime, scenario(seed));
}

async fn scenario(seed: u64) {
    let mut random = Random::new(seed);
    let world = Rc::new(World::new(Store::in_memory()));
    let users = world.users(USERS).await;
    let rooms = writer::make_rooms(&world, &users, &mut random, ROOMS).await;

    let busy = Rc::new(Cell::new(WRITERS));
    let mut tasks = Vec::new();
    for _ in 0..WRITERS {
        let mut writer = Writer::new(Rc::clone(&world), users.clone(), rooms.clone(), random.split());
        let busy = Rc::clone(&busy);
        tasks.push(tokio::task::spawn_local(async move {
            writer.write(STEPS).await;
            busy.set(busy.get() - 1);
            None
        }));
    }
    // One client a user: what lazy loading leaves out depends on the device.
    for (number, user) in users.iter().enumerate() {
        let reader = (user.id.clone(), user.device.clone());
        let client = Client::new(format!("client {number}"), reader, random.split());
        let (world, busy, random) = (Rc::clone(&world), Rc::clone(&busy), random.split());
        tasks.push(tokio::task::spawn_local(async move {
            Some(follow(client, &world, &busy, random).await)
        }));
    }
    for task in tasks {
        if let Some((client, began)) = task.await.unwrap() {
            judge(&world, &client, began, &rooms).await;
        }
    }
}

/// Syncs as long as somebody writes, and then until there is nothing more. Returns where it began, too.
async fn follow(
    mut client: Client,
    world: &World,
    busy: &Cell<usize>,
    mut random: Random,
) -> (Client, gatehouse_store::Position) {
    for _ in 0..random.below(100) {
        tokio::task::yield_now().await;
    }
    let began = client.sync(&world.sync(), &world.rooms(), Duration::ZERO).await;
    while busy.get() > 0 {
        if random.once_in(25) {
            world.restart();
        }
        let timeout = Duration::from_millis(*random.pick(&[0, 0, 5, 50]));
        client.sync(&world.sync(), &world.rooms(), timeout).await;
        for _ in 0..random.below(12) {
            tokio::task::yield_now().await;
        }
    }
    while client.sync(&world.sync(), &world.rooms(), Duration::ZERO).await < world.store.position() {}
    (client, began)
}
