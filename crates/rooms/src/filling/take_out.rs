//! Taking an event out of a room that has turned out not to be allowed, as though it had never done anything.

use std::collections::HashSet;

use gatehouse_events::Event;
use gatehouse_store::{Direction, Position, Range, StoreError};
use ruma::OwnedEventId;

use crate::{
    Rooms,
    graph::loaded::{LoadedEvents, Placed},
    relations::index::unindex_relation,
    room_transaction::{RoomTransaction, ground::MEMBER},
    tables::{
        CURRENT_STATE, Doubt, STATE_BEFORE, STATE_CHANGES, STATE_COPIES, STATE_HISTORY, Standing,
        StateBeforeRow, StateVersionRow, TIMELINE, TIMESTAMPS,
    },
    write_error::Attempt,
};

/// Stands for all users: what all events are judged by was another.
pub(super) const ALL: &str = "";
/// Versions of one state key since a join that are looked at.
const MAX_VERSIONS: usize = 10_000;
/// Events after a parent that are looked through for another one that follows it.
const MAX_LOOKED_THROUGH: usize = 1_000;

/// Since when a version of a state key holds, and the version.
type Version = (Position, StateVersionRow);

impl Rooms {
    /// Makes an event a rejected one, and its state what it was without it.
    pub(super) async fn reject_after_all(
        &self,
        mut transaction: RoomTransaction,
        mut placed: Placed,
        event: Event,
    ) -> Result<(), Attempt> {
        let room = transaction.head().room_id.clone();
        let key = (room.clone(), placed.position);
        if placed.row.is_on_line() {
            placed.row.off_line = true;
            let before = StateBeforeRow::own(Vec::new());
            transaction.batch.put(&STATE_BEFORE, &key, &before);
        }
        placed.row.standing = Standing::Rejected;
        transaction.batch.put(&TIMELINE, &key, &placed.row);
        let time = (room.clone(), event.origin_server_ts, placed.position);
        transaction.batch.delete(&TIMESTAMPS, &time);
        unindex_relation(&mut transaction.batch, placed.position, &event);
        let id = (event.event_id.clone(),);
        if let Some(copy) = self.store.get(&STATE_COPIES, &id).await?
            && let Some(mut row) = self.store.get(&TIMELINE, &copy).await?
        {
            row.standing = Standing::Rejected;
            transaction.batch.put(&TIMELINE, &copy, &row);
        }
        self.take_out_state(&mut transaction, &event).await?;
        let ends = self.ends_without(&transaction, &placed, &event).await?;
        transaction.set_ends(ends, 0);
        match event.state_key.as_deref() {
            Some(user) if event.kind.to_string() == MEMBER => transaction.doubt(user, Doubt::Mistaken),
            Some(_) => transaction.doubt(ALL, Doubt::Mistaken),
            None => {}
        }
        transaction.fill();
        transaction.commit().await?;
        self.shared.events.remove(&event.event_id);
        Ok(())
    }

    /// Takes the event out of the versions of its state key.
    async fn take_out_state(
        &self,
        transaction: &mut RoomTransaction,
        event: &Event,
    ) -> Result<(), StoreError> {
        let Some(state_key) = event.state_key.clone() else {
            return Ok(());
        };
        let room = transaction.head().room_id.clone();
        let key = (event.kind.to_string(), state_key);
        let range = Range::prefix(&(room.clone(), key.0.clone(), key.1.clone()));
        let mut versions = self
            .store
            .scan(&STATE_HISTORY, &range, Direction::Backward, MAX_VERSIONS)
            .await?;
        versions.reverse();
        let is_it = |version: &StateVersionRow| {
            let id = version.event.as_ref().map(|(id, _)| id);
            id == Some(&event.event_id)
        };
        let mut left: Option<Version> = None;
        let mut was_last = false;
        for ((_, _, _, since), version) in versions {
            was_last = is_it(&version);
            if was_last {
                let history = (room.clone(), key.0.clone(), key.1.clone(), since);
                transaction.batch.delete(&STATE_HISTORY, &history);
                transaction.batch.delete(&STATE_CHANGES, &(room.clone(), since));
                continue;
            }
            if let Some(mut change) = self.store.get(&STATE_CHANGES, &(room.clone(), since)).await? {
                let before = left.as_ref().and_then(|(_, version)| version.event.as_ref());
                let before = before.map(|(id, _)| id.clone());
                let was_it = change.replaced.as_ref() == Some(&event.event_id);
                if was_it && change.replaced != before {
                    change.replaced = before;
                    transaction
                        .batch
                        .put(&STATE_CHANGES, &(room.clone(), since), &change);
                }
            }
            left = Some((since, version));
        }
        if was_last {
            self.restore(transaction, key, left).await?;
        }
        Ok(())
    }

    /// Makes a state key what it was, and tells those who were told of what it was meanwhile.
    async fn restore(
        &self,
        transaction: &mut RoomTransaction,
        key: (String, String),
        version: Option<Version>,
    ) -> Result<(), StoreError> {
        let room = transaction.head().room_id.clone();
        let before = version.and_then(|(_, version)| version.event);
        let mut loaded = LoadedEvents::default();
        loaded.load(self, before.as_ref().map(|(id, _)| id)).await?;
        let event = before.as_ref().and_then(|(id, _)| loaded.get(id));
        // So that the change says that nothing was replaced but itself.
        transaction.restore_state(&key, event.as_ref());
        if event.is_none() {
            let current = (room, key.0.clone(), key.1.clone());
            transaction.batch.delete(&CURRENT_STATE, &current);
        }
        let since = transaction.batch.next_position();
        let placed = event.as_ref().zip(before.map(|(_, place)| place));
        transaction.put_change(since, key, placed, None);
        Ok(())
    }

    /// The ends of the graph without an event, whose parents may be ends again.
    async fn ends_without(
        &self,
        transaction: &RoomTransaction,
        placed: &Placed,
        event: &Event,
    ) -> Result<Vec<OwnedEventId>, StoreError> {
        let head = transaction.head();
        let mut ends = head.extremities.clone();
        ends.retain(|end| *end != event.event_id);
        if ends.len() == head.extremities.len() {
            return Ok(ends);
        }
        let parents = self.placed(&head.room_id, &event.prev_events).await?;
        let counts =
            |row: &crate::tables::EventRow| matches!(row.standing, Standing::Accepted | Standing::Withheld);
        for (id, parent) in parents {
            if counts(&parent.row)
                && !ends.contains(&id)
                && !self.is_followed(head, &parent, placed.position).await?
            {
                ends.push(id);
            }
        }
        if ends.is_empty() {
            ends.clone_from(&event.prev_events);
        }
        Ok(ends)
    }

    /// Whether an event that counts follows this one, other than the one at a position.
    async fn is_followed(
        &self,
        head: &crate::RoomHead,
        parent: &Placed,
        other_than: Position,
    ) -> Result<bool, StoreError> {
        let room = head.room_id.clone();
        let range = Range::prefix(&(room.clone(),)).after(&(room, parent.position));
        let rows = self
            .store
            .scan(&TIMELINE, &range, Direction::Forward, MAX_LOOKED_THROUGH)
            .await?;
        let cited: HashSet<OwnedEventId> = rows
            .into_iter()
            .filter(|((_, position), row)| {
                *position != other_than && matches!(row.standing, Standing::Accepted | Standing::Withheld)
            })
            .filter_map(|(_, row)| {
                Event::parse(&row.pdu, &head.room_id, head.version, Some(&row.event_id)).ok()
            })
            .flat_map(|event| event.prev_events)
            .collect();
        Ok(cited.contains(&parent.row.event_id))
    }
}
