//! Servers that send more than is good, and those beside them.

use std::time::Instant;

use gatehouse_test_peers::Authority;
use gatehouse_testkit::{TestServer, configured};
use serde_json::json;

use crate::{
    invites::foreign_room,
    transactions::{public_room, texts},
    visitor::{Visitor, message},
};

/// As the visitors' usual host, with the limits that servers have by default.
async fn limited(authority: &Authority) -> TestServer {
    configured(|config| {
        config.federation.extra_ca_files = vec![authority.file()];
        config.federation.deny_ip_ranges = Some(Vec::new());
        config.rate_limits.enabled = true;
    })
    .await
}

/// Invites this user into a room of a stranger's own; the status.
async fn invite(visitor: &Visitor<'_>, user: &str) -> u16 {
    let room = foreign_room(visitor, "11", user);
    let invite = room.signed(visitor);
    let answer = visitor.put(&room.path(&invite.id), &room.body(&invite.pdu)).await;
    if answer.status == 429 {
        assert!(answer.headers.contains_key("retry-after"), "{:?}", answer.body);
        assert_eq!(answer.body["errcode"], json!("M_LIMIT_EXCEEDED"));
    }
    answer.status
}

#[tokio::test]
async fn t02_a_flood_of_invites_is_bounded_by_server_and_by_user_and_others_are_heard() {
    let authority = Authority::new().unwrap();
    let server = limited(&authority).await;
    let flood = Visitor::new(&authority, &server).await;
    let other = Visitor::new(&authority, &server).await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    // To one user: ten, and then hardly any more.
    let began = Instant::now();
    let mut statuses = Vec::new();
    for _ in 0..20 {
        statuses.push(invite(&flood, &alice.id).await);
    }
    let taken = statuses.iter().filter(|status| **status == 200).count();
    assert!((10..=12).contains(&taken), "{statuses:?}");
    assert_eq!(statuses.last(), Some(&429));
    // To everybody: a hundred from one server, and then one a second.
    let mut taken = 0;
    for number in 0..150 {
        let status = invite(&flood, &format!("@user{number}:test.example")).await;
        assert!(matches!(status, 200 | 429), "{status}");
        taken += u64::from(status == 200);
    }
    let most = 100 + began.elapsed().as_secs() + 1;
    assert!((50..=most).contains(&taken), "{taken} of {most}");
    // Another server's are heard all the same, and so is whoever is here.
    assert_eq!(invite(&other, &bob.id).await, 200);
    let sync = bob.sync("", 0).await;
    assert_eq!(
        sync["rooms"]["invite"].as_object().map(serde_json::Map::len),
        Some(1)
    );
    let room = public_room(&alice, "11").await;
    bob.join(&room).await.ok();
}

#[tokio::test]
async fn b02_a_server_that_sends_too_many_requests_is_told_to_wait_and_others_are_not() {
    let authority = Authority::new().unwrap();
    let server = limited(&authority).await;
    let flood = Visitor::new(&authority, &server).await;
    let other = Visitor::new(&authority, &server).await;
    let alice = server.user("alice").await;
    let room = public_room(&alice, "11").await;
    let mut visited = other.join(&room, &other.home.user("bob")).await;
    let profile = format!("/_matrix/federation/v1/query/profile?user_id={}", alice.id);
    let mut refused = 0;
    for _ in 0..30 {
        let asking = (0..40).map(|_| flood.get(&profile));
        for answer in futures_util::future::join_all(asking).await {
            assert!(matches!(answer.status, 200 | 429), "{}", answer.status);
            refused += u32::from(answer.status == 429);
        }
        if refused > 0 {
            break;
        }
    }
    assert!(refused > 0, "1,200 requests came through");
    let hello = other.next(
        &mut visited,
        &other.home.user("bob"),
        "m.room.message",
        &message("hello"),
    );
    assert_eq!(other.send(&[hello.pdu]).await, json!({ hello.id: {} }));
    assert_eq!(texts(&alice, &room).await, ["hello"]);
}
