//! What the user of the server under measurement does.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use ruma::{RoomId, ServerName};
use serde_json::Value;

use crate::{
    connection::{Connection, string_field},
    world::{self, User},
};

/// Between two looks at something that has to come.
const PAUSE: Duration = Duration::from_millis(20);

/// A user with a connection.
pub(super) struct Client {
    connection: Connection,
    pub(super) user: User,
    /// The room's id in a path.
    pub(super) room: String,
}

impl Client {
    /// A new user, who waits as long for each answer.
    pub(super) async fn register(address: SocketAddr, patience: Duration) -> Result<Self> {
        let mut connection = Connection::open(address).await?.patient(patience);
        let user = world::register(&mut connection, 0).await?;
        Ok(Self {
            connection,
            user,
            room: String::new(),
        })
    }

    /// Joins a room over a server. Clients try again when a request took too long.
    pub(super) async fn join(&mut self, room: &RoomId, over: &ServerName) -> Result<()> {
        self.room = escaped(room.as_str());
        let over = escaped(over.as_str());
        let path = format!(
            "/_matrix/client/v3/join/{}?server_name={over}&via={over}",
            self.room
        );
        self.connection.post(&path, &self.user.token, "{}").await?;
        Ok(())
    }

    pub(super) async fn say(&mut self, text: &str) -> Result<()> {
        let path = format!(
            "/_matrix/client/v3/rooms/{}/send/m.room.message/{text}",
            self.room
        );
        let body = format!("{{\"msgtype\":\"m.text\",\"body\":\"{text}\"}}");
        self.connection.put(&path, &self.user.token, body).await?;
        Ok(())
    }

    /// Waits until all members are shown.
    pub(super) async fn until_members(&mut self, count: usize, limit: Duration) -> Result<()> {
        let path = format!("/_matrix/client/v3/rooms/{}/members", self.room);
        let begin = Instant::now();
        loop {
            // Servers may say that they do not know yet.
            if let Ok(answer) = self.connection.get(&path, &self.user.token).await {
                let members: Value = serde_json::from_slice(&answer)?;
                let members = members.get("chunk").and_then(Value::as_array);
                if members.is_some_and(|members| members.len() >= count) {
                    return Ok(());
                }
            }
            anyhow::ensure!(begin.elapsed() < limit, "not all members within {limit:?}");
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Waits until an event is shown.
    pub(super) async fn until_event(&mut self, room: &RoomId, id: &str, limit: Duration) -> Result<()> {
        let room = escaped(room.as_str());
        let path = format!("/_matrix/client/v3/rooms/{room}/event/{}", escaped(id));
        let begin = Instant::now();
        while self.connection.get(&path, &self.user.token).await.is_err() {
            anyhow::ensure!(begin.elapsed() < limit, "{id} is not shown within {limit:?}");
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    }

    /// The server's first words of itself: so that what it does once is not measured.
    pub(super) async fn warm_up(&mut self) -> Result<()> {
        let answer = self
            .connection
            .get("/_matrix/client/v3/account/whoami", &self.user.token)
            .await?;
        string_field(&answer, "user_id").context("no user_id")?;
        Ok(())
    }
}

/// An id in a path or a query.
pub(super) fn escaped(id: &str) -> String {
    form_urlencoded::byte_serialize(id.as_bytes()).collect()
}
