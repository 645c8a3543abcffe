//! Rooms that are taken in without all of their members: what is found out of these later holds since the *ground*, the
//! position just before the join. No change of the state tells of it, so that every state since the join has it at once.

use std::{collections::HashSet, sync::Arc};

use gatehouse_events::Event;
use gatehouse_store::Position;
use ruma::{EventId, OwnedEventId, OwnedServerName, ServerName};

use super::RoomTransaction;
use crate::{
    head::{Partial, membership_in},
    tables::{
        CURRENT_STATE, CurrentStateRow, DOUBTS, Doubt, FILLED, PARTIAL, PARTIAL_SERVERS, PartialRow,
        STATE_CHANGES, STATE_HISTORY, ServersRow, StateChangeRow, StateVersionRow,
    },
};

/// The type of membership events.
pub(crate) const MEMBER: &str = "m.room.member";

impl RoomTransaction {
    /// Says that members are missing; the join comes next.
    pub(crate) fn put_partial(
        &mut self,
        join: &EventId,
        let_in_by: &ServerName,
        servers: &[OwnedServerName],
    ) {
        let key = (self.head.room_id.clone(),);
        let row = PartialRow {
            join: join.to_owned(),
            ground: self.batch.next_position(),
            let_in_by: let_in_by.to_owned(),
        };
        self.batch.put(&PARTIAL, &key, &row);
        self.batch
            .put(&PARTIAL_SERVERS, &key, &ServersRow(servers.to_vec()));
        self.batch.delete(&FILLED, &key);
        let servers: HashSet<_> = servers.iter().cloned().collect();
        self.head.partial = Some(Arc::new(Partial {
            join: row.join,
            servers,
        }));
        self.head.fills += 1;
    }

    /// Says that no members are missing, if it was said that some are.
    pub(crate) fn forget_partial(&mut self) {
        if self.head.partial.take().is_some() {
            let key = (self.head.room_id.clone(),);
            self.batch.delete(&PARTIAL, &key);
            self.batch.delete(&PARTIAL_SERVERS, &key);
            self.fill();
        }
    }

    /// Lets readers and other nodes take in what no change of the state tells.
    pub(crate) fn fill(&mut self) {
        self.head.fills += 1;
        self.head.sequence += 1;
        // They are counted from the changes of the state.
        *self.slot.member_chains.lock() = None;
    }

    /// A member that was not known, or was known otherwise, and has not changed since the join.
    pub(crate) fn put_ground(&mut self, ground: Position, event: &Arc<Event>, place: Position) {
        let Some(user) = event.state_key.clone() else {
            return;
        };
        let room = self.head.room_id.clone();
        let row = CurrentStateRow {
            event_id: event.event_id.clone(),
            place,
            since: ground,
            membership: membership_in(event).to_string(),
        };
        let current = (room, MEMBER.to_owned(), user.clone());
        self.batch.put(&CURRENT_STATE, &current, &row);
        self.put_ground_version(ground, &user, Some((event.event_id.clone(), place)));
        self.head.set_state(MEMBER, &user, Some(event));
    }

    /// As [`Self::put_ground`], of a member that has changed since: the first change replaced this. `None`: they had been
    /// nothing.
    pub(crate) fn put_ground_before(
        &mut self,
        ground: Position,
        (at, change): (Position, StateChangeRow),
        member: Option<(OwnedEventId, Position)>,
    ) {
        let user = change.state_key.clone();
        let row = StateChangeRow {
            replaced: member.as_ref().map(|(event_id, _)| event_id.clone()),
            ..change
        };
        let key = (self.head.room_id.clone(), at);
        self.batch.put(&STATE_CHANGES, &key, &row);
        self.put_ground_version(ground, &user, member);
    }

    /// Takes out a member of the ground whom there was not, and who has not changed since the join.
    pub(crate) fn take_out_ground(&mut self, ground: Position, user: &str) {
        let key = (self.head.room_id.clone(), MEMBER.to_owned(), user.to_owned());
        self.batch.delete(&CURRENT_STATE, &key);
        self.put_ground_version(ground, user, None);
        self.head.set_state(MEMBER, user, None);
    }

    fn put_ground_version(&mut self, ground: Position, user: &str, member: Option<(OwnedEventId, Position)>) {
        let room = self.head.room_id.clone();
        let key = (room, MEMBER.to_owned(), user.to_owned(), ground);
        match member {
            Some(_) => self
                .batch
                .put(&STATE_HISTORY, &key, &StateVersionRow { event: member }),
            None => self.batch.delete(&STATE_HISTORY, &key),
        }
    }

    /// Says that all members are known.
    pub(crate) fn set_whole(&mut self) {
        self.head.partial = None;
        self.fill();
    }

    /// Takes back what a state key is, without a change that tells of it.
    pub(crate) fn restore_state(&mut self, (kind, state_key): &(String, String), event: Option<&Arc<Event>>) {
        self.head.set_state(kind, state_key, event);
    }

    /// Remembers that what was judged by this member's state may have to be judged again.
    pub(crate) fn doubt(&mut self, user: &str, doubt: Doubt) {
        let key = (self.head.room_id.clone(), user.to_owned());
        self.batch.put(&DOUBTS, &key, &doubt);
    }
}
