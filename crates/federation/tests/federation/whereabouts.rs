//! Where servers are, by the steps of "Resolving server names".

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use gatehouse_test_peers::Reply;
use http::header::{AUTHORIZATION, HOST};
use serde_json::json;

use crate::house::{House, name};

#[tokio::test]
async fn an_address_with_a_port_is_the_whole_way() {
    let house = House::new().await;
    let (peer, server) = house.peer(|_| Reply::json(200, &json!({}))).await;
    house.federation.query_version(&server).await.unwrap();
    let received = peer.received();
    assert_eq!(received[0].header(&HOST), server.as_str());
    assert!(house.names.asked().is_empty());
}

#[tokio::test]
async fn a_name_with_a_port_is_neither_delegated_nor_looked_up_as_a_service() {
    let house = House::new().await;
    let tls = house.authority.server(&["localhost"]).unwrap();
    let peer = gatehouse_test_peers::Peer::start(tls, |_| Reply::json(200, &json!({})))
        .await
        .unwrap();
    let server = name(&format!("localhost:{}", peer.port()));
    house.federation.query_version(&server).await.unwrap();
    let received = peer.received();
    assert_eq!(peer.uris(), ["/_matrix/federation/v1/version"]);
    assert_eq!(received[0].tls_name.as_deref(), Some("localhost"));
    assert_eq!(received[0].header(&HOST), server.as_str());
}

#[tokio::test]
async fn a_name_without_a_file_is_found_by_its_record_and_proves_its_own_name() {
    let house = House::new().await;
    let peer = house.named("a.example", |_| Reply::json(200, &json!({}))).await;
    house.federation.query_version(&name("a.example")).await.unwrap();
    let received = peer.received();
    assert_eq!(received[0].tls_name.as_deref(), Some("a.example"));
    assert_eq!(received[0].header(&HOST), "a.example");
    assert!(
        received[0]
            .header(&AUTHORIZATION)
            .contains("destination=\"a.example\"")
    );
}

/// The file is asked for at port 443, which a test has only where it may listen there.
async fn well_known(
    house: &House,
    script: impl Fn() -> Reply + Send + Sync + 'static,
) -> Option<(gatehouse_test_peers::Peer, Arc<AtomicUsize>)> {
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let tls = house.authority.server(&["localhost"]).unwrap();
    let peer = gatehouse_test_peers::Peer::at("127.0.0.1:443".parse().unwrap(), tls, move |received| {
        assert_eq!(received.uri, "/.well-known/matrix/server");
        counted.fetch_add(1, Ordering::SeqCst);
        script()
    })
    .await
    .ok()?;
    Some((peer, asked))
}

#[tokio::test]
async fn a_file_delegates_to_a_name_that_proves_itself_and_is_read_again_when_it_says_so() {
    let house = House::new().await;
    let (first, to_first) = house.peer(|_| Reply::json(200, &json!({}))).await;
    let second = house.named("b.example", |_| Reply::json(200, &json!({}))).await;
    let turns = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&turns);
    let script = move || match counted.fetch_add(1, Ordering::SeqCst) {
        0 => Reply::json(200, &json!({ "m.server": to_first })).header("cache-control", "max-age=600"),
        _ => Reply::json(200, &json!({ "m.server": "b.example" })),
    };
    let Some((_files, asked)) = well_known(&house, script).await else {
        eprintln!("this machine does not let a test listen on port 443");
        return;
    };
    let server = name("localhost");
    for _ in 0..3 {
        house.federation.query_version(&server).await.unwrap();
    }
    assert_eq!((first.received().len(), asked.load(Ordering::SeqCst)), (3, 1));
    let authorization = first.received()[0].header(&AUTHORIZATION).to_owned();
    assert!(
        authorization.contains("destination=\"localhost\""),
        "{authorization}"
    );
    house.clock.advance(Duration::from_secs(601));
    house.federation.query_version(&server).await.unwrap();
    let received = second.received();
    assert_eq!(received[0].tls_name.as_deref(), Some("b.example"));
    assert_eq!(received[0].header(&HOST), "b.example");
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn servers_that_the_operator_names_are_not_talked_to() {
    let house = House::with(|config| config.deny_servers = vec!["127.0.0.1".to_owned()]).await;
    let (peer, server) = house.peer(|_| Reply::json(200, &json!({}))).await;
    assert!(house.federation.query_version(&server).await.is_err());
    assert_eq!(peer.connections(), 0);
}
