//! Rotations on the stores that keep things: interrupted, and with everything going on at once.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use gatehouse_store::Store;
use gatehouse_store_embedded::{EmbeddedBackend, EmbeddedConfig};
use gatehouse_store_postgres::{PostgresBackend, PostgresConfig};
use gatehouse_test_postgres::Cluster;

use super::{
    bind, house, id, identity,
    pepper_rotation::{GRACE, address, all_by, generations, pepper},
};
use crate::Identity;

fn embedded(folder: &Path) -> Store {
    let backend = EmbeddedBackend::open(folder, &EmbeddedConfig::default()).unwrap();
    Store::new(Arc::new(backend))
}

#[tokio::test(flavor = "multi_thread")]
async fn r30_an_interrupted_rotation_goes_on_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let house = house();
    let engine = |store: &Store| identity(store, &house.clock, house.homeservers.clone(), |_| ());
    let store = embedded(folder.path());
    let before = engine(&store);
    for number in 0..200 {
        bind(&before, &address(number), Some(&id(&format!("u{number}")))).await;
    }
    let old = pepper(&before).await;
    let rotating = tokio::spawn({
        let identity = before.clone();
        async move { identity.rotate_pepper().await }
    });
    // Some of its pages are written, and not all of them.
    while generations(&before).await.get(&1).is_none_or(|count| *count < 20) {
        tokio::task::yield_now().await;
    }
    rotating.abort();
    assert!(rotating.await.unwrap_err().is_cancelled(), "it was under way");
    assert_eq!(pepper(&before).await, old);
    store.close().await.unwrap();
    drop((before, store));

    let store = embedded(folder.path());
    let after = engine(&store);
    assert_eq!(pepper(&after).await, old);
    let written = generations(&after).await[&1];
    assert!((20..200).contains(&written), "{written}");
    after.keep_house().await.unwrap();
    let new = pepper(&after).await;
    assert_ne!(new, old);
    assert_eq!(
        generations(&after).await,
        BTreeMap::from([(0, 200), (1, 200)]),
        "the one begun, and no other"
    );
    assert_eq!(all_by(&after, &new, 201).await.len(), 200);
    store.close().await.unwrap();
}

/// Changes associations and looks them up for as long as the pepper is rotated three times, each in a task of its own.
async fn rotate_while_everything_changes(store: &Store) {
    const ADDRESSES: u8 = 60;
    let house = house();
    let identity = identity(store, &house.clock, house.homeservers.clone(), |config| {
        config.rates.enabled = false;
        config.lookup.addresses_per_day = u32::MAX;
    });
    bind(&identity, "steady@a.test", Some(&id("steady"))).await;
    let is_over = Arc::new(AtomicBool::new(false));
    let changing = tokio::spawn(keep_changing(identity.clone(), is_over.clone(), ADDRESSES));
    let asked = Arc::new(AtomicUsize::new(0));
    let asking = tokio::spawn(keep_asking(identity.clone(), is_over.clone(), asked.clone()));
    for _ in 0..3 {
        identity.rotate_pepper().await.unwrap();
        // A pepper is good until the next but one is in the making: whoever has asked for one uses it before that.
        let before = asked.load(Ordering::Relaxed);
        while asked.load(Ordering::Relaxed) < before + 2 && !asking.is_finished() {
            tokio::task::yield_now().await;
        }
    }
    is_over.store(true, Ordering::Relaxed);
    let model = changing.await.unwrap();
    asking.await.unwrap();
    let peppers = identity.peppers().await.unwrap();
    assert_eq!(peppers.current.number, 3);
    for generation in peppers.answered() {
        assert_eq!(all_by(&identity, &generation.pepper, ADDRESSES).await, model);
    }
    house.clock.advance(GRACE);
    identity.keep_house().await.unwrap();
    let expected = BTreeMap::from([(3, model.len() + 1)]);
    assert_eq!(
        generations(&identity).await,
        expected,
        "nothing is left of earlier ones"
    );
}

/// Binds and takes back, and says what is bound in the end.
async fn keep_changing(
    identity: Identity,
    is_over: Arc<AtomicBool>,
    addresses: u8,
) -> BTreeMap<String, String> {
    let mut model = BTreeMap::new();
    for round in 0_usize.. {
        if is_over.load(Ordering::Relaxed) {
            break;
        }
        let number = u8::try_from(round * 7 % usize::from(addresses)).unwrap();
        if round % 4 == 3 {
            bind(&identity, &address(number), None).await;
            model.remove(&address(number));
        } else {
            let user = format!("u{round}");
            bind(&identity, &address(number), Some(&id(&user))).await;
            model.insert(address(number), user);
        }
    }
    model
}

/// Looks up somebody who does not change, with the pepper that is given out.
async fn keep_asking(identity: Identity, is_over: Arc<AtomicBool>, asked: Arc<AtomicUsize>) {
    while !is_over.load(Ordering::Relaxed) {
        let found = super::owners(&identity, &["steady@a.test"]).await;
        assert_eq!(found["steady@a.test"], id("steady"));
        asked.fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn t23_no_change_is_lost_while_the_pepper_rotates_on_the_embedded_store() {
    let folder = tempfile::tempdir().unwrap();
    let store = embedded(folder.path());
    rotate_while_everything_changes(&store).await;
    store.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn t23_no_change_is_lost_while_the_pepper_rotates_on_postgresql() {
    let cluster = tokio::task::spawn_blocking(Cluster::shared)
        .await
        .unwrap()
        .unwrap();
    let url = cluster.database().await.unwrap();
    let config = PostgresConfig { pool_size: 4 };
    let store = Store::new(Arc::new(PostgresBackend::connect(&url, &config).await.unwrap()));
    rotate_while_everything_changes(&store).await;
    store.close().await.unwrap();
}
