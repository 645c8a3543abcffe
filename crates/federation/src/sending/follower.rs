//! From events that go out to rows for each server that gets them.

use std::collections::{BTreeSet, HashMap};

use gatehouse_rooms::{EventToSend, Rooms};
use gatehouse_store::{Batch, Position, StoreError};
use ruma::{OwnedRoomId, OwnedServerName};

use super::destination::Queue;
use crate::{
    Federation,
    tables::{DESTINATIONS, PENDING},
};

/// Events that are read at once.
const EVENTS: usize = 256;

/// Rows of one commit: an event of a room of a thousand servers makes a thousand.
const MAX_ROWS: usize = 10_000;

/// How far the events that go out have been looked at. Where nothing is left of them it begins anew at each start.
#[derive(Debug, Default)]
pub(super) struct Follower {
    after: Position,
}

impl Follower {
    /// Takes in all that there is now. The rows for the servers are written, and the event's own taken away, in one
    /// commit: whatever happens, each event is either still to be looked at or waits for all its servers.
    pub(super) async fn follow(&mut self, federation: &Federation, rooms: &Rooms) -> Result<(), StoreError> {
        loop {
            let events = rooms.to_send(self.after, EVENTS).await?;
            let Some(last) = events.last().map(|event| event.position) else {
                return Ok(());
            };
            let mut servers_of: HashMap<OwnedRoomId, Vec<OwnedServerName>> = HashMap::new();
            let mut batch = Batch::new();
            let mut woken = BTreeSet::new();
            let mut count = 0;
            for event in &events {
                if !servers_of.contains_key(&event.room_id) {
                    let servers = rooms.receiving_servers(&event.room_id).await?;
                    servers_of.insert(event.room_id.clone(), servers);
                }
                let in_room = servers_of
                    .get(&event.room_id)
                    .map(Vec::as_slice)
                    .unwrap_or_default();
                for server in receivers(federation, event, in_room) {
                    let key = (server, event.position);
                    batch.put(&PENDING, &key, &(event.room_id.clone(),));
                    woken.insert(key.0);
                    count += 1;
                }
                rooms.forget_to_send(&mut batch, event.position);
                if count >= MAX_ROWS {
                    self.write(federation, std::mem::take(&mut batch), &mut woken, event.position)
                        .await?;
                    count = 0;
                }
            }
            self.write(federation, batch, &mut woken, last).await?;
        }
    }

    async fn write(
        &mut self,
        federation: &Federation,
        batch: Batch,
        woken: &mut BTreeSet<OwnedServerName>,
        through: Position,
    ) -> Result<(), StoreError> {
        federation.committed(batch).await?;
        self.after = through;
        for server in std::mem::take(woken) {
            federation.add_work(server).await?;
        }
        Ok(())
    }
}

/// Whom an event goes to.
fn receivers(
    federation: &Federation,
    event: &EventToSend,
    in_room: &[OwnedServerName],
) -> BTreeSet<OwnedServerName> {
    in_room
        .iter()
        .chain(&event.also_to)
        .filter(|server| **server != event.not_to && **server != *federation.server_name())
        .filter(|server| federation.allows(server))
        .cloned()
        .collect()
}

impl Federation {
    /// Something waits for the server.
    pub(super) async fn add_work(&self, server: OwnedServerName) -> Result<(), StoreError> {
        if let Some(queue) = self.sending().queues.lock().get_mut(&server) {
            queue.add_work();
            return Ok(());
        }
        let row = self.store().get(&DESTINATIONS, &(server.clone(),)).await?;
        let mut queues = self.sending().queues.lock();
        let queue = queues
            .entry(server)
            .or_insert_with(|| Queue::new(row.unwrap_or_default()));
        queue.add_work();
        Ok(())
    }
}
