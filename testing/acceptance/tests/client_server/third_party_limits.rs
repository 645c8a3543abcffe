//! How often addresses are invited: by whom, whom, and into what. Counted before any identity server is asked (T04).

use futures_util::{StreamExt as _, stream};
use gatehouse_testkit::{RateLimits, TestServer, User, configured, rate, user::escaped};
use serde_json::{Value, json};

use crate::{
    hostile::Hostile,
    mail::{Mailed, mailed_with},
};

/// Limits of this many at once, and next to none after that; all else is free.
fn few(burst: u32) -> RateLimits {
    let free = Some(rate(1_000.0, 10_000));
    RateLimits {
        enabled: true,
        third_party_invites: Some(rate(0.001, burst)),
        registration: free,
        invites_per_issuer: free,
        ..RateLimits::default()
    }
}

async fn limited(hostile: &Hostile, burst: u32) -> TestServer {
    configured(|config| {
        config.identity_servers.trusted = vec![format!("http://{}", hostile.name)];
        config.rate_limits = few(burst);
    })
    .await
}

fn address(hostile: &Hostile, name: &str) -> Value {
    json!({ "id_server": hostile.name, "medium": "email", "address": format!("{name}@mail.example") })
}

async fn invite(user: &User<'_>, room: &str, address: Value) -> gatehouse_testkit::Answer {
    user.post(&format!("/rooms/{}/invite", escaped(room)), address)
        .await
}

#[tokio::test]
async fn t04_a_room_invites_so_many_addresses_by_whomsoever_before_anybody_is_asked() {
    let hostile = Hostile::start().await;
    let server = limited(&hostile, 2).await;
    let alice = server.user("alice").await;
    let room = alice.create_room(json!({})).await;
    let (carol, dave) = (server.user("carol").await, server.user("dave").await);
    for user in [&carol, &dave] {
        alice.act_on("invite", &room, &user.id).await.ok();
        user.join(&room).await.ok();
    }
    invite(&alice, &room, address(&hostile, "a")).await.ok();
    invite(&carol, &room, address(&hostile, "b")).await.ok();
    let (before, asked) = (alice.whole_state(&room).await, hostile.times_asked());
    let refused = invite(&dave, &room, address(&hostile, "c")).await;
    let waiting = refused.refused(429, "M_LIMIT_EXCEEDED")["retry_after_ms"].as_u64();
    assert!(waiting.is_some_and(|ms| ms > 0));
    assert_eq!(alice.whole_state(&room).await, before);
    assert_eq!(hostile.times_asked(), asked, "the identity server was asked");
    // It is the room that is counted, not Dave.
    let own = dave.create_room(json!({})).await;
    invite(&dave, &own, address(&hostile, "c")).await.ok();
}

#[tokio::test]
async fn t04_an_address_is_invited_so_often_by_whomsoever_before_anybody_is_asked() {
    let hostile = Hostile::start().await;
    let server = limited(&hostile, 2).await;
    for _ in 0..2 {
        let user = server.anybody().await;
        let room = user.create_room(json!({})).await;
        invite(&user, &room, address(&hostile, "a")).await.ok();
    }
    let user = server.anybody().await;
    let room = user.create_room(json!({})).await;
    let (before, asked) = (user.whole_state(&room).await, hostile.times_asked());
    for spelled in ["a", "A"] {
        let refused = invite(&user, &room, address(&hostile, spelled)).await;
        refused.refused(429, "M_LIMIT_EXCEEDED");
    }
    let new_room = json!({ "invite_3pid": [address(&hostile, "a")] });
    let refused = user.post("/createRoom", new_room).await;
    refused.refused(429, "M_LIMIT_EXCEEDED");
    assert_eq!(user.whole_state(&room).await, before);
    let joined = user.get("/joined_rooms").await.ok();
    assert_eq!(joined["joined_rooms"], json!([room]), "no half-made room");
    assert_eq!(hostile.times_asked(), asked, "the identity server was asked");
}

#[tokio::test]
async fn t03_t04_a_new_room_with_too_many_addresses_is_refused_as_a_whole() {
    let hostile = Hostile::start().await;
    let server = limited(&hostile, 2).await;
    let user = server.anybody().await;
    let addresses: Vec<_> = ["a", "b", "c"].map(|name| address(&hostile, name)).into();
    let refused = user
        .post("/createRoom", json!({ "invite_3pid": addresses }))
        .await;
    refused.refused(429, "M_LIMIT_EXCEEDED");
    assert_eq!(hostile.times_asked(), 0, "the identity server was asked");
    assert_eq!(user.get("/joined_rooms").await.ok()["joined_rooms"], json!([]));
}

/// Invitations of one user, of which so many are sent.
const ATTEMPTED: usize = 2_000;
const SENT: usize = 5;

async fn usual() -> Mailed {
    mailed_with(|config| {
        config.rate_limits = RateLimits::default();
    })
    .await
}

#[tokio::test]
async fn t04_of_thousands_of_invitations_by_one_user_five_are_sent() {
    let mailed = usual().await;
    let alice = mailed.server.user("alice").await;
    let room = alice.create_room(json!({})).await;
    let path = format!("/rooms/{}/invite", escaped(&room));
    let outcomes: Vec<_> = stream::iter(0..ATTEMPTED)
        .map(async |number| {
            let address = format!("victim{number}@mail.example");
            let body = json!({ "id_server": "matrix.test.example", "medium": "email", "address": address });
            let answer = alice.post(&path, body).await;
            (address, answer)
        })
        .buffer_unordered(32)
        .collect()
        .await;
    let mut sent = Vec::new();
    for (address, answer) in outcomes {
        if answer.status == 200 {
            sent.push(address);
        } else {
            answer.refused(429, "M_LIMIT_EXCEEDED");
        }
    }
    assert_eq!(sent.len(), SENT);
    let state = alice.whole_state(&room).await;
    let events = state.as_array().unwrap().iter();
    let invitations = events.filter(|event| event["type"] == "m.room.third_party_invite");
    assert_eq!(invitations.count(), SENT);
    // A mail that is asked for later comes later: there are no others.
    mailed
        .request("register", "marker@mail.example", "secret", 1)
        .await
        .ok();
    let mut mailed_to = Vec::new();
    for _ in 0..=SENT {
        mailed_to.extend(mailed.mailbox.next().await.unwrap().recipients);
    }
    sent.push("marker@mail.example".to_owned());
    sent.sort();
    mailed_to.sort();
    assert_eq!(mailed_to, sent);
}

/// As [`Mailed::request`], from somewhere else; the status and the errcode.
async fn requested_from(mailed: &Mailed, place: &str, email: &str, secret: &str) -> (u16, Value) {
    let url = format!(
        "{}/_matrix/client/v3/register/email/requestToken",
        mailed.server.base()
    );
    let body = json!({ "client_secret": secret, "email": email, "send_attempt": 1 });
    let request = mailed.server.http().post(url).header("x-forwarded-for", place);
    let answer = request.json(&body).send().await.unwrap();
    let status = answer.status().as_u16();
    let body: Value = answer.json().await.unwrap();
    (status, body["errcode"].clone())
}

#[tokio::test]
async fn t04_an_address_gets_so_many_validation_mails_wherever_they_are_asked_for() {
    let mailed = mailed_with(|config| {
        config.listener[0].trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
        config.rate_limits.enabled = true;
        config.rate_limits.threepid_validation = Some(rate(0.001, 2));
    })
    .await;
    let request =
        async |place: &str, email: &str, secret: &str| requested_from(&mailed, place, email, secret).await;
    for (place, secret) in [("192.0.2.1", "one"), ("192.0.2.2", "two")] {
        assert_eq!(request(place, "victim@mail.example", secret).await.0, 200);
    }
    let (limited, errcode) = (429, json!("M_LIMIT_EXCEEDED"));
    for email in ["victim@mail.example", "Victim@Mail.example"] {
        let refused = request("192.0.2.3", email, "three").await;
        assert_eq!(refused, (limited, errcode.clone()));
    }
    // From the same place to somebody else.
    assert_eq!(request("192.0.2.3", "other@mail.example", "four").await.0, 200);
    let mut mailed_to = Vec::new();
    for _ in 0..3 {
        mailed_to.extend(mailed.mailbox.next().await.unwrap().recipients);
    }
    mailed_to.sort();
    let victim = "victim@mail.example";
    assert_eq!(mailed_to, ["other@mail.example", victim, victim]);
}
