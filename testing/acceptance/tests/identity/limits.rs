//! How often the identity service does what: by address, by account, and by network (limits, section 6).

use gatehouse_testkit::{Answer, RateLimits, rate};
use serde_json::{Value, json};

use crate::identity_server::{IdentityServer, identity_server_with};

/// Registering is free, so that there are people; addresses are proven and invited so often at once.
async fn limited(burst: u32) -> IdentityServer {
    identity_server_with(|config| {
        config.rate_limits = RateLimits {
            enabled: true,
            registration: Some(rate(1_000.0, 1_000)),
            threepid_validation: Some(rate(0.001, burst)),
            third_party_invites: Some(rate(0.001, burst)),
            ..RateLimits::default()
        };
    })
    .await
}

async fn validate(here: &IdentityServer, token: &str, email: &str, secret: &str) -> Answer {
    let body = json!({ "email": email, "client_secret": secret, "send_attempt": 1 });
    here.post(token, "/validate/email/requestToken", body).await
}

async fn legacy(here: &IdentityServer, path: &str, body: &Value) -> Answer {
    let path = format!("/_matrix/identity/api/v1{path}");
    here.server.request("POST", &path, Some(body)).await
}

fn invitation(sender: &str, room: &str, email: &str) -> Value {
    json!({ "medium": "email", "address": email, "room_id": room, "sender": sender })
}

/// Who gets mail next, so many.
async fn next(here: &IdentityServer, count: usize) -> Vec<String> {
    let mut recipients = Vec::new();
    for _ in 0..count {
        recipients.extend(here.mailbox.next().await.unwrap().recipients);
    }
    recipients.sort();
    recipients
}

#[tokio::test]
async fn t04_validation_messages_are_counted_by_network_whoever_asks() {
    let here = limited(2).await;
    let (alice, bob) = (here.server.user("alice").await, here.server.user("bob").await);
    let (alices, bobs) = (here.token(&alice).await, here.token(&bob).await);
    validate(&here, &alices, "a@mail.example", "a").await.ok();
    validate(&here, &bobs, "b@mail.example", "b").await.ok();
    validate(&here, &bobs, "c@mail.example", "c")
        .await
        .refused(429, "M_LIMIT_EXCEEDED");
    let body = json!({ "email": "d@mail.example", "client_secret": "d", "send_attempt": 1 });
    legacy(&here, "/validate/email/requestToken", &body)
        .await
        .refused(429, "M_LIMIT_EXCEEDED");
    // Invitations are counted apart, and come after whatever was sent.
    let marker = invitation(&alice.id, "!r:test.example", "marker@mail.example");
    here.post(&alices, "/store-invite", marker).await.ok();
    assert_eq!(
        next(&here, 3).await,
        ["a@mail.example", "b@mail.example", "marker@mail.example"]
    );
}

#[tokio::test]
async fn t04_invitations_are_counted_by_sender_and_by_network() {
    let here = limited(2).await;
    let (alice, bob) = (here.server.user("alice").await, here.server.user("bob").await);
    let (alices, bobs) = (here.token(&alice).await, here.token(&bob).await);
    let store = async |token: &str, sender: &str, number: u32| {
        let room = format!("!room{number}:test.example");
        let body = invitation(sender, &room, &format!("{number}@mail.example"));
        here.post(token, "/store-invite", body).await
    };
    store(&alices, &alice.id, 1).await.ok();
    store(&alices, &alice.id, 2).await.ok();
    store(&alices, &alice.id, 3)
        .await
        .refused(429, "M_LIMIT_EXCEEDED");
    // From the same place by somebody else, and in the name of whomever.
    store(&bobs, &bob.id, 4).await.refused(429, "M_LIMIT_EXCEEDED");
    let body = invitation("@eve:evil.example", "!other:evil.example", "5@mail.example");
    legacy(&here, "/store-invite", &body)
        .await
        .refused(429, "M_LIMIT_EXCEEDED");
    validate(&here, &alices, "marker@mail.example", "marker")
        .await
        .ok();
    assert_eq!(
        next(&here, 3).await,
        ["1@mail.example", "2@mail.example", "marker@mail.example"]
    );
}

#[tokio::test]
async fn t23_lookups_are_counted_by_network_whoever_asks() {
    let here = identity_server_with(|config| {
        config.rate_limits = RateLimits {
            registration: Some(rate(1_000.0, 1_000)),
            ..RateLimits::default()
        };
    })
    .await;
    let (alice, bob) = (here.server.user("alice").await, here.server.user("bob").await);
    let (alices, bobs) = (here.token(&alice).await, here.token(&bob).await);
    let pepper = here.pepper(&alices).await;
    let lookup = async |token: &str| {
        let body = json!({ "algorithm": "sha256", "pepper": pepper, "addresses": [] });
        here.post(token, "/lookup", body).await
    };
    for number in 0..10 {
        lookup(if number % 2 == 0 { &alices } else { &bobs }).await.ok();
    }
    lookup(&bobs).await.refused(429, "M_LIMIT_EXCEEDED");
    here.server.clock().advance(std::time::Duration::from_secs(1));
    lookup(&bobs).await.ok();
}
