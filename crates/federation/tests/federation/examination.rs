//! What people are told who look for a fault with a server.

use std::time::{Duration, UNIX_EPOCH};

use gatehouse_federation::{Federation, FederationConfig, Finding, Verdict};
use gatehouse_outbound::{Outbound, OutboundConfig};
use gatehouse_test_peers::{Authority, Peer, Received, Reply};
use ruma::ServerName;
use serde_json::{Value, json};

use crate::house::{House, NOW_MS, key, keys_of, name};

const DAY_MS: u64 = 24 * 3_600 * 1_000;

/// A server that is well, and says that it is so many seconds later there.
fn healthy(received: &Received, ahead_s: i64) -> Reply {
    let server = received.header(&http::header::HOST).to_owned();
    let date = UNIX_EPOCH + Duration::from_secs((NOW_MS / 1_000).saturating_add_signed(ahead_s));
    let date = httpdate::fmt_http_date(date);
    let json = |body: &Value| Reply::json(200, body).header("date", &date);
    match received.uri.as_str() {
        "/_matrix/key/v2/server" => json(&keys(&name(&server), "theirs", NOW_MS + DAY_MS)),
        "/_matrix/federation/v1/version" => {
            json(&json!({ "server": { "name": "Other\u{1b}[2J", "version": "1.2" } }))
        }
        "/.well-known/matrix/client" => {
            let base_url = format!("https://{server}/");
            json(&json!({ "m.homeserver": { "base_url": base_url } }))
        }
        "/_matrix/client/versions" => json(&json!({ "versions": ["v1.1", "v1.12"] })),
        _ => Reply::json(404, &json!({ "errcode": "M_NOT_FOUND", "error": "no" })),
    }
}

fn keys(server: &ServerName, version: &str, valid_until_ts: u64) -> Value {
    keys_of(server, &[&key(version)], &json!({}), valid_until_ts)
}

/// The steps with their verdicts.
fn steps(findings: &[Finding]) -> Vec<(&str, Verdict)> {
    findings
        .iter()
        .map(|finding| (finding.step, finding.verdict))
        .collect()
}

/// The only fault, which is of this step and names this; nothing is tried after it that needs it.
#[track_caller]
fn check_fault(findings: &[Finding], step: &str, words: &[&str]) {
    let faults: Vec<&Finding> = findings
        .iter()
        .filter(|finding| finding.verdict == Verdict::Fault)
        .collect();
    let [fault] = faults.as_slice() else {
        panic!("{findings:#?}");
    };
    let advice = fault.advice.as_deref().unwrap_or_default();
    let said = format!("{} {} {advice}", fault.tried, fault.came);
    assert_eq!(fault.step, step, "{findings:#?}");
    assert!(!advice.is_empty(), "{fault:#?}");
    for words in words {
        assert!(said.contains(words), "{words}: {said}");
    }
}

use Verdict::{Good, Note};

#[tokio::test]
async fn of_a_server_that_is_well_each_step_says_so_without_what_disturbs_a_terminal() {
    let house = House::new().await;
    let (_peer, server) = house.peer(|received| healthy(received, 2)).await;
    let findings = house.federation.examine(&server).await;
    let expected = [
        ("allowed", Good),
        ("well-known (server)", Good),
        ("TLS", Good),
        ("signing keys", Good),
        ("clock", Good),
        ("federation", Good),
        ("well-known (client)", Good),
        ("client API", Good),
    ];
    assert_eq!(steps(&findings), expected, "{findings:#?}");
    assert_eq!(findings[5].came, "Other[2J 1.2.");
    assert!(findings[2].came.contains("good until "), "{findings:#?}");
    assert!(findings[7].came.contains("v1.12"), "{findings:#?}");
}

#[tokio::test]
async fn without_a_file_the_records_lead_to_a_server_that_proves_its_name() {
    let house = House::new().await;
    let _peer = house.named("a.example", |received| healthy(received, 0)).await;
    let findings = house.federation.examine(&name("a.example")).await;
    let expected = [
        ("allowed", Good),
        ("well-known (server)", Note),
        ("SRV", Good),
        ("addresses", Good),
        ("TLS", Good),
        ("signing keys", Good),
        ("clock", Good),
        ("federation", Good),
    ];
    assert_eq!(steps(&findings)[..8], expected, "{findings:#?}");
    assert!(findings[2].tried.contains("_matrix-fed._tcp.a.example"));
    assert!(findings[4].tried.starts_with("TLS with a.example at "));
}

#[tokio::test]
async fn the_deprecated_record_is_found_and_a_word_is_said_about_it() {
    let house = House::new().await;
    let tls = house.authority.server(&["a.example"]).unwrap();
    let peer = Peer::start(tls, |received| healthy(received, 0)).await.unwrap();
    house
        .names
        .srv("_matrix._tcp.a.example", 1, "localhost", peer.port())
        .unwrap();
    let findings = house.federation.examine(&name("a.example")).await;
    let records = [("SRV", Good), ("SRV", Note)];
    assert_eq!(steps(&findings)[2..4], records, "{findings:#?}");
    assert!(steps(&findings).contains(&("TLS", Good)), "{findings:#?}");
}

#[tokio::test]
async fn a_record_that_leads_to_a_dead_port_is_named_with_the_address() {
    let house = House::new().await;
    let dead = {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        socket.local_addr().unwrap().port()
    };
    // A target with one address, so that there is one finding.
    let record = "_matrix-fed._tcp.a.example";
    house.names.srv(record, 1, "127.0.0.1", dead).unwrap();
    let findings = house.federation.examine(&name("a.example")).await;
    let address = format!("127.0.0.1:{dead}");
    check_fault(
        &findings,
        "TLS",
        &[&address, "Nothing listens there", "Start the server"],
    );
    assert_eq!(findings.last().unwrap().step, "TLS", "{findings:#?}");
}

#[tokio::test]
async fn a_name_that_is_nowhere_is_a_fault_of_its_addresses() {
    let house = House::new().await;
    let findings = house.federation.examine(&name("nowhere.invalid")).await;
    check_fault(
        &findings,
        "addresses",
        &["nowhere.invalid", "It has none", "AAAA"],
    );
}

#[tokio::test]
async fn certificates_are_wrong_each_in_its_own_way() {
    let house = House::new().await;
    let stranger = Authority::new().unwrap();
    for (tls, words) in [
        (
            house.authority.server(&["other.example"]).unwrap(),
            ["other names: ", "other.example"],
        ),
        (
            house.authority.expired_server(&["127.0.0.1"]).unwrap(),
            ["good until Sat, 01 Feb 2020", "Renew"],
        ),
        (
            stranger.server(&["127.0.0.1"]).unwrap(),
            ["signed by nobody", "extra_ca_files"],
        ),
    ] {
        let peer = Peer::start(tls, |received| healthy(received, 0)).await.unwrap();
        let findings = house.federation.examine(&name(&peer.address().to_string())).await;
        check_fault(&findings, "TLS", &words);
        assert!(peer.received().is_empty(), "nobody is asked who is somebody else");
    }
}

#[tokio::test]
async fn a_port_that_speaks_no_tls_is_told_from_one_that_is_closed() {
    let house = House::new().await;
    let plain = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = plain.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((socket, _)) = plain.accept().await {
            drop(socket);
        }
    });
    let findings = house.federation.examine(&name(&address)).await;
    check_fault(&findings, "TLS", &["does not speak TLS", "tls_cert"]);
}

/// A server that publishes this instead of its keys.
async fn with_keys(make: impl Fn(&ServerName) -> Reply + Send + Sync + 'static) -> Vec<Finding> {
    let house = House::new().await;
    let (_peer, server) = house
        .peer(move |received| match received.uri.as_str() {
            "/_matrix/key/v2/server" => make(&name(received.header(&http::header::HOST))),
            _ => healthy(received, 0),
        })
        .await;
    let mut findings = house.federation.examine(&server).await;
    // Of the clock that answer says something else.
    findings.retain(|finding| finding.step != "clock");
    findings
}

#[tokio::test]
async fn keys_that_are_not_the_servers_are_a_fault_with_its_reason() {
    let other = |_: &ServerName| Reply::json(200, &keys(&name("b.example"), "theirs", NOW_MS + DAY_MS));
    check_fault(
        &with_keys(other).await,
        "signing keys",
        &["another server: b.example"],
    );
    let forged = |server: &ServerName| {
        let mut answer = keys(server, "theirs", NOW_MS + DAY_MS);
        answer["verify_keys"]["ed25519:theirs"]["key"] = json!(key("forged").public_key_base64());
        Reply::json(200, &answer)
    };
    check_fault(
        &with_keys(forged).await,
        "signing keys",
        &["not signed with themselves"],
    );
    let old = |server: &ServerName| Reply::json(200, &keys(server, "theirs", NOW_MS - DAY_MS));
    check_fault(&with_keys(old).await, "signing keys", &["no longer", "clocks"]);
    let page = |_: &ServerName| Reply::bytes(200, "<html>");
    check_fault(&with_keys(page).await, "signing keys", &["no JSON"]);
    let missing = |_: &ServerName| Reply::bytes(404, "");
    check_fault(
        &with_keys(missing).await,
        "signing keys",
        &["Status 404", "proxy"],
    );
}

#[tokio::test]
async fn a_clock_that_is_far_off_is_a_fault_and_one_that_is_a_little_off_is_not() {
    let house = House::new().await;
    for (ahead_s, words) in [(3_600, "3600 s ahead"), (-3_600, "3600 s behind")] {
        let (_peer, server) = house.peer(move |received| healthy(received, ahead_s)).await;
        check_fault(&house.federation.examine(&server).await, "clock", &[words, "NTP"]);
    }
    let (_peer, server) = house.peer(|received| healthy(received, -60)).await;
    let findings = house.federation.examine(&server).await;
    assert!(steps(&findings).contains(&("clock", Note)), "{findings:#?}");
}

#[tokio::test]
async fn a_file_that_clients_cannot_read_is_a_fault_and_none_is_not() {
    let house = House::new().await;
    let file = |reply: fn() -> Reply| {
        move |received: &Received| match received.uri.as_str() {
            "/.well-known/matrix/client" => reply(),
            _ => healthy(received, 0),
        }
    };
    let (_peer, server) = house.peer(file(|| Reply::json(200, &json!({})))).await;
    let findings = house.federation.examine(&server).await;
    check_fault(&findings, "well-known (client)", &["m.homeserver"]);
    let (_peer, server) = house.peer(file(|| Reply::bytes(404, ""))).await;
    let findings = house.federation.examine(&server).await;
    let end = [("well-known (client)", Note), ("client API", Good)];
    assert_eq!(steps(&findings)[6..], end, "{findings:#?}");
}

/// The file is asked for at port 443, which a test has only where it may listen there.
#[tokio::test]
async fn a_file_that_delegates_to_nobody_is_a_fault_and_a_good_one_leads_on() {
    let house = House::new().await;
    let (_peer, to) = house.peer(|received| healthy(received, 0)).await;
    let delegates = |body: Value| {
        let tls = house.authority.server(&["localhost"]).unwrap();
        Peer::at("127.0.0.1:443".parse().unwrap(), tls, move |_| {
            Reply::json(200, &body)
        })
    };
    let Ok(files) = delegates(json!({ "m.server": to })).await else {
        eprintln!("this machine does not let a test listen on port 443");
        return;
    };
    let findings = house.federation.examine(&name("localhost")).await;
    assert!(findings[1].came.contains(to.as_str()), "{findings:#?}");
    // What it leads to has to prove the name in the file; the keys there are of that name, too.
    assert_eq!(steps(&findings)[2], ("TLS", Good), "{findings:#?}");
    drop(files);
    let Ok(_files) = delegates(json!({ "m.server": "not a name" })).await else {
        return;
    };
    let findings = house.federation.examine(&name("localhost")).await;
    let fault = findings
        .iter()
        .find(|finding| finding.step == "well-known (server)");
    let fault = fault.unwrap();
    assert_eq!(fault.verdict, Verdict::Fault, "{findings:#?}");
    assert!(fault.came.contains("not a name") && fault.advice.as_ref().unwrap().contains("JSON"));
}

fn door(house: &House, config: FederationConfig, outbound: Option<Outbound>) -> Federation {
    let own = name("us.example");
    let key = std::sync::Arc::new(key("own"));
    Federation::new(
        house.store.clone(),
        own,
        key,
        house.clock.clone(),
        outbound,
        config,
    )
}

#[tokio::test]
async fn what_the_settings_forbid_is_said_and_not_tried() {
    let house = House::new().await;
    let (peer, server) = house.peer(|received| healthy(received, 0)).await;
    let denying = FederationConfig {
        deny_servers: vec!["127.0.0.1".to_owned()],
        ..FederationConfig::default()
    };
    let public_only = Outbound::new(&OutboundConfig {
        verify_tls: true,
        service: Some(gatehouse_federation::discovery::service()),
        ..OutboundConfig::default()
    });
    let door_to_all = || Some(public_only.as_ref().unwrap().clone());
    let denied = door(&house, denying, door_to_all());
    check_fault(&denied.examine(&server).await, "allowed", &["deny_servers"]);
    let off = door(&house, FederationConfig::default(), None);
    check_fault(&off.examine(&server).await, "allowed", &["enabled = true"]);
    let public = door(&house, FederationConfig::default(), door_to_all());
    check_fault(&public.examine(&server).await, "addresses", &["deny_ip_ranges"]);
    let findings = public.examine(&name("localhost")).await;
    check_fault(&findings, "addresses", &["127.0.0.1", "public addresses only"]);
    assert_eq!(peer.connections(), 0);
}

#[tokio::test]
async fn a_server_that_cannot_check_our_signature_is_told_from_one_that_does_not_want_us() {
    for (status, words) in [
        (401, "reach this one for its keys"),
        (403, "does not want to talk"),
    ] {
        let house = House::new().await;
        let (_peer, server) = house
            .peer(move |_| Reply::json(status, &json!({ "errcode": "M_X", "error": "no\u{7}pe" })))
            .await;
        let finding = house.federation.examine_signature(&server).await;
        check_fault(std::slice::from_ref(&finding), "our signature", &[words, "nope"]);
    }
    let house = House::new().await;
    let (_peer, server) = house.peer(|received| healthy(received, 0)).await;
    let finding = house.federation.examine_signature(&server).await;
    assert_eq!(finding.verdict, Good, "{finding:#?}");
}

/// This server as a trusted key server sees it, which answers with these keys of ours.
async fn from_outside(answer: impl Fn(&Federation) -> Value) -> Vec<Finding> {
    let house = House::new().await;
    let answer = answer(&house.federation);
    let (_peer, notary) = house
        .peer(move |received| {
            let question = received.json();
            let asked = &question["server_keys"]["us.example"]["ed25519:own"];
            assert!(
                asked["minimum_valid_until_ts"].as_u64() > Some(NOW_MS),
                "{question}"
            );
            let date = UNIX_EPOCH + Duration::from_millis(NOW_MS);
            Reply::json(200, &answer).header("date", &httpdate::fmt_http_date(date))
        })
        .await;
    let trusting = house.restarted(|config| config.trusted_key_servers = vec![notary]);
    trusting.examine_from_outside().await
}

#[tokio::test]
async fn a_trusted_key_server_says_whether_this_one_is_reached_from_outside() {
    let findings = from_outside(|us| json!({ "server_keys": [us.own_keys().unwrap()] })).await;
    assert_eq!(
        steps(&findings),
        [("seen from outside", Good), ("clock", Good)],
        "{findings:#?}"
    );
    let findings = from_outside(|_| json!({ "server_keys": [] })).await;
    check_fault(&findings, "seen from outside", &["firewall"]);
    let ours = name("us.example");
    let findings = from_outside(|_| json!({ "server_keys": [keys(&ours, "own2", NOW_MS + DAY_MS)] })).await;
    check_fault(&findings, "seen from outside", &["somebody else's key"]);
    let house = House::new().await;
    let findings = house.federation.examine_from_outside().await;
    assert_eq!(steps(&findings), [("seen from outside", Note)]);
}
