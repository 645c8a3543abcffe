//! Judging again what was judged without knowing all members.

use std::collections::HashSet;

use gatehouse_events::Event;
use gatehouse_store::{Direction, Position, Range};
use ruma::{OwnedUserId, RoomId};

use super::take_out::ALL;
use crate::{
    RoomHead, Rooms,
    graph::loaded::{LoadedEvents, Placed},
    receive::{judge::Unknown, outliers::allowed_by_auth_events},
    room_transaction::ground::MEMBER,
    tables::{PartialRow, Standing, TIMELINE},
    write_error::{Attempt, WriteError},
};

/// Events looked at in one turn.
const AT_ONCE: usize = 200;

/// How far it went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Judged {
    /// What is after this position is still to be looked at.
    UpTo(Position),
    /// All was looked at, and the room is whole.
    Done,
}

impl Rooms {
    /// Goes on after a position. One that is not allowed is taken out, and ends the turn.
    pub(super) async fn try_judge_again(
        &self,
        room_id: &RoomId,
        row: &PartialRow,
        after: Position,
    ) -> Result<Judged, Attempt> {
        let Some(transaction) = self.begin_filling(room_id, row).await? else {
            return Ok(Judged::Done);
        };
        let mistaken = self.mistaken(room_id).await?;
        if mistaken.is_empty() {
            self.make_whole(transaction).await?;
            return Ok(Judged::Done);
        }
        let room = room_id.to_owned();
        let range = Range::prefix(&(room.clone(),)).after(&(room, after));
        let rows = self
            .store
            .scan(&TIMELINE, &range, Direction::Forward, AT_ONCE)
            .await?;
        let Some(last) = rows.last().map(|((_, position), _)| *position) else {
            self.make_whole(transaction).await?;
            return Ok(Judged::Done);
        };
        let head = transaction.head();
        for ((_, position), event_row) in rows {
            let is_part = matches!(event_row.standing, Standing::Accepted | Standing::Withheld);
            // That we were let in is the word of the server that let us in.
            if !is_part || event_row.event_id == row.join {
                continue;
            }
            let id = Some(&event_row.event_id);
            let Ok(event) = Event::parse(&event_row.pdu, room_id, head.version, id.map(|id| &**id)) else {
                continue;
            };
            let placed = Placed {
                position,
                row: event_row,
            };
            if is_doubtful(&event, &mistaken)
                && let Err(rule) = self.judge_placed(head, &placed, &event).await?
            {
                tracing::info!(room = %room_id, event = %event.event_id, step = "state before, with all members", rule,
                    "an event was rejected after all");
                self.reject_after_all(transaction, placed, event).await?;
                return Ok(Judged::UpTo(position));
            }
        }
        Ok(Judged::UpTo(last))
    }

    /// Whether the rules allow an event where it stands; if not, by which rule. What cannot be told is left as it is.
    async fn judge_placed(
        &self,
        head: &RoomHead,
        placed: &Placed,
        event: &Event,
    ) -> Result<Result<(), String>, WriteError> {
        let mut loaded = LoadedEvents::default();
        loaded.load(self, &event.auth_events).await?;
        let create = head.hot_event("m.room.create");
        if let Err(rule) = allowed_by_auth_events(head.version, event, &loaded, create) {
            return Ok(Err(rule));
        }
        let Some(delta) = self.delta_before(head, placed).await? else {
            return Ok(Ok(()));
        };
        let state = (head, &delta, Unknown::IsNothing);
        let allowed = self.allowed_by_state(state, event, &mut loaded).await?;
        Ok(allowed.map(|_| ()))
    }
}

/// Whether one of these users has to do with whether the event is allowed.
fn is_doubtful(event: &Event, mistaken: &HashSet<String>) -> bool {
    #[derive(serde::Deserialize)]
    struct Content {
        join_authorised_via_users_server: Option<OwnedUserId>,
    }
    if mistaken.contains(ALL) || mistaken.contains(event.sender.as_str()) {
        return true;
    }
    if event.kind.to_string() != MEMBER {
        return false;
    }
    let via = event
        .content_as::<Content>()
        .and_then(|content| content.join_authorised_via_users_server);
    let target = event.state_key.as_ref();
    target.is_some_and(|target| mistaken.contains(target))
        || via.is_some_and(|via| mistaken.contains(via.as_str()))
}
