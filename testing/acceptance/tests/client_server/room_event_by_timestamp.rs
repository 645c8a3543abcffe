//! `room_event_by_timestamp.yaml`

use std::time::Duration;

use gatehouse_testkit::{User, started, user::escaped};

async fn nearest(user: &User<'_>, room: &str, ts: u64, dir: &str) -> gatehouse_testkit::Answer {
    let path = format!(
        "/_matrix/client/v1/rooms/{}/timestamp_to_event?ts={ts}&dir={dir}",
        escaped(room)
    );
    user.request("GET", &path, None).await
}

#[tokio::test]
async fn a_time_leads_to_the_nearest_event_that_one_may_see() {
    let server = started().await;
    let (alice, stranger) = (server.user("alice").await, server.user("stranger").await);
    let room = alice.public_room().await;
    server.clock().advance(Duration::from_mins(1));
    let first = alice.say(&room, "1", "1").await;
    let ts = server.clock().now_ms();
    server.clock().advance(Duration::from_mins(1));
    let second = alice.say(&room, "2", "2").await;
    assert_eq!(
        nearest(&alice, &room, ts - 30_000, "f").await.ok()["event_id"],
        first.as_str()
    );
    assert_eq!(
        nearest(&alice, &room, ts + 30_000, "b").await.ok()["event_id"],
        first.as_str()
    );
    let later = nearest(&alice, &room, ts + 1, "f").await.ok();
    assert_eq!(
        (later["event_id"].as_str(), later["origin_server_ts"].as_u64()),
        (Some(&*second), Some(ts + 60_000))
    );
    nearest(&alice, &room, ts + 60_001, "f")
        .await
        .refused(404, "M_NOT_FOUND");
    nearest(&alice, &room, 1, "b").await.refused(404, "M_NOT_FOUND");
    nearest(&alice, &room, ts, "x")
        .await
        .refused(400, "M_INVALID_PARAM");
    // D03
    nearest(&stranger, &room, ts, "f")
        .await
        .forbidden("not in this room");
}
