//! The keys of other servers: which are believed, for what, and how often they are asked for.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use gatehouse_events::SignatureNeeded;
use gatehouse_federation::{Federation, ReceivedRequest, VerifyError};
use gatehouse_rooms::remote_servers::ServerKeys as _;
use gatehouse_test_peers::Reply;
use parking_lot::Mutex;
use ruma::{OwnedServerName, ServerName};
use serde_json::{Value, json};

use crate::house::{House, NOW_MS, key, keys_of, name};

const DAY_MS: u64 = 24 * 3_600 * 1_000;

fn needed(server: &ServerName, key_id: &str, valid_at_ms: Option<u64>) -> SignatureNeeded {
    SignatureNeeded {
        server: server.to_owned(),
        key_ids: vec![key_id.to_owned()],
        valid_at_ms,
    }
}

/// The ids of the keys of the server that could be had.
async fn had(federation: &Federation, server: &ServerName, key_id: &str, at_ms: Option<u64>) -> bool {
    let keys = federation.keys(vec![needed(server, key_id, at_ms)]).await;
    keys.get(server.as_str())
        .is_some_and(|keys| keys.contains_key(key_id))
}

/// A server at a free port that says of its keys what is put here.
async fn telling(house: &House, said: Arc<Mutex<Value>>) -> (gatehouse_test_peers::Peer, OwnedServerName) {
    house.peer(move |_| Reply::json(200, &said.lock())).await
}

#[tokio::test]
async fn keys_are_asked_for_once_and_kept_through_a_restart() {
    let house = House::new().await;
    let said = Arc::new(Mutex::new(Value::Null));
    let (peer, server) = telling(&house, Arc::clone(&said)).await;
    *said.lock() = keys_of(&server, &[&key("a")], &json!({}), NOW_MS + DAY_MS);
    for _ in 0..3 {
        assert!(had(&house.federation, &server, "ed25519:a", Some(NOW_MS)).await);
    }
    let restarted = house.restarted(|_| {});
    assert!(had(&restarted, &server, "ed25519:a", Some(NOW_MS)).await);
    assert_eq!(peer.uris(), ["/_matrix/key/v2/server"]);
}

#[tokio::test]
async fn e07_a_key_is_good_for_events_of_its_time_and_before() {
    let house = House::new().await;
    let said = Arc::new(Mutex::new(Value::Null));
    let (_peer, server) = telling(&house, Arc::clone(&said)).await;
    let old = json!({ "ed25519:before": { "key": key("before").public_key_base64(), "expired_ts": NOW_MS - DAY_MS } });
    *said.lock() = keys_of(&server, &[&key("a")], &old, NOW_MS + 30 * DAY_MS);
    let check = async |id: &str, at_ms: Option<u64>, expected: bool| {
        assert_eq!(
            had(&house.federation, &server, id, at_ms).await,
            expected,
            "{id} {at_ms:?}"
        );
    };
    check("ed25519:a", Some(NOW_MS), true).await;
    check("ed25519:a", Some(NOW_MS + 7 * DAY_MS), true).await;
    check("ed25519:a", Some(NOW_MS + 7 * DAY_MS + 1), false).await;
    check("ed25519:before", Some(NOW_MS - DAY_MS), true).await;
    check("ed25519:before", Some(NOW_MS - DAY_MS + 1), false).await;
    // Room versions before 5 do not care.
    check("ed25519:before", None, true).await;
    check("ed25519:never", None, false).await;
}

#[tokio::test]
async fn e07_one_use_out_of_its_time_takes_the_key_out_of_the_answer() {
    let house = House::new().await;
    let said = Arc::new(Mutex::new(Value::Null));
    let (_peer, server) = telling(&house, Arc::clone(&said)).await;
    *said.lock() = keys_of(&server, &[&key("a")], &json!({}), NOW_MS + DAY_MS);
    let wanted = vec![
        needed(&server, "ed25519:a", Some(NOW_MS)),
        needed(&server, "ed25519:a", Some(NOW_MS + 2 * DAY_MS)),
    ];
    assert!(house.federation.keys(wanted).await.is_empty());
}

#[tokio::test]
async fn i06_another_key_under_a_known_id_is_believed_only_when_it_is_good_for_longer() {
    let house = House::new().await;
    let said = Arc::new(Mutex::new(Value::Null));
    let (_peer, server) = telling(&house, Arc::clone(&said)).await;
    let other = gatehouse_events::SigningKey::from_seed([1; 32], "a").unwrap();
    *said.lock() = keys_of(&server, &[&key("a")], &json!({}), NOW_MS + DAY_MS);
    let public = async |federation: &Federation| {
        let keys = federation
            .keys(vec![
                needed(&server, "ed25519:a", None),
                needed(&server, "ed25519:unknown", None),
            ])
            .await;
        keys[server.as_str()]["ed25519:a"].clone().into_inner()
    };
    assert_eq!(public(&house.federation).await, key("a").public_key());
    *said.lock() = keys_of(&server, &[&other], &json!({}), NOW_MS + DAY_MS);
    house.clock.advance(Duration::from_mins(1));
    assert_eq!(public(&house.federation).await, key("a").public_key());
    *said.lock() = keys_of(&server, &[&other], &json!({}), NOW_MS + 2 * DAY_MS);
    house.clock.advance(Duration::from_mins(1));
    assert_eq!(public(&house.federation).await, other.public_key());
}

#[tokio::test]
async fn e08_denied_keys_are_denied_also_when_they_were_stored_before() {
    let house = House::new().await;
    let said = Arc::new(Mutex::new(Value::Null));
    let (_peer, server) = telling(&house, Arc::clone(&said)).await;
    *said.lock() = keys_of(&server, &[&key("a")], &json!({}), NOW_MS + DAY_MS);
    assert!(had(&house.federation, &server, "ed25519:a", None).await);
    let restarted = house.restarted(|config| config.denied_keys = vec![key("a").public_key_base64()]);
    assert!(!had(&restarted, &server, "ed25519:a", None).await);
}

#[tokio::test]
async fn many_who_want_the_same_keys_ask_once_and_a_dead_server_is_left_alone() {
    let house = House::new().await;
    let (peer, server) = house.peer(|_| Reply::bytes(503, "")).await;
    let asking = (0..20).map(|_| had(&house.federation, &server, "ed25519:a", None));
    let had_any = futures_util::future::join_all(asking).await;
    assert!(had_any.iter().all(|had| !had));
    assert_eq!(peer.received().len(), 1);
    let asked_within = async |time: Duration| {
        house.clock.advance(time);
        had(&house.federation, &server, "ed25519:a", None).await;
        peer.received().len()
    };
    assert_eq!(asked_within(Duration::from_secs(9)).await, 1);
    assert_eq!(asked_within(Duration::from_secs(1)).await, 2);
    // Twice as long each time.
    assert_eq!(asked_within(Duration::from_secs(19)).await, 2);
    assert_eq!(asked_within(Duration::from_secs(1)).await, 3);
    // Five minutes at most.
    for _ in 0..10 {
        asked_within(Duration::from_mins(5)).await;
    }
    assert_eq!(peer.received().len(), 13);
}

#[tokio::test]
async fn keys_of_many_servers_are_fetched_together() {
    let house = House::new().await;
    let (at_once, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let mut peers = Vec::new();
    for _ in 0..8 {
        let (at_once, most) = (Arc::clone(&at_once), Arc::clone(&most));
        let own = Arc::new(Mutex::new(None::<OwnedServerName>));
        let known = Arc::clone(&own);
        let (peer, server) = house
            .peer(move |_| {
                most.fetch_max(at_once.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                let server = known.lock().clone().unwrap();
                Reply::json(200, &keys_of(&server, &[&key("a")], &json!({}), NOW_MS + DAY_MS))
            })
            .await;
        *own.lock() = Some(server.clone());
        peers.push((peer, server));
    }
    let wanted = peers
        .iter()
        .map(|(_, server)| needed(server, "ed25519:a", None))
        .collect();
    let keys = house.federation.keys(wanted).await;
    assert_eq!(keys.len(), 8);
    assert!(peers.iter().all(|(peer, _)| peer.received().len() == 1));
}

async fn verified(house: &House, header: String) -> Result<OwnedServerName, VerifyError> {
    let authorization = [header];
    let request = ReceivedRequest {
        method: "GET",
        uri: "/x",
        authorization: &authorization,
        body: None,
    };
    house.federation.verify(request, &[]).await
}

#[tokio::test]
async fn e06_e07_requests_need_a_key_that_is_good_now() {
    let house = House::new().await;
    let said = Arc::new(Mutex::new(Value::Null));
    let (_peer, server) = telling(&house, Arc::clone(&said)).await;
    let old =
        json!({ "ed25519:before": { "key": key("before").public_key_base64(), "expired_ts": NOW_MS - 1 } });
    *said.lock() = keys_of(&server, &[&key("a")], &old, NOW_MS + DAY_MS);
    let header = |version: &str, destination: &str| {
        let object = json!({ "method": "GET", "uri": "/x", "origin": server, "destination": destination });
        let signed = crate::house::signed(&server, &key(version), object);
        let id = format!("ed25519:{version}");
        let sig = signed["signatures"][server.as_str()][&id].as_str().unwrap();
        format!("X-Matrix origin=\"{server}\",destination=\"{destination}\",key=\"{id}\",sig=\"{sig}\"")
    };
    assert_eq!(
        verified(&house, header("a", "us.example")).await,
        Ok(server.clone())
    );
    assert_eq!(
        verified(&house, header("before", "us.example")).await,
        Err(VerifyError::UnknownKey)
    );
    assert_eq!(
        verified(&house, header("a", "other.example")).await,
        Err(VerifyError::OtherDestination)
    );
    // The key has run out, and the server does not say that it is good for longer.
    house.clock.advance(Duration::from_millis(DAY_MS + 1));
    assert_eq!(
        verified(&house, header("a", "us.example")).await,
        Err(VerifyError::UnknownKey)
    );
    *said.lock() = keys_of(&server, &[&key("a")], &old, NOW_MS + 3 * DAY_MS);
    house.clock.advance(Duration::from_mins(1));
    assert_eq!(
        verified(&house, header("a", "us.example")).await,
        Ok(server.clone())
    );
}

#[tokio::test]
async fn requests_of_servers_that_the_operator_denies_are_refused() {
    let house = House::with(|config| config.deny_servers = vec!["bad.example".to_owned()]).await;
    let header = "X-Matrix origin=\"bad.example\",destination=\"us.example\",key=\"ed25519:a\",sig=\"AA\"";
    assert_eq!(
        verified(&house, header.to_owned()).await,
        Err(VerifyError::NotAllowed)
    );
    assert_eq!(name("bad.example"), "bad.example");
}
