//! Two servers with a user each, and how to compare what they believe.

use std::collections::BTreeMap;

use gatehouse_testkit::{Neighbours, TestServer, User, user::escaped};
use serde_json::{Value, json};

/// Two servers of one neighbourhood.
pub(crate) struct Town {
    pub(crate) neighbours: Neighbours,
    pub(crate) here: TestServer,
    pub(crate) there: TestServer,
}

impl Town {
    pub(crate) async fn new() -> Self {
        let neighbours = Neighbours::new();
        let here = neighbours.server().await;
        let there = neighbours.server().await;
        Self {
            neighbours,
            here,
            there,
        }
    }

    /// Alice here and Bob there.
    pub(crate) async fn people(&self) -> (User<'_>, User<'_>) {
        (self.here.user("alice").await, self.there.user("bob").await)
    }
}

/// All room versions.
pub(crate) const VERSIONS: [&str; 12] = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12"];

/// The name of a user's server.
pub(crate) fn server_of(user: &User<'_>) -> String {
    let (_, server) = user.id.split_once(':').unwrap();
    server.to_owned()
}

/// Joins by id, by way of another user's server.
pub(crate) async fn join_via(user: &User<'_>, room: &str, via: &User<'_>) -> gatehouse_testkit::Answer {
    let path = format!("/join/{}?server_name={}", escaped(room), escaped(&server_of(via)));
    user.post(&path, json!({})).await
}

/// Which event sets which state, as somebody in the room sees it.
pub(crate) async fn state_ids(user: &User<'_>, room: &str) -> BTreeMap<(String, String), String> {
    let state = user.whole_state(room).await;
    let text = |event: &Value, field: &str| event[field].as_str().unwrap().to_owned();
    state
        .as_array()
        .unwrap()
        .iter()
        .map(|event| {
            (
                (text(event, "type"), text(event, "state_key")),
                text(event, "event_id"),
            )
        })
        .collect()
}

/// Waits until two users on different servers see one and the same state.
pub(crate) async fn agree(one: &User<'_>, other: &User<'_>, room: &str) {
    let mut seen = Default::default();
    for _ in 0..60 {
        seen = (state_ids(one, room).await, state_ids(other, room).await);
        if seen.0 == seen.1 {
            return;
        }
        // Whatever comes next changes something.
        other.sync(&current(other).await, 500).await;
    }
    panic!("no agreement about {room}: {seen:#?}");
}

/// A token for what comes from now on.
pub(crate) async fn current(user: &User<'_>) -> String {
    user.sync("", 0).await["next_batch"].as_str().unwrap().to_owned()
}

/// A page of history, newest first.
pub(crate) async fn history(user: &User<'_>, room: &str, limit: usize) -> Vec<Value> {
    let path = format!("/rooms/{}/messages?dir=b&limit={limit}", escaped(room));
    let page = user.get(&path).await.ok();
    page["chunk"].as_array().unwrap().clone()
}

/// The texts in a page of history, oldest first.
pub(crate) async fn texts(user: &User<'_>, room: &str) -> Vec<String> {
    let mut texts: Vec<_> = history(user, room, 100)
        .await
        .iter()
        .filter(|event| event["type"] == "m.room.message")
        .filter_map(|event| Some(event["content"]["body"].as_str()?.to_owned()))
        .collect();
    texts.reverse();
    texts
}
