//! Measures the embedded store: commits a second, bytes written, time to open again after a crash, memory.
//!
//! `cargo run --release -p gatehouse-store-embedded --example load -- [EVENTS] [DIRECTORY]`
#![expect(
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    reason = "a tool for developers"
)]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use gatehouse_store::{Batch, Direction, Position, Range, Store, Table, Topic};
use gatehouse_store_embedded::{EmbeddedBackend, EmbeddedConfig};

/// Rows like those of one event in one room.
const EVENTS: Table<(String, Position), (Vec<u8>,)> = Table::new("load.events");
const PLACES: Table<(String,), (String, Position)> = Table::new("load.places");
const HEADS: Table<(String,), (Position,)> = Table::new("load.heads");
const TRANSACTIONS: Table<(String, String, String), (String,)> = Table::new("load.transactions");

const ROOMS: u64 = 1_000;
const EVENT_BYTES: usize = 900;
const WRITERS: u64 = 64;
const SINGLE: u64 = 5_000;

/// The variable that makes this program the child, which fills the store and crashes.
const CHILD: &str = "GATEHOUSE_LOAD_CHILD";

fn open(path: &Path) -> Store {
    Store::new(Arc::new(
        EmbeddedBackend::open(path, &EmbeddedConfig::default()).unwrap(),
    ))
}

fn room(number: u64) -> String {
    format!(
        "!room{:016x}:example.org",
        (number % ROOMS).wrapping_mul(0x9E37_79B9_7F4A_7C15)
    )
}

/// Half of it compresses, as JSON with ids, hashes and signatures does.
fn event(number: u64) -> Vec<u8> {
    let mut random = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let noise = std::iter::repeat_with(|| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        format!("{random:016x}").into_bytes()
    });
    let mut body = br#"{"auth_events":[],"content":{"body":"Hello, how are you?","msgtype":"m.text"},"type":"m.room.message","#.repeat(4);
    body.extend(noise.take(EVENT_BYTES / 16).flatten());
    body.truncate(EVENT_BYTES);
    body
}

fn batch(number: u64) -> Batch {
    let mut batch = Batch::new();
    let (position, room) = (batch.next_position(), room(number));
    let id = format!("${number:043}");
    batch.put(&EVENTS, &(room.clone(), position), &(event(number),));
    batch.expect(&PLACES, &(id.clone(),), None);
    batch.put(&PLACES, &(id.clone(),), &(room.clone(), position));
    batch.put(&HEADS, &(room.clone(),), &(position,));
    batch.put(
        &TRANSACTIONS,
        &(
            format!("@user{}:example.org", number % 500),
            "DEVICE".to_owned(),
            number.to_string(),
        ),
        &(id,),
    );
    batch.touch(Topic::Room(room.try_into().unwrap()));
    batch
}

fn proc_number(file: &str, name: &str) -> u64 {
    let text = fs::read_to_string(file).unwrap();
    let line = text.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

struct Measure {
    begun: Instant,
    written: u64,
}

impl Measure {
    fn begin() -> Self {
        Self {
            begun: Instant::now(),
            written: proc_number("/proc/self/io", "write_bytes"),
        }
    }

    fn end(self, what: &str, events: u64) {
        let seconds = self.begun.elapsed().as_secs_f64();
        let written = proc_number("/proc/self/io", "write_bytes") - self.written;
        println!(
            "{what}: {:.0} events/s, {} bytes written per event, {} MiB resident",
            events as f64 / seconds,
            written / events,
            proc_number("/proc/self/status", "VmRSS") >> 10
        );
    }
}

async fn fill(path: &Path, events: u64) {
    let store = open(path);
    let measure = Measure::begin();
    for number in 0..SINGLE {
        store.commit(batch(number)).await.unwrap();
    }
    measure.end("one by one", SINGLE);
    let next = Arc::new(AtomicU64::new(SINGLE));
    let measure = Measure::begin();
    let writers: Vec<_> = (0..WRITERS)
        .map(|_| {
            let (store, next) = (store.clone(), Arc::clone(&next));
            tokio::spawn(async move {
                let mut slowest = Duration::ZERO;
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= events {
                        return slowest;
                    }
                    let begun = Instant::now();
                    store.commit(batch(number)).await.unwrap();
                    slowest = slowest.max(begun.elapsed());
                }
            })
        })
        .collect();
    let mut slowest = Duration::ZERO;
    for writer in writers {
        slowest = slowest.max(writer.await.unwrap());
    }
    measure.end("by 64 writers", events - SINGLE);
    println!("slowest commit: {} ms", slowest.as_millis());
}

async fn look(path: &Path, events: u64) {
    let begun = Instant::now();
    let store = open(path);
    println!("opened after the crash in {} ms", begun.elapsed().as_millis());
    assert_eq!(store.position().number(), events);
    println!(
        "idle: {} MiB resident",
        proc_number("/proc/self/status", "VmRSS") >> 10
    );
    let begun = Instant::now();
    let count = 20_000;
    for number in 0..count {
        let id = format!("${:043}", number * 48_271 % events);
        assert!(store.get(&PLACES, &(id,)).await.unwrap().is_some());
    }
    println!(
        "a random get: {} us",
        begun.elapsed().as_micros() / u128::from(count)
    );
    let begun = Instant::now();
    for number in 0..2_000 {
        let range = Range::prefix(&(room(number * 7),));
        assert_eq!(
            store
                .scan(&EVENTS, &range, Direction::Backward, 50)
                .await
                .unwrap()
                .len(),
            50
        );
    }
    println!(
        "the last 50 events of a room: {} us",
        begun.elapsed().as_micros() / 2_000
    );
    println!(
        "after reading: {} MiB resident",
        proc_number("/proc/self/status", "VmRSS") >> 10
    );
    let bytes: u64 = files(path)
        .iter()
        .map(|file| fs::metadata(file).map_or(0, |data| std::os::unix::fs::MetadataExt::blocks(&data) * 512))
        .sum();
    println!("on disk: {} bytes per event", bytes / events);
}

fn files(path: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries
        .flat_map(|entry| {
            if entry.path().is_dir() {
                files(&entry.path())
            } else {
                vec![entry.path()]
            }
        })
        .collect()
}

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let events: u64 = arguments
        .next()
        .map_or(1_000_000, |events| events.parse().unwrap());
    if let Ok(path) = std::env::var(CHILD) {
        fill(Path::new(&path), events).await;
        std::process::abort();
    }
    let parent = arguments.next().map_or_else(std::env::temp_dir, PathBuf::from);
    let directory = tempfile::TempDir::new_in(parent).unwrap();
    let path = directory.path().join("store");
    let program = std::env::current_exe().unwrap();
    let status = Command::new(program)
        .arg(events.to_string())
        .env(CHILD, &path)
        .status()
        .unwrap();
    assert!(status.code().is_none(), "the child ends by a crash");
    look(&path, events).await;
}
