//! Events that relate to others: replacements, threads, references and whatever else `m.relates_to` says.
//!
//! A relation is indexed by its parent as it is written ([`index`]); it is read as pages (here), as lists of threads
//! ([`threads`]) and as what is bundled with the parent ([`aggregations`]).

pub(crate) mod aggregations;
pub(crate) mod index;
pub mod threads;

use std::collections::HashSet;

use gatehouse_events::ClientEvent;
use gatehouse_store::{Direction, Position, Range, StoreError};
use ruma::{EventId, OwnedEventId, RoomId};

use crate::{
    Rooms,
    history_visibility::VisibilityTimeline,
    present::{Detail, Viewer},
    read_error::ReadError,
    stored::StoredEvent,
    tables::{RELATIONS, RelationRow},
    token::Token,
};

/// Events a page when the client does not say.
pub const DEFAULT_PAGE: usize = 20;
/// Events a page at most.
pub const MAX_PAGE: usize = 100;
/// Levels of relations to relations that are followed; the specification asks for three at least.
pub const MAX_RECURSION: u32 = 3;
/// Relations looked at for one page.
const MAX_SCANNED: usize = 5_000;
/// Index rows read at once.
const BATCH: usize = 200;

/// Which relations.
#[derive(Debug, Clone)]
pub struct RelationsQuery {
    /// Only of this `rel_type`.
    pub rel_type: Option<String>,
    /// Only events of this type.
    pub kind: Option<String>,
    /// Forward in time or back.
    pub direction: Direction,
    /// Where to begin.
    pub from: Option<Token>,
    /// Where to stop.
    pub to: Option<Token>,
    /// Events at most; bounded by [`MAX_PAGE`].
    pub limit: Option<usize>,
    /// Whether to follow relations of relations.
    pub recursion: Recursion,
}

/// Whether relations of relations belong to the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recursion {
    /// Only what relates to the event itself.
    Direct,
    /// Also what relates to that, for [`MAX_RECURSION`] levels.
    Followed,
}

/// One page.
#[derive(Debug)]
pub struct RelationsPage {
    /// The relating events, in the order of the direction.
    pub chunk: Vec<ClientEvent>,
    /// Leads to the next page, when there is one.
    pub next_batch: Option<Token>,
    /// The levels that were followed, when that was asked for.
    pub recursion_depth: Option<u32>,
}

/// An index row: where the relating event is, and what the index knows of it.
pub(crate) type Relation = (Position, RelationRow);

impl RelationsQuery {
    fn admits(&self, row: &RelationRow) -> bool {
        self.rel_type
            .as_ref()
            .is_none_or(|rel_type| *rel_type == row.rel_type)
            && self.kind.as_ref().is_none_or(|kind| *kind == row.kind)
    }

    /// The point just past an event in the direction of the query.
    fn token_past(&self, position: Position) -> Token {
        match self.direction {
            Direction::Forward => Token::after(position),
            Direction::Backward => Token::before(position),
        }
    }

    /// The positions between the tokens, both included.
    fn bounds(&self) -> (Position, Position) {
        let (after, through) = match self.direction {
            Direction::Forward => (self.from, self.to),
            Direction::Backward => (self.to, self.from),
        };
        (
            after.map_or(Position::ZERO, |token| token.position().next()),
            through.map_or(Position::MAX, Token::position),
        )
    }
}

impl Rooms {
    /// A page of what relates to an event, as far as the viewer may see it.
    pub async fn relations(
        &self,
        viewer: Viewer<'_>,
        room_id: &RoomId,
        parent: &EventId,
        query: &RelationsQuery,
    ) -> Result<RelationsPage, ReadError> {
        // To a stranger, any event is one that does not exist.
        let view = self.visibility_timeline(room_id, viewer.user).await?;
        self.event_in_room(room_id, parent)
            .await?
            .filter(|event| view.sees(event.sight()))
            .ok_or(ReadError::EventNotFound)?;

        let (candidates, rest) = match query.recursion {
            Recursion::Direct => self.direct_relations(room_id, parent, query).await?,
            Recursion::Followed => (self.followed_relations(room_id, parent, query).await?, None),
        };
        let limit = query.limit.unwrap_or(DEFAULT_PAGE).clamp(1, MAX_PAGE);
        let (events, next_batch) = self
            .visible_page(room_id, &view, candidates, query, limit)
            .await?;
        let next_batch = next_batch.or(rest);
        Ok(RelationsPage {
            chunk: self.present(viewer, &view, events, Detail::Timeline).await?,
            next_batch,
            recursion_depth: (query.recursion == Recursion::Followed).then_some(MAX_RECURSION),
        })
    }

    async fn visible_page(
        &self,
        room_id: &RoomId,
        view: &VisibilityTimeline,
        candidates: Vec<Relation>,
        query: &RelationsQuery,
        limit: usize,
    ) -> Result<(Vec<StoredEvent>, Option<Token>), ReadError> {
        let mut page: Vec<StoredEvent> = Vec::new();
        for batch in candidates.chunks(BATCH) {
            let positions: Vec<_> = batch.iter().map(|(position, _)| *position).collect();
            for event in self.timeline_rows(room_id, &positions).await? {
                if event.redacted_by.is_some() || !view.sees(event.sight()) {
                    continue;
                }
                if page.len() == limit {
                    let next = page.last().map(|last| query.token_past(last.position));
                    return Ok((page, next));
                }
                page.push(event);
            }
        }
        Ok((page, None))
    }

    /// Those that the query admits among the next relations, and where the rest begins when there may be one.
    async fn direct_relations(
        &self,
        room_id: &RoomId,
        parent: &EventId,
        query: &RelationsQuery,
    ) -> Result<(Vec<Relation>, Option<Token>), StoreError> {
        let rows = self
            .relations_of(room_id, parent, query.bounds(), query.direction, MAX_SCANNED)
            .await?;
        let last = rows.last().filter(|_| rows.len() == MAX_SCANNED);
        let rest = last.map(|(position, _)| query.token_past(*position));
        let admitted = rows.into_iter().filter(|(_, row)| query.admits(row));
        Ok((admitted.collect(), rest))
    }

    /// Everything below the parent, in the order of the query; what relates along two ways appears once.
    async fn followed_relations(
        &self,
        room_id: &RoomId,
        parent: &EventId,
        query: &RelationsQuery,
    ) -> Result<Vec<Relation>, StoreError> {
        let everything = (Position::ZERO, Position::MAX);
        let mut found: Vec<Relation> = Vec::new();
        let mut met: HashSet<OwnedEventId> = HashSet::from([parent.to_owned()]);
        let mut level = vec![parent.to_owned()];
        for _ in 0..MAX_RECURSION {
            let mut next = Vec::new();
            for event_id in level {
                let left = MAX_SCANNED.saturating_sub(found.len());
                if left == 0 {
                    break;
                }
                let rows = self
                    .relations_of(room_id, &event_id, everything, query.direction, left)
                    .await?;
                for (position, row) in rows {
                    if met.insert(row.event_id.clone()) {
                        next.push(row.event_id.clone());
                        found.push((position, row));
                    }
                }
            }
            level = next;
        }
        let (first, last) = query.bounds();
        found.retain(|(position, row)| (first..=last).contains(position) && query.admits(row));
        found.sort_by_key(|(position, _)| *position);
        if query.direction == Direction::Backward {
            found.reverse();
        }
        Ok(found)
    }

    /// What relates to an event directly, between two positions.
    pub(crate) async fn relations_of(
        &self,
        room_id: &RoomId,
        parent: &EventId,
        (first, last): (Position, Position),
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<Relation>, StoreError> {
        let key = |position| (room_id.to_owned(), parent.to_owned(), position);
        let range = Range::all().from(&key(first)).through(&key(last));
        let rows = self.store.scan(&RELATIONS, &range, direction, limit).await?;
        Ok(rows
            .into_iter()
            .map(|((_, _, position), row)| (position, row))
            .collect())
    }
}
