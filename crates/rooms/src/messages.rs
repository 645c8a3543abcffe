//! `GET /rooms/{roomId}/messages`: pages of a room's history.

use gatehouse_events::ClientEvent;
use gatehouse_store::Direction;
use ruma::RoomId;

use crate::{
    Rooms,
    filter::RoomEventFilter,
    present::{Detail, Viewer},
    read_error::ReadError,
    timeline_walk::TimelineWalk,
    token::Token,
};

/// Events a page when the client does not say (client-server API).
pub const DEFAULT_PAGE: usize = 10;
/// Events a page at most; more is silently less (limits, "/messages limit").
pub const MAX_PAGE: usize = 1_000;

/// What is asked.
#[derive(Debug, Clone)]
pub struct MessagesQuery {
    /// Where to begin; absent: at the end of what is visible that the direction leads away from.
    pub from: Option<Token>,
    /// Where to stop.
    pub to: Option<Token>,
    /// Forward in time or back.
    pub direction: Direction,
    /// Events at most; absent: [`DEFAULT_PAGE`], bounded by [`MAX_PAGE`].
    pub limit: Option<usize>,
    /// Which events.
    pub filter: RoomEventFilter,
}

/// One page.
#[derive(Debug)]
pub struct MessagesPage {
    /// Where it begins.
    pub start: Token,
    /// Where the next one begins; absent when there is nothing further.
    pub end: Option<Token>,
    /// The events, in the order of the direction.
    pub chunk: Vec<ClientEvent>,
    /// With lazy-loaded members: those who sent something on the page.
    pub state: Vec<ClientEvent>,
}

impl Rooms {
    /// A page of the room's history, as far as the viewer may see it.
    pub async fn messages(
        &self,
        viewer: Viewer<'_>,
        room_id: &RoomId,
        query: &MessagesQuery,
    ) -> Result<MessagesPage, ReadError> {
        let view = self.view(room_id, viewer.user).await?;
        let start = query.from.unwrap_or(match query.direction {
            Direction::Forward => Token::START,
            Direction::Backward => Token(self.store.position()),
        });
        let filter = &query.filter;
        let limit = query
            .limit
            .or_else(|| filter.limit.and_then(|limit| usize::try_from(limit).ok()))
            .unwrap_or(DEFAULT_PAGE)
            .min(MAX_PAGE);
        if limit == 0 || filter.admits_nothing() || !filter.admits_room(room_id) {
            return Ok(MessagesPage {
                start,
                end: None,
                chunk: Vec::new(),
                state: Vec::new(),
            });
        }
        let stretch = TimelineWalk::new(room_id, &view.timeline, Some(start), query.to, query.direction)
            .take(self, limit, |event| {
                view.timeline.sees(event.sight()) && filter.admits(event.candidate())
            })
            .await?;
        // As of the latest event, whichever way the page goes: by then all of them have joined.
        let latest = stretch.events.iter().map(|event| event.position).max();
        let state = match latest {
            Some(latest) if filter.lazy_load_members => {
                let senders = stretch.events.iter().map(|event| event.sender().to_owned());
                let shown = view.state_shown_with(latest);
                let members = self.members_at(room_id, senders, shown).await?;
                self.present(viewer, &view.timeline, members, Detail::State)
                    .await?
            }
            _ => Vec::new(),
        };
        Ok(MessagesPage {
            start,
            end: stretch.end,
            chunk: self
                .present(viewer, &view.timeline, stretch.events, Detail::Timeline)
                .await?,
            state,
        })
    }
}
