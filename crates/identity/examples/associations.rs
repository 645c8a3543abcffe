//! Measures lookups and the rotation of the pepper, with many associations in the embedded store or, with
//! `postgresql`, in a throw-away database.
//!
//! `cargo run --release -p gatehouse-identity --example associations -- [ASSOCIATIONS] [DIRECTORY | postgresql]`
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_precision_loss,
    clippy::indexing_slicing,
    reason = "a tool for developers"
)]

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use futures_util::future::BoxFuture;
use gatehouse_events::Clock;
use gatehouse_identity::{
    Config, HomeserverError, Homeservers, Identity, LookupError, LookupRequest, SignedRequest, lookup::SHA256,
};
use gatehouse_mail::{Carriers, Outbox, OutboxConfig, Templates};
use gatehouse_store::{Batch, Store, Table, json_value};
use gatehouse_store_embedded::{EmbeddedBackend, EmbeddedConfig};
use gatehouse_store_postgres::{PostgresBackend, PostgresConfig};
use gatehouse_test_postgres::Cluster;
use ruma::{OwnedServerName, OwnedUserId, ServerName, UserId, server_name, user_id};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// As the engine writes them, so that a million can be written at once.
const ASSOCIATIONS: Table<(String, String), Association> = Table::new("identity.associations");

#[derive(Serialize, Deserialize)]
struct Association {
    mxid: OwnedUserId,
    ts: u64,
}
json_value!(Association);

const BATCH: usize = 5_000;
const ADDRESSES: usize = 10_000;
const LOOKUPS: usize = 20;

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let count = arguments.next().map_or(1_000_000, |text| text.parse().unwrap());
    let place = match arguments.next() {
        Some(word) if word == "postgresql" => Place::database().await,
        Some(folder) => Place::Folder(folder.into()),
        None => {
            Place::Folder(std::env::temp_dir().join(format!("gatehouse-associations-{}", std::process::id())))
        }
    };
    measure(&place, count).await;
    if let Place::Folder(folder) = place {
        std::fs::remove_dir_all(folder).unwrap();
    }
}

async fn measure(place: &Place, count: usize) {
    let store = place.open().await;
    let began = Instant::now();
    fill(&store, count).await;
    println!(
        "{count} associations written in {:.1} s",
        began.elapsed().as_secs_f64()
    );
    let identity = identity(&store);
    measure_rotation(&identity, "all hashed for the first time", count).await;
    measure_lookups(&identity, "lookup, all found", |number| {
        address(number * 97 % count)
    })
    .await;
    measure_lookups(&identity, "lookup, one in ten found", |number| {
        address(number * 971 % (10 * count))
    })
    .await;
    measure_rotation(&identity, "pepper rotated", count).await;
    measure_lookups(&identity, "lookup after it, all found", |number| {
        address(number * 97 % count)
    })
    .await;
    store.close().await.unwrap();
    drop((identity, store));
    let store = place.open().await;
    let identity = self::identity(&store);
    measure_lookups(&identity, "lookup after a restart, all found", |number| {
        address(number * 89 % count)
    })
    .await;
    store.close().await.unwrap();
}

/// Where the data is.
enum Place {
    Folder(PathBuf),
    Database { url: String, _cluster: Arc<Cluster> },
}

impl Place {
    async fn database() -> Self {
        let cluster = tokio::task::spawn_blocking(Cluster::shared)
            .await
            .unwrap()
            .unwrap();
        Self::Database {
            url: cluster.database().await.unwrap(),
            _cluster: cluster,
        }
    }

    async fn open(&self) -> Store {
        match self {
            Self::Folder(folder) => {
                let backend = EmbeddedBackend::open(folder, &EmbeddedConfig::default()).unwrap();
                Store::new(Arc::new(backend))
            }
            Self::Database { url, .. } => {
                let config = PostgresConfig { pool_size: 10 };
                Store::new(Arc::new(PostgresBackend::connect(url, &config).await.unwrap()))
            }
        }
    }
}

fn identity(store: &Store) -> Identity {
    let mut config = Config::new(server_name!("id.test").to_owned(), "https://id.test");
    config.lookup.max_addresses = ADDRESSES;
    config.lookup.addresses_per_day = u32::MAX;
    config.rates.enabled = false;
    // So that nothing of the last rotation is left when the next is measured.
    config.lookup.pepper_grace = Duration::ZERO;
    let outbox = Outbox::new(
        store.clone(),
        Clock::system(),
        Carriers::default(),
        OutboxConfig {
            server_name: "id.test".to_owned(),
        },
        Templates::built_in().unwrap(),
    );
    Identity::new(
        store.clone(),
        config,
        Clock::system(),
        outbox,
        Arc::new(NoHomeservers),
    )
}

fn address(number: usize) -> String {
    format!("somebody{number}@mail{}.example.org", number % 100)
}

async fn fill(store: &Store, count: usize) {
    for first in (0..count).step_by(BATCH) {
        let mut batch = Batch::new();
        for number in first..(first + BATCH).min(count) {
            let row = Association {
                mxid: UserId::parse(format!("@somebody{number}:example.org")).unwrap(),
                ts: 1_750_000_000_000,
            };
            batch.put(&ASSOCIATIONS, &("email".to_owned(), address(number)), &row);
        }
        store.commit(batch).await.unwrap();
    }
}

/// Rotates, and looks up all the while with the pepper that is given out.
async fn measure_rotation(identity: &Identity, name: &str, count: usize) {
    let is_over = Arc::new(AtomicBool::new(false));
    let asking = tokio::spawn(keep_asking(identity.clone(), is_over.clone(), count));
    let began = Instant::now();
    identity.rotate_pepper().await.unwrap();
    let took = began.elapsed();
    is_over.store(true, Ordering::Relaxed);
    let times = asking.await.unwrap();
    println!(
        "{name}: {:.1} s, {:.0} addresses a second; meanwhile {} lookups of 100, none refused, {}",
        took.as_secs_f64(),
        count as f64 / took.as_secs_f64(),
        times.len(),
        figures(times),
    );
}

async fn keep_asking(identity: Identity, is_over: Arc<AtomicBool>, count: usize) -> Vec<Duration> {
    let mut times = Vec::new();
    while !is_over.load(Ordering::Relaxed) {
        let pepper = identity.hash_details().await.unwrap().lookup_pepper;
        let hashes: Vec<_> = (0..100)
            .map(|number| hash(&address((number + times.len()) * 7_919 % count), &pepper))
            .collect();
        times.push(ask(&identity, &pepper, &hashes).await.0);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    times
}

async fn measure_lookups(identity: &Identity, name: &str, address: impl Fn(usize) -> String) {
    let pepper = identity.hash_details().await.unwrap().lookup_pepper;
    let mut times = Vec::new();
    let mut found = 0;
    for round in 0..LOOKUPS {
        let hashes: Vec<_> = (0..ADDRESSES)
            .map(|number| hash(&address(number + round * ADDRESSES), &pepper))
            .collect();
        let (took, hits) = ask(identity, &pepper, &hashes).await;
        times.push(took);
        found = hits;
    }
    println!(
        "{name}: {ADDRESSES} addresses in one request, {found} found, {}",
        figures(times)
    );
}

async fn ask(identity: &Identity, pepper: &str, hashes: &[String]) -> (Duration, usize) {
    let request = LookupRequest {
        algorithm: SHA256,
        pepper,
        addresses: hashes,
    };
    let began = Instant::now();
    match identity.lookup(user_id!("@asker:example.org"), &request).await {
        Ok(found) => (began.elapsed(), found.len()),
        Err(LookupError::InvalidPepper { .. }) => panic!("a lookup was refused"),
        Err(error) => panic!("{error}"),
    }
}

fn figures(mut times: Vec<Duration>) -> String {
    times.sort();
    let ms = |at: usize| times[at.min(times.len() - 1)].as_secs_f64() * 1_000.0;
    format!(
        "p50 {:.1} ms, p99 {:.1} ms, slowest {:.1} ms",
        ms(times.len() / 2),
        ms(times.len() * 99 / 100),
        ms(times.len() - 1)
    )
}

fn hash(address: &str, pepper: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(format!("{address} email {pepper}")))
}

/// Nobody is asked here.
struct NoHomeservers;

fn nobody<'a, T: Send + 'a>() -> BoxFuture<'a, Result<T, HomeserverError>> {
    Box::pin(std::future::ready(Err(HomeserverError::Never(
        "nobody".to_owned(),
    ))))
}

impl Homeservers for NoHomeservers {
    fn openid_user<'a>(
        &'a self,
        _: &'a ServerName,
        _: &'a str,
    ) -> BoxFuture<'a, Result<OwnedUserId, HomeserverError>> {
        nobody()
    }

    fn onbind<'a>(&'a self, _: &'a ServerName, _: &'a Value) -> BoxFuture<'a, Result<(), HomeserverError>> {
        nobody()
    }

    fn verify_request<'a>(
        &'a self,
        _: &'a SignedRequest,
    ) -> BoxFuture<'a, Result<OwnedServerName, HomeserverError>> {
        nobody()
    }
}
