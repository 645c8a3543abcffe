//! The rows that an event and a change of the state are kept in.

use std::sync::Arc;

use gatehouse_events::Event;
use gatehouse_store::{Batch, Position, Topic};
use ruma::{OwnedUserId, RoomId, events::room::member::MembershipState};

use super::RoomTransaction;
use crate::{
    head::membership_in,
    relations::index::index_relation,
    tables::{
        CURRENT_STATE, CurrentStateRow, EVENT_INDEX, EventRow, MEMBERSHIP_CHANGES, MEMBERSHIPS,
        MembershipChangeRow, MembershipRow, STATE_CHANGES, STATE_HISTORY, StateChangeRow, StateVersionRow,
        TIMELINE, TIMESTAMPS,
    },
};

/// Keeps an event of a room at a position, and lets clients find it when they may see it.
pub(crate) fn put_event(
    batch: &mut Batch,
    (room_id, position): (&RoomId, Position),
    row: &EventRow,
    event: &Event,
) {
    let event_id = event.event_id.clone();
    batch.put(&TIMELINE, &(room_id.to_owned(), position), row);
    batch.put(
        &EVENT_INDEX,
        &(event_id.clone(),),
        &(room_id.to_owned(), position),
    );
    if row.standing.is_shown() {
        let time = (room_id.to_owned(), event.origin_server_ts, position);
        batch.put(&TIMESTAMPS, &time, &(event_id,));
        if row.redacted_by.is_none() {
            index_relation(batch, position, event);
        }
    }
}

impl RoomTransaction {
    /// As [`put_event`].
    pub(crate) fn put_event(&mut self, position: Position, row: &EventRow, event: &Event) {
        put_event(&mut self.batch, (&self.head.room_id, position), row, event);
    }

    /// Makes an event what a state key is since a position; `None`: it is nothing any more.
    pub(crate) fn put_change(
        &mut self,
        since: Position,
        key: (String, String),
        event: Option<(&Arc<Event>, Position)>,
        stripped_state: Option<String>,
    ) {
        let room = self.head.room_id.clone();
        let (kind, state_key) = key;
        let placed = event.map(|(event, place)| (event.event_id.clone(), place));
        let replaced = self.head.state_event_id(&kind, &state_key).cloned();
        let event = event.map(|(event, _)| event);
        self.head.set_state(&kind, &state_key, event);
        let is_member = kind == "m.room.member";
        let membership = event.filter(|_| is_member).map(|event| membership_in(event));
        let current = (room.clone(), kind.clone(), state_key.clone());
        match placed.clone() {
            Some((event_id, place)) => {
                let membership = membership.as_ref().map(ToString::to_string).unwrap_or_default();
                let row = CurrentStateRow {
                    event_id,
                    place,
                    since,
                    membership,
                };
                self.batch.put(&CURRENT_STATE, &current, &row);
            }
            None => self.batch.delete(&CURRENT_STATE, &current),
        }
        let history = (current.0, current.1, current.2, since);
        let version = StateVersionRow {
            event: placed.clone(),
        };
        self.batch.put(&STATE_HISTORY, &history, &version);
        let user = OwnedUserId::try_from(state_key.as_str()).ok();
        // What is left of a member of whom state resolution left nothing is that they are not in the room.
        let event = placed.clone().or_else(|| Some((replaced.clone()?, since)));
        if let (true, Some(user), Some((event_id, place))) = (is_member, user, event) {
            let row = MembershipRow {
                membership: membership.unwrap_or(MembershipState::Leave),
                event_id,
                position: since,
                place,
                forgotten: false,
                stripped_state: stripped_state.unwrap_or_default(),
            };
            self.put_membership(user, &row);
        }
        let change = StateChangeRow {
            kind,
            state_key,
            event: placed,
            replaced,
        };
        self.batch.put(&STATE_CHANGES, &(room, since), &change);
    }

    /// Tells those who follow one of our users.
    fn put_membership(&mut self, user: OwnedUserId, row: &MembershipRow) {
        if !self.rooms.is_local(&user) {
            return;
        }
        let room = self.head.room_id.clone();
        let change = MembershipChangeRow {
            room_id: room.clone(),
            membership: row.membership.clone(),
            event_id: row.event_id.clone(),
            forgotten: false,
        };
        self.batch
            .put(&MEMBERSHIP_CHANGES, &(user.clone(), row.position), &change);
        self.batch.put(&MEMBERSHIPS, &(user.clone(), room), row);
        self.batch.touch(Topic::User(user));
    }
}
