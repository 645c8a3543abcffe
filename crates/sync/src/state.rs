//! The state that goes with a piece of timeline.
//!
//! With `state`, a client takes the state before the piece and applies the piece's events; with `state_after`, it
//! takes what it is given and does not look at the piece. Both must end at the room's state at the piece's end, so
//! `state` also holds what the piece leaves out.

use std::collections::{BTreeSet, HashMap};

use gatehouse_rooms::{StoredEvent, history_visibility::VisibilityTimeline, present::Detail};
use gatehouse_store::Position;
use ruma::{OwnedUserId, RoomId};

use crate::{
    error::SyncError,
    reading::Reading,
    response::State,
    timeline::{Piece, Span, last_of_each_key},
    view::StateWanted,
};

const MEMBER: &str = "m.room.member";

/// Which of the two a request wants.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum StateForm {
    /// `state`: as it was before the timeline.
    #[default]
    Before,
    /// `state_after`: as it is after the timeline.
    After,
}

impl StateForm {
    fn of(self, events: Vec<crate::response::RawEvent>) -> State {
        match self {
            Self::Before => State::Before(events),
            Self::After => State::After(events),
        }
    }
}

/// A state key, and what of it changed.
type Changes = HashMap<(String, String), Change>;

/// Places of events; `None`: state resolution left nothing, which no client can be told.
#[derive(Debug, Clone, Copy, Default)]
struct Change {
    last: Option<Position>,
    /// The last version that lies before the piece.
    before_piece: Option<Position>,
}

impl Reading<'_> {
    /// The state for a piece. `heroes` are members that the client is to know besides those who sent something.
    pub(crate) async fn state(
        &self,
        (room, sight): (&RoomId, &VisibilityTimeline),
        (span, piece): (Span, &Piece),
        form: StateForm,
        heroes: &[OwnedUserId],
    ) -> Result<State, SyncError> {
        let filter = &self.filter.room.state;
        if span.state == StateWanted::None || filter.admits_nothing() || !filter.admits_room(room) {
            return Ok(form.of(Vec::new()));
        }
        let mut events = match span.state {
            StateWanted::Full | StateWanted::Again => self.full_state(room, span, piece, form).await?,
            StateWanted::ChangesAfter(since) => self.changed_state(room, since, span, piece, form).await?,
            StateWanted::None => Vec::new(),
        };
        if filter.lazy_load_members {
            let members = self
                .lazy_members(room, span, piece, form, heroes, &events)
                .await?;
            events.extend(members);
        }
        events.retain(|event| filter.admits(event.candidate()));
        if self.acknowledged.is_some() {
            self.record_members(room, (piece, form), &events);
        }
        events.sort_unstable_by_key(|event| event.position);
        Ok(form.of(self.encode(sight, events, Detail::State).await?))
    }

    /// All of the state; without members when they are loaded lazily.
    async fn full_state(
        &self,
        room: &RoomId,
        span: Span,
        piece: &Piece,
        form: StateForm,
    ) -> Result<Vec<StoredEvent>, SyncError> {
        let rooms = self.sync.rooms();
        let mut events = if self.filter.room.state.lazy_load_members {
            rooms.state_without_members_at(room, span.through).await?
        } else {
            rooms.state_at(room, span.through).await?
        };
        if form == StateForm::After {
            return Ok(events);
        }
        // What the piece sets, as it was before.
        let in_piece = piece.positions();
        let mut replaced = Vec::new();
        events.retain(|event| {
            let set_in_piece = in_piece.contains(&event.position);
            if set_in_piece && let Some(state_key) = event.state_key() {
                replaced.push((event.kind().to_owned(), state_key.to_owned()));
            }
            !set_in_piece
        });
        if piece.start > Position::ZERO {
            for (kind, state_key) in replaced {
                events.extend(rooms.state_event_at(room, &kind, &state_key, piece.start).await?);
            }
        }
        Ok(events)
    }

    /// What changed of the state since the client knew it.
    async fn changed_state(
        &self,
        room: &RoomId,
        since: Position,
        span: Span,
        piece: &Piece,
        form: StateForm,
    ) -> Result<Vec<StoredEvent>, SyncError> {
        if piece.has_all_state && piece.start <= since {
            return Ok(match form {
                StateForm::Before => Vec::new(),
                StateForm::After => last_of_each_key(&piece.events),
            });
        }
        let in_piece = piece.positions();
        let changes = self.changes(room, (since, span.through), piece.start).await?;
        let positions: Vec<_> = changes
            .into_values()
            .filter_map(|change| match form {
                StateForm::Before if change.last.is_some_and(|last| in_piece.contains(&last)) => {
                    change.before_piece
                }
                StateForm::Before | StateForm::After => change.last,
            })
            .collect();
        Ok(self.sync.rooms().events_at(room, &positions).await?)
    }

    async fn changes(
        &self,
        room: &RoomId,
        (after, through): (Position, Position),
        piece_start: Position,
    ) -> Result<Changes, SyncError> {
        let mut changes = Changes::new();
        let rooms = self.sync.rooms();
        for found in rooms.state_changes(room, after, through, usize::MAX).await? {
            let change = changes.entry((found.kind, found.state_key)).or_default();
            change.last = found.place;
            if found.position <= piece_start {
                change.before_piece = found.place;
            }
        }
        Ok(changes)
    }

    /// The members that lazy loading adds: those who sent something, the heroes, and with all of the state the user.
    async fn lazy_members(
        &self,
        room: &RoomId,
        span: Span,
        piece: &Piece,
        form: StateForm,
        heroes: &[OwnedUserId],
        known: &[StoredEvent],
    ) -> Result<Vec<StoredEvent>, SyncError> {
        let mut members: BTreeSet<OwnedUserId> = heroes.iter().cloned().collect();
        members.extend(piece.events.iter().map(|event| event.sender().to_owned()));
        if span.state.is_whole() {
            members.insert(self.user.to_owned());
            members.extend(self.changed_members(room, span, piece).await?);
        }
        for event in known.iter().filter(|event| event.kind() == MEMBER) {
            members.retain(|member| event.state_key() != Some(member.as_str()));
        }
        let rooms = self.sync.rooms();
        let mut events = rooms.members_at(room, members, span.through).await?;
        if form == StateForm::Before {
            let in_piece = piece.positions();
            let (replaced, others): (Vec<_>, Vec<_>) = events
                .into_iter()
                .partition(|event| in_piece.contains(&event.position));
            let replaced = replaced.iter().filter_map(member);
            events = others;
            events.extend(rooms.members_at(room, replaced, piece.start).await?);
        }
        if let Some(device) = self.acknowledged.as_ref().filter(|_| !span.state.is_whole()) {
            let sent = self.sync.members_sent();
            events.retain(|event| {
                member(event).is_none_or(|member| !sent.has(device, room, &member, event.event_id()))
            });
        }
        Ok(events)
    }

    /// Members of whom the client may know what was, in a response that has all of the state.
    async fn changed_members(
        &self,
        room: &RoomId,
        span: Span,
        piece: &Piece,
    ) -> Result<Vec<OwnedUserId>, SyncError> {
        if span.is_news() {
            return Ok(piece.events.iter().filter_map(member).collect());
        }
        let rooms = self.sync.rooms();
        let changes = rooms
            .state_changes(room, span.after, span.through, usize::MAX)
            .await?;
        let members = changes.into_iter().filter(|change| change.kind == MEMBER);
        Ok(members
            .filter_map(|change| change.state_key.try_into().ok())
            .collect())
    }

    /// Remembers which members the device is sent, in the state, and in the timeline when it takes them from there.
    fn record_members(&self, room: &RoomId, (piece, form): (&Piece, StateForm), state: &[StoredEvent]) {
        let Some(device) = &self.acknowledged else {
            return;
        };
        let sent = self.sync.members_sent();
        let in_timeline = piece.events.iter().filter(|_| form == StateForm::Before);
        for event in state.iter().chain(in_timeline) {
            if let Some(member) = member(event) {
                sent.record(device, (room, &member), event.event_id(), self.now);
            }
        }
    }
}

fn member(event: &StoredEvent) -> Option<OwnedUserId> {
    if event.kind() == MEMBER {
        event.state_key()?.try_into().ok()
    } else {
        None
    }
}
