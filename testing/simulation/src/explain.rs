//! Where two servers part: the first event before which they see another state.

use std::collections::BTreeSet;

use anyhow::Result;
use gatehouse_store::{Direction, Position};
use ruma::{EventId, OwnedEventId};

use crate::world::World;

impl World {
    /// In words, for whoever looks for the reason.
    pub async fn where_they_part(&self, one: usize, other: usize) -> Result<String> {
        let rooms = self.running(one)?.rooms;
        let all = (Position::ZERO, Position::MAX);
        let rows = rooms
            .timeline(&self.room, all, Direction::Forward, 10_000)
            .await?;
        for event in rows.events {
            let id = event.event_id();
            let (here, there) = (
                self.state_before(one, id).await?,
                self.state_before(other, id).await?,
            );
            if let (Some(here), Some(there)) = (here, there)
                && here != there
            {
                let only = |one: &BTreeSet<OwnedEventId>, other: &BTreeSet<OwnedEventId>| {
                    one.difference(other).cloned().collect::<Vec<_>>()
                };
                return Ok(format!(
                    "before {id} ({} of {}, after {:?}) server {one} has {:?}, server {other} has {:?}",
                    event.kind(),
                    event.sender(),
                    event.event.prev_events,
                    only(&here, &there),
                    only(&there, &here)
                ));
            }
        }
        Ok("before every event they have the same".to_owned())
    }

    async fn state_before(&self, server: usize, event: &EventId) -> Result<Option<BTreeSet<OwnedEventId>>> {
        let running = self.running(server)?;
        let name = &self.house(server)?.name;
        let ids = running.rooms.state_ids_for_server(name, &self.room, event).await;
        Ok(ids.ok().map(|ids| ids.state.into_iter().collect()))
    }
}
