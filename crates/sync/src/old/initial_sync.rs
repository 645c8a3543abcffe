//! `GET /initialSync` and `GET /rooms/{roomId}/initialSync`: how things are.

use gatehouse_directory::{PublicationError, RoomVisibility};
use gatehouse_rooms::{history_visibility::VisibilityTimeline, present::Detail, token::Token};
use gatehouse_store::Position;
use ruma::{OwnedDeviceId, OwnedRoomId, OwnedUserId, RoomId, events::room::member::MembershipState};
use serde::Serialize;

use super::{DEFAULT_MESSAGES, MAX_EVENTS};
use crate::{
    Sync,
    error::SyncError,
    filter::{Filter, RoomFilter},
    reading::{Reading, raw},
    response::{AccountDataEvent, RawEvent, token_text},
    room_list::{Extent, Shown},
    timeline::{Span, Stay},
    view::{StateWanted, View},
};

/// What is asked.
#[derive(Debug, Clone)]
pub struct InitialSyncRequest {
    /// Who asks.
    pub user: OwnedUserId,
    /// With which device.
    pub device: OwnedDeviceId,
    /// How many messages of each room; [`MAX_EVENTS`] at most, [`DEFAULT_MESSAGES`] when absent.
    pub limit: Option<usize>,
    /// Whether rooms that the user has left are wanted, too.
    pub archived: bool,
}

/// How things are.
#[derive(Debug, Serialize)]
pub struct InitialSync {
    /// Where to continue with `/events`.
    #[serde(serialize_with = "token_text")]
    pub end: Token,
    /// Who is there. Nothing yet.
    pub presence: Vec<RawEvent>,
    /// The user's rooms.
    pub rooms: Vec<RoomSnapshot>,
    /// Who has read what. Nothing yet.
    pub receipts: Vec<RawEvent>,
    /// The user's own data.
    pub account_data: Vec<RawEvent>,
}

/// How a room is.
#[derive(Debug, Serialize)]
pub struct RoomSnapshot {
    /// Which room.
    pub room_id: OwnedRoomId,
    /// How the user stands to it.
    pub membership: MembershipState,
    /// The invite, to one who is invited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invite: Option<RawEvent>,
    /// Who sent it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inviter: Option<OwnedUserId>,
    /// The last messages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub messages: Option<MessagesChunk>,
    /// The state: of now, or of when the user left.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<Vec<RawEvent>>,
    /// Whether it is in the published directory: `public` or `private`.
    pub visibility: &'static str,
    /// The user's own data of this room.
    pub account_data: Vec<RawEvent>,
    /// Who is there. Nothing yet.
    pub presence: Vec<RawEvent>,
    /// Who has read what. Nothing yet.
    pub receipts: Vec<RawEvent>,
}

/// The last messages of a room.
#[derive(Debug, Serialize)]
pub struct MessagesChunk {
    /// The messages, oldest first.
    pub chunk: Vec<RawEvent>,
    /// Where they begin; for paging back.
    #[serde(serialize_with = "token_text")]
    pub start: Token,
    /// Where they end.
    #[serde(serialize_with = "token_text")]
    pub end: Token,
}

impl Sync {
    /// All of the user's rooms.
    pub async fn initial_sync(&self, request: &InitialSyncRequest) -> Result<InitialSync, SyncError> {
        let now = self.store().position();
        let filter = filter(request.limit, request.archived);
        let reader = (&*request.user, &*request.device);
        let reading = Reading::new(self, reader, (None, now), &filter).await?;
        let list = reading
            .room_list(Extent::Changes, &std::collections::HashSet::new())
            .await?;
        let mut rooms = Vec::with_capacity(list.shown.len());
        for shown in &list.shown {
            rooms.extend(reading.snapshot(shown).await?);
        }
        Ok(InitialSync {
            end: Token::after(now),
            presence: Vec::new(),
            rooms,
            receipts: Vec::new(),
            account_data: reading.own_data(None).await?,
        })
    }

    /// One room, which the user is or was in, or which everybody may read.
    pub async fn room_initial_sync(
        &self,
        request: &InitialSyncRequest,
        room: &RoomId,
    ) -> Result<RoomSnapshot, SyncError> {
        let now = self.store().position();
        let filter = filter(request.limit, true);
        let reader = (&*request.user, &*request.device);
        let reading = Reading::new(self, reader, (None, now), &filter).await?;
        let view = self.rooms().view(room, &request.user).await?;
        let through = view.as_of.position().min(now);
        // Who only looks into a world readable room has none.
        let membership = view.timeline.membership_shown_at(now);
        reading
            .room_as_of(room, &view.timeline, through, membership)
            .await
    }
}

impl Reading<'_> {
    async fn snapshot(&self, shown: &Shown) -> Result<Option<RoomSnapshot>, SyncError> {
        match &shown.view {
            View::Joined { .. } => {
                let snapshot = self.room_as_of(shown.room(), &shown.sight, self.now, MembershipState::Join);
                Ok(Some(snapshot.await?))
            }
            View::Left { through, .. } => {
                let membership = shown.sight.membership_at(self.now).cloned();
                let membership = membership.unwrap_or(MembershipState::Leave);
                let snapshot = self.room_as_of(shown.room(), &shown.sight, *through, membership);
                Ok(Some(snapshot.await?))
            }
            View::Pending(at) => self.pending(shown, *at).await,
            View::Own(_) | View::Nothing => Ok(None),
        }
    }

    async fn room_as_of(
        &self,
        room: &RoomId,
        sight: &VisibilityTimeline,
        through: Position,
        membership: MembershipState,
    ) -> Result<RoomSnapshot, SyncError> {
        let rooms = self.sync.rooms();
        let stay = if membership == MembershipState::Join {
            Stay::Lasts
        } else {
            Stay::Ended
        };
        let span = Span {
            after: Position::ZERO,
            through,
            state: StateWanted::Full,
            stay,
        };
        let piece = self.timeline(room, sight, span).await?;
        let state = rooms.state_at(room, through).await?;
        Ok(RoomSnapshot {
            room_id: room.to_owned(),
            membership,
            invite: None,
            inviter: None,
            messages: Some(MessagesChunk {
                start: piece.prev_batch(),
                end: Token::after(through),
                chunk: self
                    .encode_with_room(sight, piece.events, Detail::Timeline)
                    .await?,
            }),
            state: Some(self.encode_with_room(sight, state, Detail::State).await?),
            visibility: self.visibility(room).await?,
            account_data: self.own_data(Some(room)).await?,
            presence: Vec::new(),
            receipts: Vec::new(),
        })
    }

    async fn pending(&self, shown: &Shown, at: Position) -> Result<Option<RoomSnapshot>, SyncError> {
        let rooms = self.sync.rooms();
        let events = rooms.own_events(self.user, shown.room(), &[at]).await?;
        let Some(event) = events.first() else {
            return Ok(None);
        };
        let Some(membership) = event.membership() else {
            return Ok(None);
        };
        let inviter = event.sender().to_owned();
        let is_invite = membership == MembershipState::Invite;
        let invite = self.encode_with_room(&shown.sight, events, Detail::State).await?;
        Ok(Some(RoomSnapshot {
            room_id: shown.room().to_owned(),
            membership,
            invite: invite.into_iter().next().filter(|_| is_invite),
            inviter: Some(inviter).filter(|_| is_invite),
            messages: None,
            state: None,
            visibility: self.visibility(shown.room()).await?,
            account_data: self.own_data(Some(shown.room())).await?,
            presence: Vec::new(),
            receipts: Vec::new(),
        }))
    }

    async fn visibility(&self, room: &RoomId) -> Result<&'static str, SyncError> {
        match self.sync.directory().visibility(room).await {
            Ok(RoomVisibility::Public) => Ok("public"),
            Err(PublicationError::Store(error)) => Err(error.into()),
            // No other reason is given for a room that the user has to do with.
            Ok(RoomVisibility::Private) | Err(_) => Ok("private"),
        }
    }

    /// The user's own data of a room, or of none.
    async fn own_data(&self, room: Option<&RoomId>) -> Result<Vec<RawEvent>, SyncError> {
        let data = match room {
            Some(room) => self.room_data(room).await?,
            None => self.account_data().await?,
        };
        Ok(data
            .into_iter()
            .filter(|data| data.room_id.as_deref() == room)
            .filter_map(|data| {
                raw(&AccountDataEvent {
                    kind: &data.kind,
                    room_id: None,
                    content: &data.content,
                })
            })
            .collect())
    }
}

fn filter(limit: Option<usize>, archived: bool) -> Filter {
    let limit = limit.unwrap_or(DEFAULT_MESSAGES).min(MAX_EVENTS);
    let mut room = RoomFilter {
        include_leave: archived,
        ..RoomFilter::default()
    };
    room.timeline.limit = u64::try_from(limit).ok();
    Filter {
        room,
        ..Filter::default()
    }
}
