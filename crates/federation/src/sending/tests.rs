//! Many servers that are gone at start, or stall.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use gatehouse_accounts::Accounts;
use gatehouse_events::{Clock, SigningKey};
use gatehouse_outbound::{Outbound, OutboundConfig};
use gatehouse_rooms::{
    NoFederation, NoIdentityServers, Rooms,
    create::{CreateRoom, Preset},
    membership::invite::Directness,
};
use gatehouse_store::{Batch, Position, Store};
use gatehouse_test_peers::{Authority, Peer, Reply};
use ruma::{CanonicalJsonObject, OwnedRoomId, OwnedServerName, user_id};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    time::Instant,
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use super::schedule::{RETRIES_A_TICK, TICK, WAKING_MS};
use crate::{
    Federation, FederationConfig,
    tables::{DESTINATIONS, DestinationRow, PENDING},
};

struct House {
    store: Store,
    clock: Clock,
    federation: Federation,
    rooms: Rooms,
}

fn house() -> House {
    trusting(Vec::new())
}

fn trusting(extra_ca_files: Vec<PathBuf>) -> House {
    let store = Store::in_memory();
    let clock = Clock::manual(1_000_000);
    let name: OwnedServerName = "us.example".try_into().unwrap();
    let key = Arc::new(SigningKey::from_seed([7; 32], "own").unwrap());
    let outbound = Outbound::new(&OutboundConfig {
        verify_tls: true,
        deny_ip_ranges: Some(Vec::new()),
        extra_ca_files,
        ..OutboundConfig::default()
    });
    let federation = Federation::new(
        store.clone(),
        name.clone(),
        Arc::clone(&key),
        clock.clone(),
        Some(outbound.unwrap()),
        FederationConfig::default(),
    );
    let accounts = Accounts::new(
        store.clone(),
        gatehouse_accounts::Config::new(name),
        clock.clone(),
    );
    let config = gatehouse_rooms::Config {
        default_version: "11".parse().unwrap(),
        legacy_default_version: "11".parse().unwrap(),
        cached_rooms: 10,
        event_cache_bytes: 1 << 20,
    };
    let rooms = Rooms::new(
        store.clone(),
        accounts,
        key,
        Arc::new(NoFederation),
        Arc::new(NoIdentityServers),
        config,
        clock.clone(),
    );
    House {
        store,
        clock,
        federation,
        rooms,
    }
}

/// A room, and the place of an event in it.
async fn event(house: &House) -> (OwnedRoomId, Position) {
    let request = CreateRoom {
        room_id: None,
        version: "11".parse().unwrap(),
        preset: Preset::PublicChat,
        name: None,
        topic: None,
        alias: None,
        invite: Vec::new(),
        invite_3pid: Vec::new(),
        directness: Directness::Ordinary,
        creation_content: CanonicalJsonObject::new(),
        initial_state: Vec::new(),
        power_level_content_override: CanonicalJsonObject::new(),
    };
    let room_id = house
        .rooms
        .create(user_id!("@alice:us.example"), &request, None)
        .await
        .unwrap();
    (room_id, Position::new(1).unwrap())
}

#[tokio::test]
async fn r11_servers_that_are_gone_are_tried_a_few_at_a_time_when_we_start() {
    const GONE: u16 = 5_000;
    let house = house();
    let (room_id, position) = event(&house).await;
    let places = [(room_id.clone(), position)];
    let pdus = house.rooms.pdus_for_sending(&places).await.unwrap();
    assert!(pdus[0].is_some());
    let mut batch = Batch::new();
    for number in 0..GONE {
        let [high, low] = number.to_be_bytes();
        // Nobody listens there.
        let server: OwnedServerName = format!("127.77.{high}.{low}:1").try_into().unwrap();
        let row = DestinationRow {
            failures: 3,
            ..DestinationRow::default()
        };
        batch.put(&DESTINATIONS, &(server.clone(),), &row);
        batch.put(&PENDING, &(server, position), &(room_id.clone(),));
    }
    house.store.commit(batch).await.unwrap();
    let began = Instant::now();
    let (federation, rooms) = (house.federation.clone(), house.rooms.clone());
    let running = async move { federation.run_sending(rooms, CancellationToken::new()).await };
    let _running = AbortOnDropHandle::new(tokio::spawn(running));
    let counts = || house.federation.sending_counts();
    while counts().waiting < u64::from(GONE) {
        tokio::task::yield_now().await;
    }
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    // Their pauses are over now, all at once.
    house.clock.advance(Duration::from_millis(WAKING_MS));
    let began = Instant::now();
    let ticks = 3;
    let tried = u64::try_from(RETRIES_A_TICK).unwrap() * u64::from(ticks);
    while counts().failures < tried {
        tokio::task::yield_now().await;
    }
    // The first tick may come at once.
    assert!(began.elapsed() > TICK * (ticks - 2), "{:?}", began.elapsed());
    assert!(counts().failures <= tried + u64::try_from(RETRIES_A_TICK).unwrap());
}

/// How many connections there are, and how many there were at most.
#[derive(Default)]
struct Connections {
    open: AtomicUsize,
    most: AtomicUsize,
}

/// What a server does that never answers: it says nothing, closes at once, speaks no TLS, or begins and stops.
async fn misbehave(mut socket: TcpStream, number: usize, connections: Arc<Connections>) {
    let open = connections.open.fetch_add(1, Ordering::SeqCst) + 1;
    connections.most.fetch_max(open, Ordering::SeqCst);
    let said: &[u8] = match number % 8 {
        0 => b"HTTP/1.1 400 Bad Request\r\n\r\n",
        1 => b"\x16\x03\x03\x40\x00\x02",
        _ => b"",
    };
    _ = socket.write_all(said).await;
    let mut buffer = [0; 4_096];
    // Until the other side has had enough; one in eight closes as soon as it has heard something.
    while socket.read(&mut buffer).await.unwrap_or(0) > 0 && number % 8 != 2 {}
    connections.open.fetch_sub(1, Ordering::SeqCst);
}

#[tokio::test]
async fn r10_a_thousand_servers_that_stall_hold_few_sockets_and_hold_up_nobody() {
    const STALLED: u16 = 1_000;
    let authority = Authority::new().unwrap();
    let house = trusting(vec![authority.file()]);
    let (room_id, position) = event(&house).await;
    // Each address of loopback is a server of its own; one socket listens for all of them.
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let connections = Arc::<Connections>::default();
    let shared = Arc::clone(&connections);
    let _stalling = AbortOnDropHandle::new(tokio::spawn(async move {
        for number in 0.. {
            let (socket, _) = listener.accept().await.unwrap();
            tokio::spawn(misbehave(socket, number, Arc::clone(&shared)));
        }
    }));
    let tls = authority.server(&["127.0.0.1"]).unwrap();
    let good = Peer::start(tls, |_| Reply::json(200, &json!({ "pdus": {} })));
    let good = good.await.unwrap();
    let mut batch = Batch::new();
    for number in 0..STALLED {
        let [high, low] = number.to_be_bytes();
        let server: OwnedServerName = format!("127.78.{high}.{low}:{port}").try_into().unwrap();
        batch.put(&PENDING, &(server, position), &(room_id.clone(),));
    }
    let well: OwnedServerName = good.address().to_string().try_into().unwrap();
    let row = DestinationRow {
        has_worked: true,
        ..DestinationRow::default()
    };
    batch.put(&DESTINATIONS, &(well.clone(),), &row);
    batch.put(&PENDING, &(well, position), &(room_id,));
    house.store.commit(batch).await.unwrap();
    let (federation, rooms) = (house.federation.clone(), house.rooms.clone());
    let running = async move { federation.run_sending(rooms, CancellationToken::new()).await };
    let _running = AbortOnDropHandle::new(tokio::spawn(running));
    good.until(|received| !received.is_empty()).await.unwrap();
    let waiting = house.federation.sending_counts().waiting;
    assert!(
        waiting > u64::from(STALLED) / 2,
        "it was sent while they stall: {waiting}"
    );
    while connections.most.load(Ordering::SeqCst) < 100 {
        tokio::task::yield_now().await;
    }
    // Whoever is here writes as before.
    event(&house).await;
    while house.federation.sending_counts().failures < 500 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(connections.most.load(Ordering::SeqCst) <= 256);
}
