//! `[rate_limits]`: what is refused, what the refusal says, and that it is true.

use std::time::Duration;

use gatehouse_server::config::{Config, RateConfig};
use gatehouse_testkit::{Answer, TestServer, configured, user::escaped};
use serde_json::{Value, json};

/// Quick enough to wait for, and slow enough not to be paid back meanwhile.
const RATE: RateConfig = RateConfig {
    per_second: 0.5,
    burst: 3,
};

/// A server with one of the limits at [`RATE`] and the others out of the way.
async fn limited(key: &str) -> TestServer {
    let chosen = |name: &str| {
        let rate = if name == key {
            RATE
        } else {
            RateConfig {
                per_second: 1_000.0,
                burst: 1_000,
            }
        };
        Some(rate)
    };
    configured(|config: &mut Config| {
        let limits = &mut config.rate_limits;
        limits.enabled = true;
        limits.message = chosen("message");
        limits.registration = chosen("registration");
        limits.login = chosen("login");
        limits.joins_local = chosen("joins_local");
        limits.joins_remote = chosen("joins_remote");
        limits.joins_per_room = chosen("joins_per_room");
        limits.invites_per_room = chosen("invites_per_room");
        limits.invites_per_user = chosen("invites_per_user");
        limits.invites_per_issuer = chosen("invites_per_issuer");
    })
    .await
}

/// Checks the refusal, and gives how long to wait.
#[track_caller]
fn refused(answer: Answer) -> Duration {
    let header = answer
        .headers
        .get("retry-after")
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let seconds: u64 = header.parse().expect("a Retry-After in seconds");
    let body = answer.refused(429, "M_LIMIT_EXCEEDED");
    let wait_ms = body["retry_after_ms"].as_u64().expect("retry_after_ms");
    assert_eq!(seconds, wait_ms.div_ceil(1_000).max(1));
    assert!(
        (1..=2_000).contains(&wait_ms),
        "{wait_ms} ms for one at half a second"
    );
    Duration::from_millis(wait_ms)
}

/// One request after another: the burst passes, the next is refused, and passes when it has waited as told.
async fn check(ask: impl AsyncFn(u32) -> Answer) {
    for number in 0..RATE.burst {
        ask(number).await.ok();
    }
    let wait = refused(ask(RATE.burst).await);
    tokio::time::sleep(wait).await;
    ask(RATE.burst + 1).await.ok();
}

fn prefix(number: u32) -> &'static str {
    [
        "/_matrix/client/v3",
        "/_matrix/client/r0",
        "/_matrix/client/api/v1",
    ][number as usize % 3]
}

#[tokio::test]
async fn message_counts_by_user_whatever_the_path() {
    let server = limited("message").await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let room = bob.public_room().await;
    alice.join(&room).await.ok();
    check(async |number| {
        let path = format!(
            "{}/rooms/{}/state/org.example.{number}",
            prefix(number),
            escaped(&room)
        );
        let answer = alice.request("PUT", &path, Some(&json!({}))).await;
        // Alice may not; the attempt counts all the same.
        if answer.status == 403 {
            Answer {
                status: 200,
                ..answer
            }
        } else {
            answer
        }
    })
    .await;
    bob.say(&room, "1", "others are not concerned").await;
}

#[tokio::test]
async fn registration_counts_by_address_whatever_the_path() {
    let server = limited("registration").await;
    check(async |number| {
        let body =
            json!({ "username": format!("u{number}"), "password": "x", "auth": { "type": "m.login.dummy" } });
        server
            .request(
                "POST",
                &format!(
                    "{}/register",
                    ["/_matrix/client/v3", "/_matrix/client/r0"][number as usize % 2]
                ),
                Some(&body),
            )
            .await
    })
    .await;
}

/// A server behind a proxy, and a request that reached the proxy from this address.
async fn from(server: &TestServer, address: &str, path: &str, body: &Value) -> u16 {
    let request = server.http().post(format!("{}{path}", server.base()));
    let answer = request.header("x-forwarded-for", address).json(body).send().await;
    answer.unwrap().status().as_u16()
}

/// A server with this limit, that takes a proxy's word for where requests come from.
async fn behind_proxy(change: fn(&mut Config)) -> TestServer {
    configured(|config| {
        config.listener[0].trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
        config.rate_limits.enabled = true;
        change(config);
    })
    .await
}

#[tokio::test]
async fn registration_counts_each_address_for_itself() {
    let server = behind_proxy(|config| config.rate_limits.registration = Some(RATE)).await;
    let mut number = 0;
    for (address, expected) in [
        ("192.0.2.1", [200, 200, 200, 429]),
        ("192.0.2.2", [200, 200, 200, 429]),
        ("2001:db8:1::1", [200, 200, 200, 429]),
    ] {
        for expected in expected {
            let name = format!("u{number}");
            let body = json!({ "username": name, "password": "x", "auth": { "type": "m.login.dummy" } });
            let status = from(&server, address, "/_matrix/client/v3/register", &body).await;
            assert_eq!(status, expected, "{address}");
            number += 1;
        }
    }
}

#[tokio::test]
async fn login_counts_each_address_for_itself() {
    let server = behind_proxy(|config| config.rate_limits.login = Some(RATE)).await;
    for name in ["a0", "a1", "a2", "a3"] {
        server.user(name).await;
    }
    for address in ["192.0.2.1", "192.0.2.2"] {
        for (number, expected) in [200, 200, 200, 429].into_iter().enumerate() {
            let body = json!({
                "type": "m.login.password", "user": format!("a{number}"), "password": format!("password of a{number}"),
            });
            let status = from(&server, address, "/_matrix/client/v3/login", &body).await;
            assert_eq!(status, expected, "{address}");
        }
    }
}

#[tokio::test]
async fn login_counts_by_address_whatever_the_path() {
    let server = limited("login").await;
    for name in ["a0", "a1", "a2", "a3", "a4"] {
        server.user(name).await;
    }
    check(async |number| {
        let body = json!({
            "type": "m.login.password", "user": format!("a{number}"), "password": format!("password of a{number}"),
        });
        server.request("POST", &format!("{}/login", prefix(number)), Some(&body)).await
    })
    .await;
}

/// A server with the figures of the project.
async fn usual() -> TestServer {
    configured(|config| config.rate_limits.enabled = true).await
}

async fn login(server: &TestServer, name: &str, password: &str) -> Answer {
    let body = json!({ "type": "m.login.password", "user": name, "password": password });
    server
        .request("POST", "/_matrix/client/v3/login", Some(&body))
        .await
}

#[tokio::test]
async fn wrong_passwords_count_by_account_however_it_is_named() {
    let server = usual().await;
    server.user("alice").await;
    for name in [
        "alice",
        "@alice:test.example",
        "Alice",
        "@ALICE:test.example",
        "alice",
    ] {
        login(&server, name, "wrong").await.refused(403, "M_FORBIDDEN");
    }
    for name in ["alice", "@alice:test.example", "ALICE"] {
        login(&server, name, "password of alice")
            .await
            .refused(429, "M_LIMIT_EXCEEDED");
    }
}

#[tokio::test]
async fn wrong_passwords_count_by_address_and_answers_do_not_tell_right_from_wrong() {
    let server = usual().await;
    server.user("alice").await;
    for number in 0..5 {
        login(&server, &format!("nobody{number}"), "wrong")
            .await
            .refused(403, "M_FORBIDDEN");
    }
    let wrong = login(&server, "alice", "wrong")
        .await
        .refused(429, "M_LIMIT_EXCEEDED");
    let right = login(&server, "alice", "password of alice")
        .await
        .refused(429, "M_LIMIT_EXCEEDED");
    assert_eq!(wrong["error"], right["error"]);
}

#[tokio::test]
async fn passwords_tried_where_the_owner_must_prove_herself_count_too() {
    let server = usual().await;
    let alice = server.user("alice").await;
    for _ in 0..5 {
        let challenge = alice
            .post("/account/password", json!({ "new_password": "x" }))
            .await
            .body;
        let auth = json!({
            "type": "m.login.password", "session": challenge["session"], "password": "wrong",
            "identifier": { "type": "m.id.user", "user": "alice" },
        });
        let answer = alice
            .post("/account/password", json!({ "new_password": "x", "auth": auth }))
            .await;
        assert_eq!(answer.status, 401, "{}", answer.body);
    }
    alice
        .post("/account/password", json!({ "new_password": "x" }))
        .await
        .refused(429, "M_LIMIT_EXCEEDED");
    login(&server, "alice", "password of alice")
        .await
        .refused(429, "M_LIMIT_EXCEEDED");
}

/// Public rooms of somebody who is not limited.
async fn rooms(server: &TestServer, count: usize) -> Vec<String> {
    let owner = server.user("owner").await;
    let mut rooms = Vec::new();
    for _ in 0..count {
        rooms.push(owner.public_room().await);
    }
    rooms
}

#[tokio::test]
async fn joins_local_count_by_user_whatever_the_path() {
    let server = limited("joins_local").await;
    let rooms = rooms(&server, 5).await;
    let alice = server.user("alice").await;
    check(async |number| {
        let room = escaped(&rooms[number as usize]);
        let path = match number % 3 {
            0 => format!("/_matrix/client/v3/join/{room}"),
            1 => format!("/_matrix/client/r0/rooms/{room}/join"),
            _ => format!("/_matrix/client/api/v1/rooms/{room}/join"),
        };
        alice.request("POST", &path, Some(&json!({}))).await
    })
    .await;
}

#[tokio::test]
async fn joins_local_of_one_user_do_not_concern_another() {
    let server = limited("joins_local").await;
    let rooms = rooms(&server, 4).await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    for room in &rooms[..3] {
        alice.join(room).await.ok();
    }
    refused(alice.join(&rooms[3]).await);
    bob.join(&rooms[3]).await.ok();
}

#[tokio::test]
async fn invites_per_issuer_and_per_room_do_not_concern_others() {
    for limit in ["invites_per_issuer", "invites_per_room"] {
        let server = limited(limit).await;
        let (alice, bob) = (server.user("alice").await, server.user("bob").await);
        let room = alice.create_room(json!({ "preset": ROOM })).await;
        let other = bob.create_room(json!({ "preset": ROOM })).await;
        for number in 0..3 {
            let target = server.user(&format!("t{number}")).await;
            alice.act_on("invite", &room, &target.id).await.ok();
        }
        let last = server.user("last").await;
        refused(alice.act_on("invite", &room, &last.id).await);
        bob.act_on("invite", &other, &last.id).await.ok();
    }
}

#[tokio::test]
async fn sent_events_and_redactions_count_as_messages() {
    let server = limited("message").await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let room = bob.public_room().await;
    alice.join(&room).await.ok();
    let state = bob.whole_state(&room).await;
    let own = state
        .as_array()
        .unwrap()
        .iter()
        .find(|event| event["sender"] == alice.id);
    let joined = own.unwrap()["event_id"].as_str().unwrap();
    let (room, joined) = (escaped(&room), escaped(joined));
    check(async |number| {
        if number % 2 == 0 {
            let path = format!("/rooms/{room}/send/org.example.kind/{number}");
            return alice.put(&path, json!({})).await;
        }
        let path = format!("/rooms/{room}/redact/{joined}/{number}");
        alice.put(&path, json!({})).await
    })
    .await;
}

#[tokio::test]
async fn joins_remote_count_by_user_though_they_fail() {
    let server = limited("joins_remote").await;
    let alice = server.user("alice").await;
    for _ in 0..3 {
        assert_ne!(alice.join("!room:elsewhere.example").await.status, 429);
    }
    refused(alice.join("!room:elsewhere.example").await);
}

#[tokio::test]
async fn joins_per_room_count_by_room() {
    let server = limited("joins_per_room").await;
    let rooms = rooms(&server, 2).await;
    let mut users = Vec::new();
    for number in 0..5 {
        users.push(server.user(&format!("u{number}")).await);
    }
    check(async |number| users[number as usize].join(&rooms[0]).await).await;
    users[0].join(&rooms[1]).await.ok();
}

/// A room of one's own to invite to.
const ROOM: &str = "private_chat";

#[tokio::test]
async fn invites_per_room_count_by_room() {
    let server = limited("invites_per_room").await;
    let alice = server.user("alice").await;
    let room = alice.create_room(json!({ "preset": ROOM })).await;
    check(async |number| {
        let target = server.user(&format!("t{number}")).await;
        alice.act_on("invite", &room, &target.id).await
    })
    .await;
}

#[tokio::test]
async fn invites_per_user_count_by_who_is_invited() {
    let server = limited("invites_per_user").await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let carol = server.user("carol").await;
    check(async |_| {
        let room = alice.create_room(json!({ "preset": ROOM })).await;
        alice.act_on("invite", &room, &bob.id).await
    })
    .await;
    let room = alice.create_room(json!({ "preset": ROOM })).await;
    alice.act_on("invite", &room, &carol.id).await.ok();
}

#[tokio::test]
async fn invites_per_issuer_count_by_who_invites_also_as_state() {
    let server = limited("invites_per_issuer").await;
    let alice = server.user("alice").await;
    let room = alice.create_room(json!({ "preset": ROOM })).await;
    check(async |number| {
        let target = server.user(&format!("t{number}")).await.id;
        if number % 2 == 0 {
            return alice.act_on("invite", &room, &target).await;
        }
        alice
            .set_state(&room, "m.room.member", &target, json!({ "membership": "invite" }))
            .await
    })
    .await;
}

#[tokio::test]
async fn a_new_room_with_too_many_invites_is_refused_as_a_whole() {
    let server = limited("invites_per_issuer").await;
    let alice = server.user("alice").await;
    let mut targets = Vec::new();
    for number in 0..4 {
        targets.push(server.user(&format!("t{number}")).await);
    }
    let ids: Vec<&str> = targets.iter().map(|target| target.id.as_str()).collect();
    let answer = alice.post("/createRoom", json!({ "invite": ids })).await;
    answer.refused(429, "M_LIMIT_EXCEEDED");
    let joined = alice.get("/joined_rooms").await.ok();
    assert_eq!(joined["joined_rooms"], json!([]), "no room was made");
    let sync = targets[0].sync("", 0).await;
    assert_eq!(sync["rooms"].get("invite").unwrap_or(&Value::Null).get("x"), None);
    assert!(
        sync["rooms"]["invite"]
            .as_object()
            .is_none_or(serde_json::Map::is_empty),
        "{sync}"
    );
    // The refusal cost nothing: as many as are allowed still are.
    alice
        .post("/createRoom", json!({ "invite": ids[..3] }))
        .await
        .ok();
}

#[tokio::test]
async fn profiles_of_other_servers_are_looked_up_so_often_only_for_an_address() {
    let server = configured(|config| config.rate_limits.enabled = true).await;
    let alice = server.user("alice").await;
    let remote = "/_matrix/client/v3/profile/%40bob%3A127.0.0.1%3A1";
    let mut asked = 0;
    let refused = loop {
        let answer = server.request("GET", remote, None).await;
        if answer.status == 429 {
            break answer;
        }
        asked += 1;
        assert!(asked < 2_000, "nobody is refused");
    };
    assert!(asked >= 100, "{asked}");
    refused.refused(429, "M_LIMIT_EXCEEDED");
    // Those of this server cost others nothing.
    let own = format!("/_matrix/client/v3/profile/{}", escaped(&alice.id));
    server.request("GET", &own, None).await.ok();
}
