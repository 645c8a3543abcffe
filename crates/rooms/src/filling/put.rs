//! Making members that were fetched the state since the ground, some at a time.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use gatehouse_events::Event;
use gatehouse_store::{Direction, Position, Range, StoreError};
use ruma::{OwnedEventId, OwnedUserId, RoomId};

use crate::{
    Rooms,
    room_transaction::{RoomTransaction, ground::MEMBER},
    tables::{CURRENT_STATE, Doubt, PartialRow, STATE_CHANGES, Standing, StateChangeRow},
    write_error::{Attempt, WriteError, attempt},
};

/// Members put in with one commit; others have their turn between.
const AT_ONCE: usize = 1_000;
/// Rows read at once.
const BATCH: usize = 1_000;

/// The members of a state, and the event of each.
pub(super) type Given = HashMap<OwnedUserId, OwnedEventId>;

/// A member that was given.
struct Member {
    user: OwnedUserId,
    event: Arc<Event>,
    place: Position,
}

impl Rooms {
    /// Puts the members of a state in. `None`: there is nothing to fill any more.
    pub(super) async fn put_members(
        &self,
        room_id: &RoomId,
        row: &PartialRow,
        state: &[OwnedEventId],
    ) -> Result<Option<Given>, WriteError> {
        let mut given = Given::new();
        for ids in state.chunks(AT_ONCE) {
            let mut members = self.members_among(room_id, ids).await?;
            // Of two events for one user the first counts: a state has one.
            members.retain(|member| !given.contains_key(&member.user));
            let mut new = HashSet::new();
            members.retain(|member| new.insert(member.user.clone()));
            if !members.is_empty() && !attempt(|| self.try_put_members(room_id, row, &members)).await? {
                return Ok(None);
            }
            given.extend(
                members
                    .into_iter()
                    .map(|member| (member.user, member.event.event_id.clone())),
            );
        }
        Ok(Some(given))
    }

    /// Those of the events that are memberships of the room and were not rejected.
    async fn members_among(&self, room_id: &RoomId, ids: &[OwnedEventId]) -> Result<Vec<Member>, WriteError> {
        let Some(version) = self.version_of(room_id).await? else {
            return Ok(Vec::new());
        };
        let placed = self.placed(room_id, ids).await?;
        let member = |id: &OwnedEventId| {
            let placed = placed.get(id)?;
            if placed.row.standing == Standing::Rejected {
                return None;
            }
            let event = Event::parse(&placed.row.pdu, room_id, version, Some(id)).ok()?;
            if event.kind.to_string() != MEMBER {
                return None;
            }
            let user = OwnedUserId::try_from(event.state_key.as_deref()?).ok()?;
            Some(Member {
                user,
                event: Arc::new(event),
                place: placed.position,
            })
        };
        Ok(ids.iter().filter_map(member).collect())
    }

    async fn try_put_members(
        &self,
        room_id: &RoomId,
        row: &PartialRow,
        members: &[Member],
    ) -> Result<bool, Attempt> {
        let Some(mut transaction) = self.begin_filling(room_id, row).await? else {
            return Ok(false);
        };
        let changed = self.first_changes_of_members(room_id, row.ground).await?;
        let key = |member: &Member| (room_id.to_owned(), MEMBER.to_owned(), member.user.to_string());
        let keys: Vec<_> = members.iter().map(key).collect();
        let current = self.store.get_many(&CURRENT_STATE, &keys).await?;
        let events = members.iter().map(|member| &*member.event);
        let shown = self.shown_with_invites(room_id, events).await?;
        let mut is_new = false;
        for (member, current) in members.iter().zip(current) {
            let (user, event_id) = (member.user.as_str(), &member.event.event_id);
            let known = match changed.get(user) {
                Some((_, change)) => change.replaced.as_ref(),
                None => current.as_ref().map(|current| &current.event_id),
            };
            if known == Some(event_id) {
                continue;
            }
            is_new = true;
            if known.is_some() || changed.contains_key(user) {
                transaction.doubt(user, Doubt::Mistaken);
            }
            if let Some(first) = changed.get(user).cloned() {
                let member = (event_id.clone(), member.place);
                transaction.put_ground_before(row.ground, first, Some(member));
            } else {
                let shown = shown.get(event_id).cloned();
                self.put_unchanged(&mut transaction, row.ground, member, shown);
            }
        }
        if is_new {
            transaction.fill();
            transaction.commit().await?;
        }
        Ok(true)
    }

    fn put_unchanged(
        &self,
        transaction: &mut RoomTransaction,
        ground: Position,
        member: &Member,
        shown: Option<String>,
    ) {
        transaction.put_ground(ground, &member.event, member.place);
        if self.is_local(&member.user) {
            // Who follows our users looks at what comes, and not at what was.
            let since = transaction.batch.next_position();
            let key = (MEMBER.to_owned(), member.user.to_string());
            transaction.put_change(since, key, Some((&member.event, member.place)), shown);
        }
    }

    /// Takes the room's turn, if it is still the one that we began to fill.
    pub(super) async fn begin_filling(
        &self,
        room_id: &RoomId,
        row: &PartialRow,
    ) -> Result<Option<RoomTransaction>, Attempt> {
        let transaction = self.begin_existing(room_id).await?.settle().await?;
        let head = transaction.head();
        let is_same = head
            .partial
            .as_ref()
            .is_some_and(|partial| partial.join == row.join);
        Ok((is_same && head.has_server(self.server_name())).then_some(transaction))
    }

    /// The first change of each member since the ground.
    async fn first_changes_of_members(
        &self,
        room_id: &RoomId,
        ground: Position,
    ) -> Result<HashMap<String, (Position, StateChangeRow)>, StoreError> {
        let room = room_id.to_owned();
        let mut range = Range::prefix(&(room.clone(),)).after(&(room, ground));
        let mut first = HashMap::new();
        loop {
            let rows = self
                .store
                .scan(&STATE_CHANGES, &range, Direction::Forward, BATCH)
                .await?;
            let full = rows.len() == BATCH;
            if let Some((last, _)) = rows.last() {
                range = range.after(last);
            }
            for ((_, position), change) in rows {
                if change.kind == MEMBER {
                    first
                        .entry(change.state_key.clone())
                        .or_insert((position, change));
                }
            }
            if !full {
                return Ok(first);
            }
        }
    }
}
