//! Asking others for the history before what is here.

use std::time::Duration;

use gatehouse_store::{Direction, Position, Range, StoreError};
use ruma::{OwnedServerName, RoomId, ServerName};
use serde_json::value::RawValue;
use tokio::time::Instant;

use crate::{
    RoomHead, Rooms,
    remote_servers::Fetch,
    tables::{BACKWARD, TIMELINE},
    write_error::WriteError,
};

/// Servers asked before one gives up.
const MAX_ASKED: usize = 3;
/// How long all of them have to answer: somebody waits for the page.
const PATIENCE: Duration = Duration::from_secs(10);
/// Events asked for at once (limits.md, `/backfill`).
const AT_ONCE: usize = 100;
/// Missing events that are named in one request.
const MAX_NAMED: usize = 20;

impl Rooms {
    /// Gets history from before the event at this position, if that follows events that are not here; `None`: it does
    /// not. Says how many events came; none when nobody gives any.
    pub(crate) async fn fetch_history(
        &self,
        room_id: &RoomId,
        before: Position,
    ) -> Result<Option<usize>, WriteError> {
        let key = (room_id.to_owned(), before);
        let Some(gap) = self.store.get(&BACKWARD, &key).await? else {
            return Ok(None);
        };
        let Some(head) = self.head(room_id).await? else {
            return Ok(None);
        };
        let deadline = Instant::now() + PATIENCE;
        let from: Vec<_> = gap.missing.into_iter().take(MAX_NAMED).collect();
        for server in self.servers_with_history(&head, before).await? {
            let fetch = Fetch::Backfill {
                room_id,
                from: &from,
                limit: AT_ONCE,
            };
            let asked = self.shared.remote.fetch(&server, fetch);
            let raws = match tokio::time::timeout_at(deadline, asked).await {
                Ok(Ok(raws)) => raws,
                Ok(Err(error)) => {
                    tracing::info!(%server, room = %room_id, %error, "history cannot be had");
                    continue;
                }
                Err(_) => continue,
            };
            let put = self.take_in_history(&server, &head, before, raws).await?;
            if put > 0 {
                return Ok(Some(put));
            }
        }
        Ok(Some(0))
    }

    /// The event after the gap in which this position lies.
    pub(crate) async fn gap_at(
        &self,
        room_id: &RoomId,
        position: Position,
    ) -> Result<Option<Position>, StoreError> {
        let after = Range::prefix(&(room_id.to_owned(),)).after(&(room_id.to_owned(), position));
        let rows = self.store.scan(&BACKWARD, &after, Direction::Forward, 1).await?;
        let Some(((_, follower), gap)) = rows.into_iter().next() else {
            return Ok(None);
        };
        Ok((gap.first <= position).then_some(follower))
    }

    /// The server of who sent the event, and those with the most users in the room.
    async fn servers_with_history(
        &self,
        head: &RoomHead,
        before: Position,
    ) -> Result<Vec<OwnedServerName>, WriteError> {
        let row = self.store.get(&TIMELINE, &(head.room_id.clone(), before)).await?;
        let event = row.and_then(|row| {
            gatehouse_events::Event::parse(&row.pdu, &head.room_id, head.version, Some(&row.event_id)).ok()
        });
        let first = event.map(|event| event.sender.server_name().to_owned());
        let others = head.servers_by_members();
        let mut servers: Vec<OwnedServerName> = Vec::with_capacity(MAX_ASKED);
        for server in first.iter().chain(&others) {
            let asked = servers.len() == MAX_ASKED || servers.contains(server);
            if !asked && server != self.server_name() && self.server_is_allowed(head, server).await? {
                servers.push(server.clone());
            }
        }
        Ok(servers)
    }

    /// Checks history that a server gave, and puts it before the event at this position.
    async fn take_in_history(
        &self,
        server: &ServerName,
        head: &RoomHead,
        before: Position,
        mut raws: Vec<Box<RawValue>>,
    ) -> Result<usize, WriteError> {
        raws.truncate(AT_ONCE + MAX_NAMED);
        let checked = self.check_pdus(head.version, &head.room_id, &raws).await;
        let pdus: Vec<_> = checked.into_iter().flatten().collect();
        self.get_auth_of_history(server, &head.room_id, head.version, &pdus)
            .await?;
        self.add_history(&head.room_id, before, pdus).await
    }
}
