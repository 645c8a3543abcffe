//! The piece of a room's timeline that a sync shows.

use std::collections::{HashMap, HashSet};

use gatehouse_rooms::{StoredEvent, history_visibility::VisibilityTimeline, token::Token};
use gatehouse_store::{Direction, Position};
use ruma::{RoomId, events::room::member::MembershipState};

use crate::{error::SyncError, reading::Reading, view::StateWanted};

/// Rows of a timeline looked at for one piece. When a filter uses them up, the piece is short and `limited`.
const MAX_SCANNED: usize = 2_000;

/// Which part of the timeline to look at: after one position, up to and including another.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    pub(crate) after: Position,
    pub(crate) through: Position,
    pub(crate) state: StateWanted,
    pub(crate) stay: Stay,
}

impl Span {
    /// Whether the client knew nothing of the room just before it.
    pub(crate) fn is_news(self) -> bool {
        self.state == StateWanted::Full
    }
}

/// Whether the user is in the room at the end of what is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stay {
    Lasts,
    Ended,
}

/// What was found of it.
#[derive(Debug)]
pub(crate) struct Piece {
    /// Oldest first.
    pub(crate) events: Vec<StoredEvent>,
    /// The piece covers what lies after this.
    pub(crate) start: Position,
    /// Whether there may be more, between the span's beginning and `start`, or before what the client knows.
    pub(crate) limited: bool,
    /// Whether all state events after `start` are among the events.
    pub(crate) has_all_state: bool,
}

impl Piece {
    /// Where the events lie.
    pub(crate) fn positions(&self) -> HashSet<Position> {
        self.events.iter().map(|event| event.position).collect()
    }

    /// From where to page back.
    pub(crate) fn prev_batch(&self) -> Token {
        Token::after(self.start)
    }
}

impl Reading<'_> {
    /// The last events of the span that the user may see and the filter lets through.
    pub(crate) async fn timeline(
        &self,
        room: &RoomId,
        sight: &VisibilityTimeline,
        span: Span,
    ) -> Result<Piece, SyncError> {
        let wanted = &self.filter.room.timeline;
        let mut piece = if wanted.admits_nothing() || !wanted.admits_room(room) {
            Piece {
                events: Vec::new(),
                start: span.through,
                limited: false,
                has_all_state: true,
            }
        } else {
            self.scan(room, sight, span).await?
        };
        piece.events.reverse();
        // To a client that knows nothing of the room, whatever lies before the piece is more; and what one joined since
        // the last sync does not go on from anything, as clients and their tests have come to expect.
        piece.limited |= span.is_news() && (piece.start > Position::ZERO || self.since.is_some());
        Ok(piece)
    }

    /// Makes the piece begin later when a client that applies it to the state before it would end with the wrong
    /// state: when the last event of a state key is hidden or filtered out and an earlier one is not.
    pub(crate) async fn without_misleading_state(
        &self,
        room: &RoomId,
        span: Span,
        mut piece: Piece,
    ) -> Result<Piece, SyncError> {
        if piece.has_all_state {
            return Ok(piece);
        }
        let last = last_of_each_key(&piece.events);
        let mut start = piece.start;
        for event in last {
            let state_key = event.state_key().unwrap_or_default();
            let rooms = self.sync.rooms();
            let real = rooms
                .state_event_at(room, event.kind(), state_key, span.through)
                .await?;
            if real.is_none_or(|real| real.position != event.position) {
                start = start.max(event.position);
            }
        }
        if start > piece.start {
            piece.events.retain(|event| event.position > start);
            piece.start = start;
            piece.limited = true;
        }
        Ok(piece)
    }

    /// Newest first.
    async fn scan(&self, room: &RoomId, sight: &VisibilityTimeline, span: Span) -> Result<Piece, SyncError> {
        let limit = self.filter.room.timeline_limit();
        let mut ranges = Self::ranges(sight, span);
        let whole = [(span.after.next(), span.through)];
        let mut piece = Piece {
            events: Vec::new(),
            start: span.after,
            limited: false,
            has_all_state: ranges == whole,
        };
        let mut scanned = 0;
        while let Some((first, last)) = ranges.pop() {
            if scanned >= MAX_SCANNED {
                piece.start = last;
                piece.limited = true;
                break;
            }
            let rows = self
                .sync
                .rooms()
                .timeline(room, (first, last), Direction::Backward, limit + 1)
                .await?;
            scanned += rows.scanned;
            if let Some(oldest) = rows.last.filter(|oldest| rows.scanned > limit && *oldest > first) {
                ranges.push((first, oldest.previous()));
            }
            for row in rows.events {
                // Beside the room's line, state may change otherwise than the events say.
                piece.has_all_state &= !row.is_off_line();
                let gap = row.is_after_gap().then(|| row.position.previous());
                if !self.shows(room, sight, span, &row).await? {
                    piece.has_all_state &= row.state_key().is_none();
                } else if piece.events.len() == limit {
                    let oldest = piece.events.last().map(|event| event.position.previous());
                    piece.start = oldest.unwrap_or(span.through);
                    piece.limited = true;
                    return Ok(piece);
                } else {
                    piece.events.push(row);
                }
                if let Some(start) = gap {
                    piece.start = start;
                    piece.limited = true;
                    return Ok(piece);
                }
            }
        }
        Ok(piece)
    }

    /// The stretches to read, oldest first. Of what came since the client was last told, all; of the past, only what
    /// the user may see some of.
    fn ranges(sight: &VisibilityTimeline, span: Span) -> Vec<(Position, Position)> {
        let (first, last) = (span.after.next(), span.through);
        let ranges = if span.is_news() {
            sight.visible_ranges()
        } else {
            vec![(first, last)]
        };
        ranges
            .into_iter()
            .map(|(from, to)| (from.max(first), to.min(last)))
            .filter(|(from, to)| from <= to)
            .collect()
    }

    async fn shows(
        &self,
        room: &RoomId,
        sight: &VisibilityTimeline,
        span: Span,
        event: &StoredEvent,
    ) -> Result<bool, SyncError> {
        if !self.filter.room.timeline.admits(event.candidate()) || self.ignores(event) || self.was_told(event)
        {
            return Ok(false);
        }
        if sight.sees(event.sight()) {
            return Ok(true);
        }
        self.is_current_for_member(room, span, event).await
    }

    /// Whether the event is the user's own leave or ban of before `since`: the client was told of it when it happened.
    fn was_told(&self, event: &StoredEvent) -> bool {
        self.since.is_some_and(|since| event.position <= since)
            && event.kind() == "m.room.member"
            && event.state_key() == Some(self.user.as_str())
            && matches!(
                event.membership(),
                Some(MembershipState::Leave | MembershipState::Ban)
            )
    }

    /// Whether the event, of a time when the user was away for a while, is the room's state now that the user is back:
    /// then it can be seen in the state, and its place is in the timeline.
    async fn is_current_for_member(
        &self,
        room: &RoomId,
        span: Span,
        event: &StoredEvent,
    ) -> Result<bool, SyncError> {
        let Some(state_key) = event.state_key() else {
            return Ok(false);
        };
        if span.stay == Stay::Ended || span.is_news() {
            return Ok(false);
        }
        let current = self
            .sync
            .rooms()
            .state_event_at(room, event.kind(), state_key, self.now)
            .await?;
        Ok(current.is_some_and(|current| current.position == event.position))
    }
}

/// The last of these events for each state key.
pub(crate) fn last_of_each_key(events: &[StoredEvent]) -> Vec<StoredEvent> {
    let mut last = HashMap::new();
    for event in events {
        if let Some(state_key) = event.state_key() {
            last.insert((event.kind(), state_key), event);
        }
    }
    last.into_values().cloned().collect()
}
