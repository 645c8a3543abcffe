//! While members of a room are missing: taking them from the auth events of what others send.

use std::{collections::HashSet, sync::Arc};

use gatehouse_events::Event;
use gatehouse_store::{Direction, Position, Range, StoreError};
use ruma::{OwnedEventId, RoomId};

use super::Before;
use crate::{
    Rooms,
    room_transaction::{RoomTransaction, ground::MEMBER},
    tables::{Doubt, PARTIAL, STATE_CHANGES, STATE_HISTORY, StateChangeRow},
};

impl Rooms {
    /// Puts the members by which an event was judged into the state since the ground, so that clients are told who speaks.
    pub(super) async fn learn_members(
        &self,
        transaction: &mut RoomTransaction,
        before: &mut Before,
    ) -> Result<(), StoreError> {
        let learned = std::mem::take(&mut before.learned);
        if learned.is_empty() {
            return Ok(());
        }
        let room_id = transaction.head().room_id.clone();
        let Some(row) = self.store.get(&PARTIAL, &(room_id.clone(),)).await? else {
            return Ok(());
        };
        let ids: Vec<OwnedEventId> = learned.iter().map(|event| event.event_id.clone()).collect();
        let placed = self.placed(&room_id, &ids).await?;
        for event in learned {
            let Some(placed) = placed.get(&event.event_id) else {
                continue;
            };
            let learned = (&event, placed.position);
            if self.learn(transaction, row.ground, learned).await? {
                say_learned(before, &event);
            }
        }
        transaction.fill();
        Ok(())
    }

    /// The ground of a room whose members are missing, for an event that follows just what our join does: it has the state
    /// that we joined. Asking for it would be asking for all members.
    pub(super) async fn ground_beside(
        &self,
        room_id: &RoomId,
        event: &Event,
    ) -> Result<Option<Position>, StoreError> {
        let head = self.head(room_id).await?;
        let Some(partial) = head.as_ref().and_then(|head| head.partial.as_ref()) else {
            return Ok(None);
        };
        let join = self.events(std::slice::from_ref(&partial.join)).await?.pop();
        let Some(join) = join.flatten() else {
            return Ok(None);
        };
        let parents = |event: &Event| event.prev_events.iter().cloned().collect::<HashSet<_>>();
        if parents(event) != parents(&join) {
            return Ok(None);
        }
        let row = self.store.get(&PARTIAL, &(room_id.to_owned(),)).await?;
        Ok(row.filter(|row| row.join == partial.join).map(|row| row.ground))
    }

    async fn learn(
        &self,
        transaction: &mut RoomTransaction,
        ground: Position,
        (event, place): (&Arc<Event>, Position),
    ) -> Result<bool, StoreError> {
        let Some(user) = event.state_key.clone() else {
            return Ok(false);
        };
        let room_id = transaction.head().room_id.clone();
        match self.first_change_since(&room_id, ground, &user).await? {
            // What the first change replaced is known.
            Some((_, change)) if change.replaced.is_some() => return Ok(false),
            Some(first) => {
                transaction.put_ground_before(ground, first, Some((event.event_id.clone(), place)));
            }
            None => transaction.put_ground(ground, event, place),
        }
        transaction.doubt(&user, Doubt::Learned);
        Ok(true)
    }

    /// The first change of a member since the ground.
    pub(crate) async fn first_change_since(
        &self,
        room_id: &RoomId,
        ground: Position,
        user: &str,
    ) -> Result<Option<(Position, StateChangeRow)>, StoreError> {
        let member = (room_id.to_owned(), MEMBER.to_owned(), user.to_owned());
        let after = (member.0.clone(), member.1.clone(), member.2.clone(), ground);
        let range = Range::prefix(&member).after(&after);
        let versions = self
            .store
            .scan(&STATE_HISTORY, &range, Direction::Forward, 1)
            .await?;
        let Some(((room, _, _, at), _)) = versions.into_iter().next() else {
            return Ok(None);
        };
        let change = self.store.get(&STATE_CHANGES, &(room, at)).await?;
        Ok(change.map(|change| (at, change)))
    }
}

/// A state that was written down as having no such member has this one.
fn say_learned(before: &mut Before, event: &Event) {
    let Some(user) = &event.state_key else { return };
    let key = (MEMBER.to_owned(), user.clone());
    if let Some(known) = before.delta.get_mut(&key) {
        *known = Some(event.event_id.clone());
    }
    let rows = before.row.iter_mut().flat_map(|row| &mut row.delta);
    for (kind, state_key, known) in rows {
        if kind == MEMBER && state_key == user {
            *known = Some(event.event_id.clone());
        }
    }
}
