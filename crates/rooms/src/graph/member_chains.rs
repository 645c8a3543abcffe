//! Which events are in the auth chains of a room's members. State resolution asks that of single events, and in a large
//! room a walk from every member would take seconds: so it is counted once, and then kept as members change.

use gatehouse_store::{Direction, Position, Range, StoreError};
use ruma::OwnedEventId;

use super::{
    chain_counts::{MemberChains, Step},
    loaded::LoadedEvents,
};
use crate::{
    RoomHead, Rooms,
    tables::{HEADS, STATE_CHANGES},
};

/// Events read at once.
const BATCH: usize = 1_000;

impl MemberChains {
    /// These are members' events now.
    pub(crate) async fn add(&mut self, rooms: &Rooms, ids: &[OwnedEventId]) -> Result<(), StoreError> {
        self.change(rooms, ids, Step::Add).await
    }

    /// These are so no more.
    pub(crate) async fn remove(&mut self, rooms: &Rooms, ids: &[OwnedEventId]) -> Result<(), StoreError> {
        self.change(rooms, ids, Step::Remove).await
    }

    async fn change(&mut self, rooms: &Rooms, ids: &[OwnedEventId], step: Step) -> Result<(), StoreError> {
        for ids in ids.chunks(BATCH) {
            let mut citing = ids.to_vec();
            while !citing.is_empty() {
                let mut turned = Vec::new();
                for ids in citing.chunks(BATCH) {
                    // Not kept: there may be many.
                    let events = LoadedEvents::default().load(rooms, ids).await?;
                    for cited in events.iter().flat_map(|event| &event.auth_events) {
                        if self.count(cited, step) {
                            turned.push(cited.clone());
                        }
                    }
                }
                citing = turned;
            }
        }
        Ok(())
    }
}

impl Rooms {
    /// The chains of the members that the store shows. To be given back to the room's slot by whoever takes them; the room's
    /// turn keeps others from needing them meanwhile.
    pub(crate) async fn member_chains(&self, head: &RoomHead) -> Result<MemberChains, StoreError> {
        let slot = self.shared.turns.slot(&head.room_id);
        let known = slot.member_chains.lock().take();
        let mut chains = known.unwrap_or_default();
        if chains.through == Position::ZERO {
            let through = self.store.position();
            let row = self.store.get(&HEADS, &(head.room_id.clone(),)).await?;
            let members: Vec<_> = head
                .members
                .values()
                .map(|member| member.event_id.clone())
                .collect();
            chains.add(self, &members).await?;
            // Another node may have written since the head was read: then this is for once only.
            if row == Some(head.row()) {
                chains.through = through;
            }
            return Ok(chains);
        }
        let room = head.room_id.clone();
        let mut range = Range::prefix(&(room.clone(),)).after(&(room, chains.through));
        loop {
            let rows = self
                .store
                .scan(&STATE_CHANGES, &range, Direction::Forward, BATCH)
                .await?;
            let full = rows.len() == BATCH;
            if let Some((last, _)) = rows.last() {
                range = range.after(last);
                chains.through = last.1;
            }
            for (_, change) in rows {
                if change.kind == "m.room.member" {
                    let before: Vec<_> = change.replaced.into_iter().collect();
                    let after: Vec<_> = change.event.into_iter().map(|(id, _)| id).collect();
                    chains.add(self, &after).await?;
                    chains.remove(self, &before).await?;
                }
            }
            if !full {
                return Ok(chains);
            }
        }
    }

    /// Keeps the chains for the next time.
    pub(super) fn keep_member_chains(&self, head: &RoomHead, chains: MemberChains) {
        if chains.through > Position::ZERO {
            let slot = self.shared.turns.slot(&head.room_id);
            *slot.member_chains.lock() = Some(chains);
        }
    }
}
