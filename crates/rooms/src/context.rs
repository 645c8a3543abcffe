//! `GET /rooms/{roomId}/context/{eventId}`: an event and what happened around it.

use gatehouse_events::ClientEvent;
use gatehouse_store::Direction;
use ruma::{EventId, RoomId};

use crate::{
    Rooms,
    filter::RoomEventFilter,
    present::{Detail, Viewer},
    read_error::ReadError,
    stored::StoredEvent,
    tables::EVENT_INDEX,
    timeline_walk::TimelineWalk,
    token::Token,
};

/// Events around the one asked for when the client does not say (client-server API).
pub const DEFAULT_AROUND: usize = 10;
/// Events around the one asked for at most (limits, "/context").
pub const MAX_AROUND: usize = 100;

/// An event in its context.
#[derive(Debug)]
pub struct EventContext {
    /// Ahead of all events returned; for going back with `/messages`.
    pub start: Token,
    /// After all events returned; for going forward.
    pub end: Token,
    /// The event itself.
    pub event: ClientEvent,
    /// Before it, the latest first.
    pub events_before: Vec<ClientEvent>,
    /// After it, the earliest first.
    pub events_after: Vec<ClientEvent>,
    /// The room's state at the last event returned.
    pub state: Vec<ClientEvent>,
}

impl Rooms {
    /// The event with up to `limit` others around it that the viewer may see and the filter lets through.
    pub async fn event_context(
        &self,
        viewer: Viewer<'_>,
        room_id: &RoomId,
        event_id: &EventId,
        limit: Option<usize>,
        filter: &RoomEventFilter,
    ) -> Result<EventContext, ReadError> {
        let view = self.view(room_id, viewer.user).await?;
        let event = self
            .event_in_room(room_id, event_id)
            .await?
            .filter(|event| view.timeline.sees(event.sight()))
            .ok_or(ReadError::EventNotFound)?;

        let limit = limit.unwrap_or(DEFAULT_AROUND).min(MAX_AROUND);
        let wanted = |event: &StoredEvent| {
            filter.admits_room(room_id)
                && view.timeline.sees(event.sight())
                && filter.admits(event.candidate())
        };
        let walk = |from, direction| TimelineWalk::new(room_id, &view.timeline, Some(from), None, direction);
        let before = walk(Token::before(event.position), Direction::Backward)
            .take(self, limit / 2, wanted)
            .await?
            .events;
        let after = walk(Token::after(event.position), Direction::Forward)
            .take(self, limit - limit / 2, wanted)
            .await?
            .events;

        let first = before.last().map_or(event.position, |event| event.position);
        let last = after.last().map_or(event.position, |event| event.position);
        let shown = view.state_shown_with(last);
        let state = if filter.lazy_load_members {
            let senders = before.iter().chain([&event]).chain(&after);
            let senders = senders.map(|event| event.sender().to_owned()).collect::<Vec<_>>();
            let mut state = self.state_without_members_at(room_id, shown).await?;
            state.extend(self.members_at(room_id, senders, shown).await?);
            state
        } else {
            self.state_at(room_id, shown).await?
        };
        let state = state
            .into_iter()
            .filter(|event| filter.admits(event.candidate()))
            .collect();

        let timeline = &view.timeline;
        let event = self
            .present(viewer, timeline, vec![event], Detail::Timeline)
            .await?;
        Ok(EventContext {
            start: Token::before(first),
            end: Token::after(last),
            event: event.into_iter().next().ok_or(ReadError::EventNotFound)?,
            events_before: self.present(viewer, timeline, before, Detail::Timeline).await?,
            events_after: self.present(viewer, timeline, after, Detail::Timeline).await?,
            state: self.present(viewer, timeline, state, Detail::State).await?,
        })
    }

    /// One event by its id: `GET /rooms/{roomId}/event/{eventId}`.
    pub async fn one_event(
        &self,
        viewer: Viewer<'_>,
        room_id: &RoomId,
        event_id: &EventId,
    ) -> Result<ClientEvent, ReadError> {
        // To a stranger, any event is one that does not exist.
        let timeline = self.visibility_timeline(room_id, viewer.user).await?;
        let event = self
            .event_in_room(room_id, event_id)
            .await?
            .filter(|event| timeline.sees(event.sight()))
            .ok_or(ReadError::EventNotFound)?;
        let events = self
            .present(viewer, &timeline, vec![event], Detail::Timeline)
            .await?;
        events.into_iter().next().ok_or(ReadError::EventNotFound)
    }

    /// As [`Rooms::one_event`], in whichever room it is, as the API of 2015 asked for it. The id grants nothing: an
    /// event that the viewer may not see is one that does not exist.
    pub async fn one_event_by_id(
        &self,
        viewer: Viewer<'_>,
        event_id: &EventId,
    ) -> Result<ClientEvent, ReadError> {
        let place = self.store.get(&EVENT_INDEX, &(event_id.to_owned(),)).await?;
        let (room_id, _) = place.ok_or(ReadError::EventNotFound)?;
        self.one_event(viewer, &room_id, event_id).await
    }
}
