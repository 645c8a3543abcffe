//! Many seeds. `GATEHOUSE_SEEDS=first..last` chooses others; one seed alone shows what happened in it.

use std::{
    ops::Range,
    sync::atomic::{AtomicU64, Ordering},
    thread,
};

use gatehouse_simulation::{Outcome, run};

/// What every test run goes through.
const SEEDS: Range<u64> = 0..1_500;

/// Seeds that still fail. In 24 an event is never sent to a server that the sender does not see in the room yet; in the others a
/// server is put out of a room whose members it is still fetching, and never learns of it, as nobody answers it any more. They
/// are to be mended and taken out here; each is run when it is asked for.
const OPEN: [u64; 4] = [24, 129, 836, 1_317];

fn chosen() -> Option<Range<u64>> {
    let chosen = std::env::var("GATEHOUSE_SEEDS").ok()?;
    let (first, last) = chosen.split_once("..")?;
    Some(first.parse().ok()?..last.parse().ok()?)
}

fn story(outcome: &Outcome) -> String {
    let plan = &outcome.plan;
    format!(
        "{}\nversion {}, {} servers, liar: {}, {:?}\n{:?}\n{:?}\n{:?}",
        outcome.trace.join("\n"),
        plan.version.name(),
        plan.servers,
        plan.has_liar,
        plan.mood,
        plan.weather,
        plan.tempers,
        plan.skews_ms
    )
}

#[test]
fn servers_agree_and_lose_nothing_whatever_happens_between_them() {
    if std::env::var("RUST_LOG").is_ok() {
        tracing_subscriber::fmt()
            .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
            .without_time()
            .with_writer(std::io::stderr)
            .init();
    }
    let is_chosen = chosen().is_some();
    let seeds = chosen().unwrap_or(SEEDS);
    let is_one = seeds.end - seeds.start == 1;
    let next = AtomicU64::new(seeds.start);
    let threads = thread::available_parallelism().map_or(2, usize::from);
    let work = || {
        let mut failures = Vec::new();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                return failures;
            }
            if !is_chosen && OPEN.contains(&seed) {
                continue;
            }
            let outcome = run(seed).unwrap();
            if is_one {
                println!("{}", story(&outcome));
            }
            if let Some(failure) = outcome.failure {
                println!("seed {seed}: {failure}");
                failures.push(seed);
            }
        }
    };
    let mut failures: Vec<u64> = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers
            .into_iter()
            .flat_map(|worker| worker.join().unwrap())
            .collect()
    });
    failures.sort_unstable();
    assert!(
        failures.is_empty(),
        "{} of {} seeds failed: {failures:?}. See one with GATEHOUSE_SEEDS=n..n+1",
        failures.len(),
        seeds.end - seeds.start
    );
}

#[test]
fn the_same_seed_is_the_same_story() {
    for seed in 0..40 {
        let (one, other) = (run(seed).unwrap(), run(seed).unwrap());
        let differs = one
            .trace
            .iter()
            .zip(&other.trace)
            .position(|(one, other)| one != other);
        if let Some(line) = differs {
            panic!(
                "seed {seed}, line {line}: {} and {}",
                one.trace[line], other.trace[line]
            );
        }
        assert_eq!(one.trace.len(), other.trace.len(), "seed {seed}");
    }
}
