//! Keys from servers that are trusted with those of others, and this server as one of them.

use std::sync::Arc;

use gatehouse_events::SignatureNeeded;
use gatehouse_federation::KeyQuery;
use gatehouse_rooms::remote_servers::ServerKeys as _;
use gatehouse_test_peers::{Peer, Received, Reply};
use parking_lot::Mutex;
use ruma::{OwnedServerName, ServerName};
use serde_json::{Value, json};

use crate::house::{House, NOW_MS, key, keys_of, name, signed};

const DAY_MS: u64 = 24 * 3_600 * 1_000;

/// Where a test's house has its notary: port and name have to be known before the house is built.
struct Notarised {
    house: House,
    notary: Peer,
}

/// A house that trusts `notary.example`, which answers questions about others with this.
async fn trusting(answers: impl Fn(&Received) -> Vec<Value> + Send + Sync + 'static) -> Notarised {
    let house = House::with(|config| config.trusted_key_servers = vec![name("notary.example")]).await;
    let own = name("notary.example");
    let script = move |received: &Received| match received.uri.as_str() {
        "/_matrix/key/v2/server" => Reply::json(
            200,
            &keys_of(&own, &[&key("notary")], &json!({}), NOW_MS + DAY_MS),
        ),
        "/_matrix/key/v2/query" => Reply::json(200, &json!({ "server_keys": answers(received) })),
        other => panic!("{other}"),
    };
    let notary = house.named("notary.example", script).await;
    Notarised { house, notary }
}

fn vouched_for(answer: Value) -> Value {
    signed(&name("notary.example"), &key("notary"), answer)
}

fn keys_of_dead(version: &str) -> Value {
    keys_of(
        &name("dead.example"),
        &[&key(version)],
        &json!({}),
        NOW_MS + DAY_MS,
    )
}

async fn had(house: &House, server: &ServerName, key_id: &str) -> bool {
    let needed = SignatureNeeded {
        server: server.to_owned(),
        key_ids: vec![key_id.to_owned()],
        valid_at_ms: Some(NOW_MS),
    };
    let keys = house.federation.keys(vec![needed]).await;
    keys.get(server.as_str())
        .is_some_and(|keys| keys.contains_key(key_id))
}

#[tokio::test]
async fn keys_of_a_server_that_is_gone_come_from_a_trusted_one() {
    let town = trusting(|_| vec![vouched_for(keys_of_dead("a"))]).await;
    assert!(had(&town.house, &name("dead.example"), "ed25519:a").await);
    let asked = town.notary.received();
    let question = asked.iter().find(|it| it.uri.ends_with("/query")).unwrap().json();
    let criteria = &question["server_keys"]["dead.example"]["ed25519:a"];
    assert_eq!(criteria["minimum_valid_until_ts"], json!(NOW_MS));
}

#[tokio::test]
async fn i06_what_a_notary_says_has_to_be_signed_by_it_and_by_the_server() {
    for (what, answer) in [
        ("not by the notary", keys_of_dead("a")),
        (
            "by another notary",
            signed(&name("notary.example"), &key("other"), keys_of_dead("a")),
        ),
        (
            "not by the server",
            vouched_for(json!({
                "server_name": "dead.example",
                "verify_keys": { "ed25519:a": { "key": key("a").public_key_base64() } },
                "valid_until_ts": NOW_MS + DAY_MS,
            })),
        ),
    ] {
        let town = trusting(move |_| vec![answer.clone()]).await;
        assert!(
            !had(&town.house, &name("dead.example"), "ed25519:a").await,
            "{what}"
        );
        assert!(!town.notary.received().is_empty());
    }
}

#[tokio::test]
async fn i06_a_notary_is_not_believed_about_servers_that_were_not_asked_about() {
    let town = trusting(|_| vec![vouched_for(keys_of_dead("a"))]).await;
    let asked = name("also-dead.example");
    assert!(!had(&town.house, &asked, "ed25519:a").await);
    let town_without_answers = town.notary.received().len();
    assert!(town_without_answers > 0);
    let stored = town.house.restarted(|_| {});
    let needed = SignatureNeeded {
        server: name("dead.example"),
        key_ids: vec!["ed25519:a".to_owned()],
        valid_at_ms: None,
    };
    assert!(stored.keys(vec![needed]).await.is_empty());
}

#[tokio::test]
async fn i06_a_notary_does_not_overwrite_what_the_server_said() {
    let other = gatehouse_events::SigningKey::from_seed([1; 32], "a").unwrap();
    let said_by_notary = Arc::new(Mutex::new(Value::Null));
    let said = Arc::clone(&said_by_notary);
    let town = trusting(move |_| vec![said.lock().clone()]).await;
    let own = Arc::new(Mutex::new(None::<OwnedServerName>));
    let known = Arc::clone(&own);
    let (_peer, server) = town
        .house
        .peer(move |_| {
            let server = known.lock().clone().unwrap();
            Reply::json(200, &keys_of(&server, &[&key("a")], &json!({}), NOW_MS + DAY_MS))
        })
        .await;
    *own.lock() = Some(server.clone());
    *said_by_notary.lock() = vouched_for(keys_of(
        &server,
        &[&other, &key("b")],
        &json!({}),
        NOW_MS + 5 * DAY_MS,
    ));
    let needed = |id: &str| SignatureNeeded {
        server: server.clone(),
        key_ids: vec![id.to_owned()],
        valid_at_ms: None,
    };
    // The second key makes us ask the notary.
    let keys = town
        .house
        .federation
        .keys(vec![needed("ed25519:a"), needed("ed25519:b")])
        .await;
    let keys = &keys[server.as_str()];
    assert_eq!(keys["ed25519:a"].clone().into_inner(), key("a").public_key());
    assert_eq!(keys["ed25519:b"].clone().into_inner(), key("b").public_key());
}

#[tokio::test]
async fn keys_that_do_not_exist_are_asked_for_once_a_minute_however_often_they_are_claimed() {
    let town = trusting(|_| Vec::new()).await;
    for number in 0..20 {
        assert!(!had(&town.house, &name("dead.example"), &format!("ed25519:k{number}")).await);
    }
    let questions = town
        .notary
        .uris()
        .iter()
        .filter(|uri| uri.ends_with("/query"))
        .count();
    assert_eq!(questions, 1);
}

fn query(server: &ServerName) -> KeyQuery {
    KeyQuery {
        server: server.to_owned(),
        key_ids: Vec::new(),
        minimum_valid_until_ts: NOW_MS,
    }
}

#[tokio::test]
async fn we_answer_for_others_with_both_signatures_and_go_on_when_they_are_gone() {
    let house = House::new().await;
    let own = Arc::new(Mutex::new(None::<OwnedServerName>));
    let known = Arc::clone(&own);
    let (peer, server) = house
        .peer(move |_| {
            let server = known.lock().clone().unwrap();
            Reply::json(200, &keys_of(&server, &[&key("a")], &json!({}), NOW_MS + DAY_MS))
        })
        .await;
    *own.lock() = Some(server.clone());
    let dead = name("127.0.0.1:1");
    let us = name("us.example");
    let answers = house
        .federation
        .notarised(vec![query(&server), query(&dead), query(&us)])
        .await
        .unwrap();
    let names: Vec<_> = answers.iter().map(|it| it["server_name"].clone()).collect();
    assert_eq!(names, [json!(server), json!(us)]);
    let signers: Vec<_> = answers[0]["signatures"].as_object().unwrap().keys().collect();
    assert_eq!(signers, [server.as_str(), "us.example"]);
    drop(peer);
    let again = house
        .restarted(|_| {})
        .notarised(vec![KeyQuery {
            minimum_valid_until_ts: NOW_MS + 2 * DAY_MS,
            ..query(&server)
        }])
        .await
        .unwrap();
    assert_eq!(again, answers[..1]);
}

#[tokio::test]
async fn our_old_keys_are_published_with_the_time_of_their_end() {
    let house = House::with(|config| {
        config.old_keys = vec![gatehouse_federation::OldKey {
            key_id: "ed25519:before".to_owned(),
            key: key("before").public_key_base64(),
            expired_ts: 12,
        }];
    })
    .await;
    let keys = house.federation.own_keys().unwrap();
    assert_eq!(keys["old_verify_keys"]["ed25519:before"]["expired_ts"], json!(12));
    assert!(keys["verify_keys"].get("ed25519:own").is_some());
}

#[tokio::test]
async fn a_key_that_its_server_forgot_is_still_told_and_an_expired_one_when_there_is_no_other() {
    let house = House::new().await;
    let said = Arc::new(Mutex::new(Value::Null));
    let telling = Arc::clone(&said);
    let (peer, server) = house.peer(move |_| Reply::json(200, &telling.lock())).await;
    let asked = async |id: &str, minimum: u64| {
        let query = KeyQuery {
            server: server.clone(),
            key_ids: vec![id.to_owned()],
            minimum_valid_until_ts: minimum,
        };
        house.federation.notarised(vec![query]).await.unwrap()
    };
    let expired = NOW_MS - DAY_MS;
    *said.lock() = keys_of(&server, &[&key("a")], &json!({}), expired);
    for _ in 0..2 {
        let answers = asked("ed25519:a", NOW_MS).await;
        assert_eq!(answers[0]["valid_until_ts"], json!(expired));
    }
    assert_eq!(peer.received().len(), 2);
    *said.lock() = keys_of(&server, &[&key("b")], &json!({}), NOW_MS + DAY_MS);
    let answers = asked("ed25519:a", NOW_MS).await;
    assert_eq!(answers.len(), 1);
    assert!(answers[0]["verify_keys"].get("ed25519:a").is_some());
    let answers = asked("ed25519:b", NOW_MS).await;
    assert!(answers[0]["verify_keys"].get("ed25519:b").is_some());
}
