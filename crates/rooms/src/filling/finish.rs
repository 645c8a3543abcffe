//! The last steps: taking out members that there were not, and making the room whole.

use std::collections::HashSet;

use gatehouse_store::{Direction, Position, Range, StoreError};
use ruma::{OwnedEventId, OwnedUserId, RoomId};

use super::{judge_again::Judged, put::Given};
use crate::{
    Rooms,
    graph::{delta::Delta, loaded::LoadedEvents},
    room_transaction::{RoomTransaction, ground::MEMBER},
    tables::{DOUBTS, Doubt, FILLED, PARTIAL, PARTIAL_SERVERS, PartialRow, STATE_BEFORE, StateBeforeRow},
    write_error::{Attempt, WriteError, attempt},
};

/// Rows read at once.
const BATCH: usize = 1_000;

impl Rooms {
    /// Makes the room whole, whose members are in.
    pub(super) async fn finish_filling(
        &self,
        room_id: &RoomId,
        row: &PartialRow,
        given: &Given,
    ) -> Result<(), WriteError> {
        attempt(|| self.try_unlearn(room_id, row, given)).await?;
        attempt(|| self.try_complete_branches(room_id, row, given)).await?;
        let mut after = row.ground;
        loop {
            match attempt(|| self.try_judge_again(room_id, row, after)).await? {
                Judged::UpTo(position) => after = position,
                Judged::Done => return Ok(()),
            }
        }
    }

    /// Takes out members that were learned and that the state does not have.
    async fn try_unlearn(&self, room_id: &RoomId, row: &PartialRow, given: &Given) -> Result<(), Attempt> {
        let Some(mut transaction) = self.begin_filling(room_id, row).await? else {
            return Ok(());
        };
        let doubts = self.doubts(room_id).await?;
        let learned = doubts.into_iter().filter(|(_, doubt)| *doubt == Doubt::Learned);
        let mut is_new = false;
        for (user, _) in learned {
            let is_given = OwnedUserId::try_from(user.as_str()).is_ok_and(|user| given.contains_key(&user));
            if is_given {
                continue;
            }
            is_new = true;
            match self.first_change_since(room_id, row.ground, &user).await? {
                Some(first) => transaction.put_ground_before(row.ground, first, None),
                None => transaction.take_out_ground(row.ground, &user),
            }
            transaction.doubt(&user, Doubt::Mistaken);
        }
        if is_new {
            transaction.fill();
            transaction.commit().await?;
        }
        Ok(())
    }

    /// States of branches were written down without the members that nobody knew.
    async fn try_complete_branches(
        &self,
        room_id: &RoomId,
        row: &PartialRow,
        given: &Given,
    ) -> Result<(), Attempt> {
        let Some(mut transaction) = self.begin_filling(room_id, row).await? else {
            return Ok(());
        };
        let room = room_id.to_owned();
        let mut range = Range::prefix(&(room.clone(),)).after(&(room, row.ground));
        let mut is_new = false;
        loop {
            let rows = self
                .store
                .scan(&STATE_BEFORE, &range, Direction::Forward, BATCH)
                .await?;
            let full = rows.len() == BATCH;
            if let Some((last, _)) = rows.last() {
                range = range.after(last);
            }
            for (key, mut before) in rows {
                if complete(&mut before, given) {
                    is_new = true;
                    transaction.batch.put(&STATE_BEFORE, &key, &before);
                }
            }
            if !full {
                break;
            }
        }
        if is_new {
            transaction.fill();
            transaction.commit().await?;
        }
        Ok(())
    }

    /// Whose membership was doubted.
    pub(super) async fn doubts(&self, room_id: &RoomId) -> Result<Vec<(String, Doubt)>, StoreError> {
        let mut range = Range::prefix(&(room_id.to_owned(),));
        let mut doubts = Vec::new();
        loop {
            let rows = self
                .store
                .scan(&DOUBTS, &range, Direction::Forward, BATCH)
                .await?;
            let full = rows.len() == BATCH;
            if let Some((last, _)) = rows.last() {
                range = range.after(last);
            }
            doubts.extend(rows.into_iter().map(|((_, user), doubt)| (user, doubt)));
            if !full {
                return Ok(doubts);
            }
        }
    }

    /// Says that the room is whole.
    pub(super) async fn make_whole(&self, mut transaction: RoomTransaction) -> Result<(), Attempt> {
        let room_id = transaction.head().room_id.clone();
        self.settle_ends(&mut transaction).await?;
        for (user, _) in self.doubts(&room_id).await? {
            transaction.batch.delete(&DOUBTS, &(room_id.clone(), user));
        }
        let key = (room_id,);
        transaction.batch.delete(&PARTIAL, &key);
        transaction.batch.delete(&PARTIAL_SERVERS, &key);
        let filled: Position = transaction.batch.next_position();
        transaction.batch.put(&FILLED, &key, &(filled,));
        transaction.set_whole();
        transaction.commit().await?;
        Ok(())
    }

    /// The room's state is the one of the ends of its graph, with all members known.
    async fn settle_ends(&self, transaction: &mut RoomTransaction) -> Result<(), Attempt> {
        let head = transaction.head();
        let placed = self.placed(&head.room_id, &head.extremities).await?;
        let ends: Option<Vec<_>> = head.extremities.iter().map(|end| placed.get(end)).collect();
        let Some(ends) = ends else { return Ok(()) };
        let (states, _) = self.deltas_after(head, &ends).await?;
        let states: Option<Vec<Delta>> = states.into_iter().collect();
        let Some(states) = states else { return Ok(()) };
        let mut loaded = LoadedEvents::default();
        let changes = match states.split_first() {
            None => return Ok(()),
            Some((first, others)) if others.iter().all(|other| other == first) => first.clone(),
            _ => self
                .resolve(head, &states, &mut loaded)
                .await
                .map_err(WriteError::from)?,
        };
        let ids: Vec<OwnedEventId> = changes.values().flatten().cloned().collect();
        loaded.load(self, &ids).await?;
        let placed = self.placed(&head.room_id, &ids).await?;
        let mut changes: Vec<_> = changes.into_iter().collect();
        changes.sort();
        for (key, id) in changes {
            let chosen = id
                .as_ref()
                .and_then(|id| Some((loaded.get(id)?, placed.get(id)?.position)));
            if chosen.is_none() && id.is_some() {
                continue;
            }
            let since = transaction.batch.next_position();
            let chosen = chosen.as_ref().map(|(event, place)| (event, *place));
            transaction.put_change(since, key, chosen, None);
        }
        Ok(())
    }

    /// The users by whose membership events were judged that was another.
    pub(super) async fn mistaken(&self, room_id: &RoomId) -> Result<HashSet<String>, StoreError> {
        let doubts = self.doubts(room_id).await?;
        let mistaken = doubts.into_iter().filter(|(_, doubt)| *doubt == Doubt::Mistaken);
        Ok(mistaken.map(|(user, _)| user).collect())
    }
}

/// Puts in members that a state was written down without. Says whether there were any.
fn complete(before: &mut StateBeforeRow, given: &Given) -> bool {
    let mut is_new = false;
    for (kind, state_key, event_id) in &mut before.delta {
        if kind == MEMBER
            && event_id.is_none()
            && let Ok(user) = OwnedUserId::try_from(state_key.as_str())
            && let Some(given) = given.get(&user)
        {
            *event_id = Some(given.clone());
            is_new = true;
        }
    }
    is_new
}
