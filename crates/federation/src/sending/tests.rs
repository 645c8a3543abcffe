//! Many servers that are gone, at start.

use std::{sync::Arc, time::Duration};

use gatehouse_accounts::Accounts;
use gatehouse_events::{Clock, SigningKey};
use gatehouse_outbound::{Outbound, OutboundConfig};
use gatehouse_rooms::{
    NoFederation, NoIdentityServers, Rooms,
    create::{CreateRoom, Preset},
    membership::invite::Directness,
};
use gatehouse_store::{Batch, Position, Store};
use ruma::{CanonicalJsonObject, OwnedRoomId, OwnedServerName, user_id};
use tokio::time::Instant;
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
    let store = Store::in_memory();
    let clock = Clock::manual(1_000_000);
    let name: OwnedServerName = "us.example".try_into().unwrap();
    let key = Arc::new(SigningKey::from_seed([7; 32], "own").unwrap());
    let outbound = Outbound::new(&OutboundConfig {
        verify_tls: true,
        deny_ip_ranges: Some(Vec::new()),
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
    const GONE: u16 = 2_000;
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
