//! What an operator sees of other servers, and can do about them.

use std::fmt::Write;

use gatehouse_testkit::{TestServer, User, server::SHARED_SECRET, user::escaped};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha1::Sha1;

use crate::town::{Town, current, join_via, server_of};

const REGISTER: &str = "/_synapse/admin/v1/register";
const DESTINATIONS: &str = "/_synapse/admin/v1/federation/destinations";

async fn administrator(server: &TestServer) -> User<'_> {
    let nonce = server.request("GET", REGISTER, None).await.ok()["nonce"].clone();
    let mut mac = Hmac::<Sha1>::new_from_slice(SHARED_SECRET.as_bytes()).unwrap();
    mac.update(
        format!(
            "{}\0operator\0password of operator\0admin",
            nonce.as_str().unwrap()
        )
        .as_bytes(),
    );
    let proof = mac.finalize().into_bytes();
    let proof = proof.iter().fold(String::new(), |mut hex, byte| {
        // Writing into a `String` cannot fail.
        _ = write!(hex, "{byte:02x}");
        hex
    });
    let body = json!({
        "nonce": nonce, "username": "operator", "password": "password of operator", "admin": true, "mac": proof,
    });
    User::from_login(server, &server.request("POST", REGISTER, Some(&body)).await.ok())
}

/// What the administrator is told of a server, once it is so.
async fn told(operator: &User<'_>, server: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    let path = format!("{DESTINATIONS}/{}", escaped(server));
    let mut told = Value::Null;
    for _ in 0..100 {
        let answer = operator.request("GET", &path, None).await;
        if answer.status == 200 {
            told = answer.ok();
            if is_so(&told) {
                return told;
            }
        }
        // Whatever comes next may have changed it.
        operator.sync(&current(operator).await, 50).await;
    }
    panic!("{told}");
}

#[tokio::test]
async fn an_operator_sees_why_a_server_gets_nothing_and_can_have_it_tried_now() {
    let mut town = Town::new().await;
    let (room, bob_token, there) = {
        let (alice, bob) = town.people().await;
        let room = alice.public_room().await;
        join_via(&bob, &room, &alice).await.ok();
        alice.sees_membership(&room, &bob.id, "join").await;
        (room, bob.token.clone(), server_of(&bob))
    };
    town.there.stop().await;
    let operator = administrator(&town.here).await;
    operator.join(&room).await.ok();
    let sent = operator.say(&room, "1", "are you there?").await;
    let failing = told(&operator, &there, |told| told["failures"].as_u64() >= Some(1)).await;
    assert_eq!(failing["destination"], json!(there));
    assert_eq!(
        failing["last_error"],
        json!("the server cannot be reached: it cannot be reached")
    );
    // The join and the message.
    assert_eq!(failing["pending_events"], json!(2));
    assert!(failing["retry_interval"].as_u64() > Some(0) && failing["failure_ts"].is_u64());
    let rooms = format!("{DESTINATIONS}/{}/rooms", escaped(&there));
    let rooms = operator.request("GET", &rooms, None).await.ok();
    assert_eq!(
        (&rooms["total"], &rooms["rooms"][0]["room_id"]),
        (&json!(1), &json!(room))
    );
    let all = operator.request("GET", DESTINATIONS, None).await.ok();
    assert_eq!(all["total"], json!(1));
    town.there.restart().await.unwrap();
    let reset = format!("{DESTINATIONS}/{}/reset_connection", escaped(&there));
    operator.request("POST", &reset, None).await.ok();
    let well = told(&operator, &there, |told| told["pending_events"] == json!(0)).await;
    assert_eq!(
        (&well["failures"], &well["last_error"]),
        (&json!(0), &Value::Null)
    );
    operator
        .request("POST", &reset, None)
        .await
        .refused(400, "M_UNKNOWN");
    let path = format!(
        "/_matrix/client/v3/rooms/{}/event/{}",
        escaped(&room),
        escaped(&sent)
    );
    town.there.request_with(&bob_token, "GET", &path, None).await.ok();
}

#[tokio::test]
async fn only_administrators_see_destinations_and_unknown_ones_are_not_found() {
    let town = Town::new().await;
    let operator = administrator(&town.here).await;
    let alice = town.here.user("alice").await;
    let one = format!("{DESTINATIONS}/nowhere.example");
    for path in [DESTINATIONS.to_owned(), one.clone(), format!("{one}/rooms")] {
        alice
            .request("GET", &path, None)
            .await
            .refused(403, "M_FORBIDDEN");
    }
    let reset = format!("{one}/reset_connection");
    alice
        .request("POST", &reset, None)
        .await
        .refused(403, "M_FORBIDDEN");
    for path in [one.clone(), format!("{one}/rooms")] {
        operator
            .request("GET", &path, None)
            .await
            .refused(404, "M_NOT_FOUND");
    }
    operator
        .request("POST", &reset, None)
        .await
        .refused(404, "M_NOT_FOUND");
    let none = operator.request("GET", DESTINATIONS, None).await.ok();
    assert_eq!(none, json!({ "destinations": [], "total": 0 }));
}

#[tokio::test]
async fn what_is_sent_to_other_servers_is_among_the_metrics() {
    let town = Town::new().await;
    let (alice, bob) = town.people().await;
    let room = alice.public_room().await;
    join_via(&bob, &room, &alice).await.ok();
    let sent = alice.say(&room, "1", "hello").await;
    bob.sees_event(&room, &sent).await;
    let operator = administrator(&town.here).await;
    told(&operator, &server_of(&bob), |told| {
        told["pending_events"] == json!(0)
    })
    .await;
    let here = metrics(&town.here).await;
    for line in [
        "gatehouse_federation_events_sent_total 1",
        "gatehouse_federation_transactions_sent_total 1",
        "gatehouse_federation_destinations_failing 0",
        "gatehouse_federation_events_given_up_total 0",
    ] {
        assert!(here.lines().any(|it| it == line), "{line}: {here}");
    }
    let there = metrics(&town.there).await;
    for line in [
        "gatehouse_federation_events_accepted_total 1",
        "gatehouse_federation_events_rejected_total 0",
        "gatehouse_federation_events_soft_failed_total 0",
        "gatehouse_federation_events_refused_total 0",
    ] {
        assert!(there.lines().any(|it| it == line), "{line}: {there}");
    }
}

async fn metrics(server: &TestServer) -> String {
    let url = format!("{}/metrics", server.base());
    server.http().get(url).send().await.unwrap().text().await.unwrap()
}
