//! Walking through what a user may see of a room's timeline, a bounded stretch at a time.

use std::collections::VecDeque;

use gatehouse_store::{Direction, Position};
use ruma::{OwnedRoomId, RoomId};

use crate::{
    Rooms,
    history_visibility::{PositionRange, VisibilityTimeline},
    read_error::ReadError,
    stored::{StoredEvent, TimelineRows},
    token::Token,
    write_error::WriteError,
};

/// Rows read at once at least: small pages cost one round trip, and filtered ones not one a row.
const MIN_BATCH: usize = 20;
/// Rows read at once at most: bounds the memory of a request at 1,000 events of 65,536 bytes.
const MAX_BATCH: usize = 1_000;
/// Rows looked at for one page. When a filter or rejected events use them up, the page is short and has a token to
/// go on from (E31).
pub(crate) const MAX_SCANNED: usize = 10_000;

/// Times that other servers are asked for history on the way to one page: each may take a while, and gives a hundred
/// events.
const MAX_FETCHES: usize = 3;

/// A walk that has not ended.
#[derive(Debug)]
pub(crate) struct TimelineWalk {
    room_id: OwnedRoomId,
    direction: Direction,
    /// What is left to read, in the order of the walk.
    ranges: VecDeque<PositionRange>,
    scanned: usize,
    fetches: usize,
}

/// What a walk found.
#[derive(Debug)]
pub(crate) struct Stretch {
    /// The events in the order of the walk.
    pub(crate) events: Vec<StoredEvent>,
    /// Where to go on; `None` when there is nothing further.
    pub(crate) end: Option<Token>,
}

impl TimelineWalk {
    /// From one token to another, through what this user may see.
    pub(crate) fn new(
        room_id: &RoomId,
        view: &VisibilityTimeline,
        from: Option<Token>,
        to: Option<Token>,
        direction: Direction,
    ) -> Self {
        // Tokens lie between events: going forward begins after `from`, going back begins with it.
        let (after, through) = match direction {
            Direction::Forward => (from, to),
            Direction::Backward => (to, from),
        };
        let first = after.map_or(Position::ZERO, |token| token.position().next());
        let last = through.map_or(Position::MAX, Token::position);
        let clipped = view
            .visible_ranges()
            .into_iter()
            .map(|range| (range.0.max(first), range.1.min(last)))
            .filter(|range| range.0 <= range.1);
        let ranges = match direction {
            Direction::Forward => clipped.collect(),
            Direction::Backward => clipped.rev().collect(),
        };
        Self {
            room_id: room_id.to_owned(),
            direction,
            ranges,
            scanned: 0,
            fetches: 0,
        }
    }

    /// Up to `limit` events that `wanted` lets through.
    pub(crate) async fn take(
        mut self,
        rooms: &Rooms,
        limit: usize,
        wanted: impl Fn(&StoredEvent) -> bool,
    ) -> Result<Stretch, ReadError> {
        let mut events = Vec::new();
        let mut end = None;
        // The page before may have ended with the event after a gap, or could not fill it.
        if let Some((_, last)) = self
            .ranges
            .front()
            .copied()
            .filter(|range| range.1 < Position::MAX)
            && let Some(follower) = rooms.gap_at(&self.room_id, last).await?
        {
            self.fills_gap(rooms, follower).await?;
        }
        while events.len() < limit {
            if self.scanned >= MAX_SCANNED {
                return Ok(Stretch { events, end });
            }
            let batch = (limit - events.len()).clamp(MIN_BATCH, MAX_BATCH);
            let range = self.ranges.front().copied();
            let rows = self.read(rooms, batch).await?;
            if rows.last.is_none() && self.ranges.is_empty() {
                // An empty page ends the walk; one with events may be followed by an empty one.
                let end = end.filter(|_| !events.is_empty());
                return Ok(Stretch { events, end });
            }
            let mut last = rows.last;
            for row in rows.events {
                let position = row.position;
                let is_after_gap = row.is_after_gap();
                if wanted(&row) {
                    events.push(row);
                    if events.len() == limit {
                        let end = Some(self.token_past(position));
                        return Ok(Stretch { events, end });
                    }
                }
                let goes_on = range.is_some_and(|(first, _)| first < position);
                if is_after_gap && goes_on && self.fills_gap(rooms, position).await? {
                    self.go_on_before(range, position);
                    last = Some(position);
                    break;
                }
            }
            end = last.map(|last| self.token_past(last)).or(end);
        }
        Ok(Stretch { events, end })
    }

    /// Gets the history that lies before an event, when the walk comes to it from after it. What cannot be had is left out.
    async fn fills_gap(&mut self, rooms: &Rooms, position: Position) -> Result<bool, ReadError> {
        if self.direction == Direction::Forward || self.fetches == MAX_FETCHES {
            return Ok(false);
        }
        match rooms.fetch_history(&self.room_id, position).await {
            Ok(None) => Ok(false),
            Ok(Some(came)) => {
                self.fetches += 1;
                Ok(came > 0)
            }
            Err(WriteError::Store(error)) => Err(error.into()),
            Err(error) => {
                tracing::info!(room = %self.room_id, %error, "history was not taken in");
                Ok(false)
            }
        }
    }

    /// Goes back to just before an event of the range that was read from.
    fn go_on_before(&mut self, range: Option<PositionRange>, position: Position) {
        let Some((first, _)) = range else { return };
        // What was left of it, if anything, begins where it began.
        if self.ranges.front().is_some_and(|left| left.0 == first) {
            self.ranges.pop_front();
        }
        if first < position {
            self.ranges.push_front((first, position.previous()));
        }
    }

    /// The point just past an event in the direction of the walk.
    fn token_past(&self, position: Position) -> Token {
        match self.direction {
            Direction::Forward => Token::after(position),
            Direction::Backward => Token::before(position),
        }
    }

    /// The next rows of the first range that is left; empties it when there are no more in it.
    async fn read(&mut self, rooms: &Rooms, limit: usize) -> Result<TimelineRows, ReadError> {
        let Some(range) = self.ranges.front_mut() else {
            return Ok(TimelineRows::default());
        };
        let rows = rooms
            .timeline(&self.room_id, *range, self.direction, limit)
            .await?;
        self.scanned += rows.scanned;
        let next = rows
            .last
            .filter(|_| rows.scanned == limit)
            .and_then(|last| match self.direction {
                Direction::Forward => (last < range.1).then(|| (last.next(), range.1)),
                Direction::Backward => (last > range.0).then(|| (range.0, last.previous())),
            });
        match next {
            Some(rest) => *range = rest,
            None => {
                self.ranges.pop_front();
            }
        }
        Ok(rows)
    }
}
