//! The way to a service of a host: what DNS says, and what it cannot say. Everything listens on loopback.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use gatehouse_outbound::{Outbound, OutboundConfig, OutboundError, OutboundRequest, Service};
use gatehouse_test_peers::{Authority, NameServer, Peer, Reply};
use http::header::HOST;
use serde_json::json;

/// A door that finds the service `_chess-fed._tcp`, formerly `_chess._tcp`, by what the name server says.
struct House {
    authority: Authority,
    names: NameServer,
    door: Outbound,
}

impl House {
    async fn with(port: u16, change: impl FnOnce(&mut OutboundConfig)) -> Self {
        let authority = Authority::new().unwrap();
        let names = NameServer::start().await.unwrap();
        let mut config = OutboundConfig {
            verify_tls: true,
            deny_ip_ranges: Some(Vec::new()),
            extra_ca_files: vec![authority.file()],
            service: Some(Service {
                prefixes: vec!["_chess-fed._tcp".to_owned(), "_chess._tcp".to_owned()],
                port,
                name_servers: vec![names.address()],
            }),
            ..OutboundConfig::default()
        };
        change(&mut config);
        let door = Outbound::new(&config).unwrap();
        Self {
            authority,
            names,
            door,
        }
    }

    async fn new() -> Self {
        Self::with(1, |_| {}).await
    }

    async fn peer(&self, names: &[&str]) -> Peer {
        let tls = self.authority.server(names).unwrap();
        Peer::start(tls, |_| Reply::json(200, &json!({ "good": true })))
            .await
            .unwrap()
    }

    async fn ask(&self, url: &str) -> Result<u16, OutboundError> {
        let request = OutboundRequest::get(url).to_service();
        Ok(self.door.send(request).await?.status)
    }
}

#[tokio::test]
async fn a_service_is_where_its_record_says_under_the_hosts_own_name() {
    let house = House::new().await;
    let peer = house.peer(&["chess.example"]).await;
    house
        .names
        .srv("_chess-fed._tcp.chess.example", 10, "localhost", peer.port())
        .unwrap();
    assert_eq!(house.ask("https://chess.example/x").await, Ok(200));
    let received = peer.received();
    assert_eq!(received[0].tls_name.as_deref(), Some("chess.example"));
    assert_eq!(received[0].header(&HOST), "chess.example");
}

#[tokio::test]
async fn a_record_does_not_make_its_target_the_host() {
    let house = House::new().await;
    let target = house.peer(&["localhost"]).await;
    house
        .names
        .srv("_chess-fed._tcp.chess.example", 10, "localhost", target.port())
        .unwrap();
    assert_eq!(house.ask("https://chess.example/").await, Err(OutboundError::Tls));
    assert!(target.received().is_empty());
}

#[tokio::test]
async fn the_old_name_of_the_record_counts_only_without_the_new_one() {
    let house = House::new().await;
    let old = house.peer(&["chess.example", "old.example"]).await;
    let new = house.peer(&["chess.example"]).await;
    let srv = |name: &str, peer: &Peer| house.names.srv(name, 10, "localhost", peer.port()).unwrap();
    srv("_chess._tcp.old.example", &old);
    srv("_chess._tcp.chess.example", &old);
    srv("_chess-fed._tcp.chess.example", &new);
    assert_eq!(house.ask("https://old.example/old").await, Ok(200));
    assert_eq!(house.ask("https://chess.example/new").await, Ok(200));
    assert_eq!(
        (old.uris(), new.uris()),
        (vec!["/old".to_owned()], vec!["/new".to_owned()])
    );
}

#[tokio::test]
async fn the_next_target_is_tried_when_the_best_one_is_down() {
    let house = House::new().await;
    let peer = house.peer(&["chess.example"]).await;
    let name = "_chess-fed._tcp.chess.example";
    house.names.srv(name, 1, "nowhere.invalid", 443).unwrap();
    house.names.srv(name, 2, "localhost", 1).unwrap();
    house.names.srv(name, 3, "localhost", peer.port()).unwrap();
    assert_eq!(house.ask("https://chess.example/").await, Ok(200));
}

#[tokio::test]
async fn without_records_the_service_is_at_its_own_port() {
    let authority = Authority::new().unwrap();
    let tls = authority.server(&["localhost"]).unwrap();
    let peer = Peer::start(tls, |_| Reply::json(200, &json!({}))).await.unwrap();
    let house = House::with(peer.port(), |config| {
        config.extra_ca_files = vec![authority.file()];
    })
    .await;
    assert_eq!(house.ask("https://localhost/").await, Ok(200));
    assert_eq!(peer.received()[0].header(&HOST), "localhost");
}

#[tokio::test]
async fn a_port_in_the_url_needs_no_records() {
    let house = House::new().await;
    let peer = house.peer(&["localhost"]).await;
    let url = format!("https://localhost:{}/", peer.port());
    assert_eq!(
        house.door.send(OutboundRequest::get(&url)).await.unwrap().status,
        200
    );
    assert!(house.names.asked().is_empty());
}

#[tokio::test]
async fn i02_a_record_does_not_lead_into_a_private_network() {
    let house = House::with(1, |config| config.deny_ip_ranges = None).await;
    let peer = house.peer(&["chess.example"]).await;
    for (host, target) in [("a.example", "localhost"), ("b.example", "127.0.0.1")] {
        let name = format!("_chess-fed._tcp.{host}");
        house.names.srv(&name, 1, "nowhere.invalid", 1).unwrap();
        house.names.srv(&name, 2, target, peer.port()).unwrap();
        let answer = house.ask(&format!("https://{host}/")).await;
        assert_eq!(answer, Err(OutboundError::Denied), "{host}");
    }
    assert_eq!(peer.connections(), 0);
}

#[tokio::test]
async fn connections_are_used_again() {
    let house = House::new().await;
    let peer = house.peer(&["chess.example"]).await;
    house
        .names
        .srv("_chess-fed._tcp.chess.example", 10, "localhost", peer.port())
        .unwrap();
    for _ in 0..5 {
        assert_eq!(house.ask("https://chess.example/x").await, Ok(200));
    }
    assert_eq!((peer.received().len(), peer.connections()), (5, 1));
}

#[tokio::test]
async fn redirects_are_followed_so_far_and_no_further_and_to_no_denied_place() {
    let house = House::new().await;
    let end = house.peer(&["localhost"]).await;
    let to = format!("https://localhost:{}/end", end.port());
    let tls = house.authority.server(&["localhost"]).unwrap();
    let start = Peer::start(tls, move |received| match received.uri.as_str() {
        "/relative" => Reply::bytes(301, "").header("location", "/away"),
        "/away" => Reply::bytes(307, "").header("location", &to),
        "/plain" => Reply::bytes(302, "").header("location", "http://localhost/"),
        "/nowhere" => Reply::bytes(302, ""),
        _ => Reply::bytes(302, "").header("location", "/loop"),
    })
    .await
    .unwrap();
    let get = async |path: &str, redirects: u8| {
        let url = format!("https://localhost:{}{path}", start.port());
        let request = OutboundRequest::get(&url).redirects(redirects).bearer("secret");
        house.door.send(request).await.map(|answer| answer.status)
    };
    assert_eq!(get("/relative", 2).await, Ok(200));
    assert!(end.received()[0].headers.get("authorization").is_none());
    assert_eq!(get("/relative", 1).await, Err(OutboundError::Redirected));
    assert_eq!(get("/loop", 3).await, Err(OutboundError::Redirected));
    assert_eq!(get("/nowhere", 3).await, Err(OutboundError::Redirected));
    assert_eq!(get("/plain", 3).await, Err(OutboundError::SchemeRefused));
    let strict = House::with(1, |config| {
        config.deny_ip_ranges = None;
        config.exempt = vec![format!("localhost:{}", start.port())];
        config.extra_ca_files = vec![house.authority.file()];
    })
    .await;
    let url = format!("https://localhost:{}/away", start.port());
    let sent = strict.door.send(OutboundRequest::get(&url).redirects(3)).await;
    assert_eq!(sent, Err(OutboundError::Denied));
}

#[tokio::test]
async fn r10_an_answer_that_stands_still_is_given_up() {
    let house = House::new().await;
    let tls = house.authority.server(&["localhost"]).unwrap();
    let peer = Peer::start(tls, |_| Reply::silence()).await.unwrap();
    let url = format!("https://localhost:{}/", peer.port());
    let idle = std::time::Duration::from_millis(200);
    let request = OutboundRequest::get(&url)
        .timeout(std::time::Duration::from_mins(1))
        .idle(idle);
    assert_eq!(house.door.send(request).await, Err(OutboundError::TimedOut));
}
