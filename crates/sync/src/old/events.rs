//! `GET /events`: what happens, as one stream over all rooms.

use std::{collections::HashSet, time::Duration};

use futures_util::FutureExt as _;
use gatehouse_rooms::{history_visibility::VisibilityTimeline, present::Detail, token::Token};
use gatehouse_store::{Direction, Position};
use ruma::{OwnedDeviceId, OwnedRoomId, OwnedUserId, RoomId, events::room::member::MembershipState};
use serde::Serialize;

use super::MAX_EVENTS;
use crate::{
    Sync,
    engine::Answer,
    error::SyncError,
    filter::Filter,
    reading::{Reading, raw},
    response::{AccountDataEvent, RawEvent, token_text},
    room_list::{Extent, Shown},
    view::{Memberships, View},
};

/// What is asked.
#[derive(Debug, Clone)]
pub struct EventsRequest {
    /// Who asks.
    pub user: OwnedUserId,
    /// With which device.
    pub device: OwnedDeviceId,
    /// Where to begin; `None`: now.
    pub from: Option<Token>,
    /// How long to wait for something to happen.
    pub timeout: Duration,
    /// Only this room, which the user need not be in when everybody may read it.
    pub room: Option<OwnedRoomId>,
    /// How many events at most; [`MAX_EVENTS`] at most.
    pub limit: Option<usize>,
}

/// A stretch of the stream.
#[derive(Debug, Serialize)]
pub struct EventsPage {
    /// The events, oldest first.
    pub chunk: Vec<RawEvent>,
    /// Where it begins.
    #[serde(serialize_with = "token_text")]
    pub start: Token,
    /// Where to continue.
    #[serde(serialize_with = "token_text")]
    pub end: Token,
}

/// Something of the stream and its place in it.
type Placed = (Position, RawEvent);

impl Sync {
    /// What happened since a token, oldest first. Waits for it as long as the request says.
    pub async fn events(&self, request: &EventsRequest) -> Result<EventsPage, SyncError> {
        let from = request
            .from
            .map_or_else(|| self.store().position(), Token::position);
        let reader = (&*request.user, &*request.device);
        self.poll(reader, request.timeout, |now| {
            self.events_until(request, from.min(now), now).boxed()
        })
        .await
    }

    async fn events_until(
        &self,
        request: &EventsRequest,
        from: Position,
        now: Position,
    ) -> Result<Answer<EventsPage>, SyncError> {
        let filter = Filter::default();
        let reader = (&*request.user, &*request.device);
        let reading = Reading::new(self, reader, (Some(from), now), &filter).await?;
        let limit = request
            .limit
            .map_or(MAX_EVENTS, |limit| limit.clamp(1, MAX_EVENTS));
        let (stream, rooms) = match &request.room {
            Some(room) => (reading.peeked(room, limit).await?, vec![room.clone()]),
            None => reading.stream(limit).await?,
        };
        let Stream { mut placed, mut end } = stream;
        placed.sort_by_key(|(position, _)| *position);
        // What does not fit is left for the next page, and so is everything after it.
        if let Some((first_left, _)) = placed.get(limit) {
            end = end.min(first_left.previous());
        }
        placed.retain(|(position, _)| *position <= end);
        let nothing = placed.is_empty() && end == now;
        let page = EventsPage {
            chunk: placed.into_iter().map(|(_, event)| event).collect(),
            start: Token::after(from),
            end: Token::after(end),
        };
        Ok(if nothing {
            Answer::Nothing {
                response: page,
                rooms,
            }
        } else {
            Answer::Something(page)
        })
    }
}

/// Part of the stream: everything up to `end`, and some of what comes after.
#[derive(Debug)]
struct Stream {
    placed: Vec<Placed>,
    end: Position,
}

impl Stream {
    fn join(&mut self, other: Self) {
        self.placed.extend(other.placed);
        self.end = self.end.min(other.end);
    }
}

impl Reading<'_> {
    /// What happened in the user's rooms and to the user's own data, and the rooms to wait for.
    async fn stream(&self, limit: usize) -> Result<(Stream, Vec<OwnedRoomId>), SyncError> {
        let list = self.room_list(Extent::Changes, &HashSet::new()).await?;
        let mut stream = Stream {
            placed: self.placed_account_data().await?,
            end: self.now,
        };
        for shown in &list.shown {
            stream.join(self.new_events(shown, limit).await?);
        }
        Ok((stream, list.joined))
    }

    async fn placed_account_data(&self) -> Result<Vec<Placed>, SyncError> {
        let mut placed = Vec::new();
        for data in self.account_data().await? {
            let event = AccountDataEvent {
                kind: &data.kind,
                room_id: data.room_id.as_deref(),
                content: &data.content,
            };
            placed.extend(raw(&event).map(|event| (data.position, event)));
        }
        Ok(placed)
    }

    /// What happened in one room that the user is in or that everybody may read.
    async fn peeked(&self, room: &RoomId, limit: usize) -> Result<Stream, SyncError> {
        let sight = self.sync.rooms().visibility_timeline(room, self.user).await?;
        let joined = sight.membership() == Some(&MembershipState::Join);
        if !joined && !sight.world_readable() {
            return Err(SyncError::NotInRoom);
        }
        self.first_events(room, &sight, (self.now, &[]), limit).await
    }

    /// What the user may see of what happened in a room.
    async fn new_events(&self, shown: &Shown, limit: usize) -> Result<Stream, SyncError> {
        let versions = shown.sight.memberships();
        let count = versions.partition_point(|(at, _)| *at <= self.now);
        let memberships = Memberships(versions.get(..count).unwrap_or(versions));
        let (through, own) = match &shown.view {
            // Of a forgotten room, too.
            View::Own(own) => (Position::ZERO, own.clone()),
            View::Joined { .. } => (self.now, Vec::new()),
            View::Left { .. } | View::Pending(_) | View::Nothing => memberships.stay_and_own(self.after()),
        };
        self.first_events(shown.room(), &shown.sight, (through, &own), limit)
            .await
    }

    /// The first events after where this reading begins and up to `through`, and those at the places in `own`.
    async fn first_events(
        &self,
        room: &RoomId,
        sight: &VisibilityTimeline,
        (through, own): (Position, &[Position]),
        limit: usize,
    ) -> Result<Stream, SyncError> {
        let rooms = self.sync.rooms();
        let mut end = self.now;
        let mut events = Vec::new();
        let first = self.after().next();
        if first <= through {
            // One more than fits, so that one can tell whether there is more.
            let rows = rooms
                .timeline(room, (first, through), Direction::Forward, limit + 1)
                .await?;
            if let Some(last) = rows.last.filter(|_| rows.scanned > limit) {
                end = last;
            }
            events = rows.events;
        }
        events.extend(rooms.own_events(self.user, room, own).await?);
        events.retain(|event| sight.sees(event.sight()) && !self.ignores(event));
        let positions: Vec<_> = events.iter().map(|event| event.position).collect();
        let events = self.encode_with_room(sight, events, Detail::Timeline).await?;
        Ok(Stream {
            placed: positions.into_iter().zip(events).collect(),
            end,
        })
    }
}
