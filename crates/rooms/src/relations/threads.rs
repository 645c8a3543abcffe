//! `GET /rooms/{roomId}/threads`: the roots of a room's threads, the latest active first.

use std::collections::HashSet;

use gatehouse_events::ClientEvent;
use gatehouse_store::{Direction, Position, Range, StoreError};
use ruma::{EventId, RoomId, UserId};

use crate::{
    Rooms,
    present::{Detail, Viewer},
    read_error::ReadError,
    tables::THREAD_ACTIVITY,
    token::Token,
};

/// Threads a page when the client does not say.
pub const DEFAULT_PAGE: usize = 20;
/// Threads a page at most.
pub const MAX_PAGE: usize = 100;
/// Messages in threads that are looked at for one page; then it ends, with a token to go on from.
const MAX_SCANNED: usize = 5_000;
/// Messages of one thread that are looked at to find out who takes part.
const MAX_PARTICIPATION_SCAN: usize = 1_000;
/// Index rows read at once.
const BATCH: usize = 200;

/// Which threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Include {
    /// All of them.
    All,
    /// Those that the user started or answered in.
    Participated,
}

/// One page.
#[derive(Debug)]
pub struct ThreadsPage {
    /// The roots.
    pub chunk: Vec<ClientEvent>,
    /// Leads to the next page, when there is one.
    pub next_batch: Option<Token>,
}

impl Rooms {
    /// A page of thread roots that the viewer may see.
    pub async fn threads(
        &self,
        viewer: Viewer<'_>,
        room_id: &RoomId,
        include: Include,
        limit: Option<usize>,
        from: Option<Token>,
    ) -> Result<ThreadsPage, ReadError> {
        let view = self.view(room_id, viewer.user).await?.timeline;
        let limit = limit.unwrap_or(DEFAULT_PAGE).clamp(1, MAX_PAGE);
        let mut roots = Vec::new();
        let mut met = HashSet::new();
        let mut last = from.map_or(Position::MAX, Token::position);
        let mut scanned = 0;
        let mut next_batch = None;
        'pages: while scanned < MAX_SCANNED {
            let rows = self.thread_activity(room_id, last).await?;
            scanned += BATCH;
            let Some((oldest, _)) = rows.last() else {
                next_batch = None;
                break;
            };
            last = oldest.previous();
            for (position, root_id) in rows {
                if roots.len() == limit {
                    break 'pages;
                }
                next_batch = Some(Token::before(position));
                if !met.insert(root_id.clone()) || !self.is_latest(room_id, &root_id, position).await? {
                    continue;
                }
                let root = self.event_in_room(room_id, &root_id).await?;
                let Some(root) = root.filter(|root| view.sees(root.sight())) else {
                    continue;
                };
                if include == Include::All
                    || root.sender() == viewer.user
                    || self.answered(room_id, &root_id, viewer.user).await?
                {
                    roots.push(root);
                }
            }
        }
        Ok(ThreadsPage {
            chunk: self.present(viewer, &view, roots, Detail::Timeline).await?,
            next_batch,
        })
    }

    async fn thread_activity(
        &self,
        room_id: &RoomId,
        last: Position,
    ) -> Result<Vec<(Position, ruma::OwnedEventId)>, StoreError> {
        let room = room_id.to_owned();
        let range = Range::prefix(&(room.clone(),)).through(&(room, last));
        let rows = self
            .store
            .scan(&THREAD_ACTIVITY, &range, Direction::Backward, BATCH)
            .await?;
        Ok(rows
            .into_iter()
            .map(|((_, position), (root,))| (position, root))
            .collect())
    }

    /// Whether the thread's last message is the one at this position: a root is listed there, and only there.
    async fn is_latest(
        &self,
        room_id: &RoomId,
        root: &EventId,
        position: Position,
    ) -> Result<bool, StoreError> {
        let later = (position.next(), Position::MAX);
        let rows = self
            .relations_of(room_id, root, later, Direction::Backward, BATCH)
            .await?;
        Ok(!rows.iter().any(|(_, row)| row.rel_type == "m.thread"))
    }

    async fn answered(&self, room_id: &RoomId, root: &EventId, user: &UserId) -> Result<bool, StoreError> {
        let everything = (Position::ZERO, Position::MAX);
        let rows = self
            .relations_of(
                room_id,
                root,
                everything,
                Direction::Backward,
                MAX_PARTICIPATION_SCAN,
            )
            .await?;
        Ok(rows
            .iter()
            .any(|(_, row)| row.rel_type == "m.thread" && row.sender == user))
    }
}
