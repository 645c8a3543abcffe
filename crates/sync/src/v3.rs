//! `GET /sync`: what happened since a token, or how things are.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    time::Duration,
};

use futures_util::FutureExt as _;
use gatehouse_accounts::AccountData;
use gatehouse_rooms::{history_visibility::VisibilityTimeline, present::Detail, token::Token};
use gatehouse_store::Position;
use ruma::{OwnedDeviceId, OwnedRoomId, OwnedUserId, RoomId, UserId, events::room::member::MembershipState};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    Sync,
    engine::Answer,
    error::SyncError,
    filter::Filter,
    push_rules::push_rules_event,
    reading::{Reading, raw},
    response::{
        AccountDataEvent, DeviceLists, Events, InvitedRoom, JoinedRoom, KnockedRoom, LeftRoom, RawEvent,
        Response, Rooms, State, StrippedEvent, Timeline, UnreadNotifications,
    },
    room_list::{Extent, Shown},
    state::StateForm,
    timeline::{Piece, Span, Stay},
    view::{Memberships, StateWanted, View},
};

/// What is asked.
#[derive(Debug, Clone)]
pub struct Request {
    /// Who asks.
    pub user: OwnedUserId,
    /// With which device.
    pub device: OwnedDeviceId,
    /// The `next_batch` of the response before; `None`: from the beginning.
    pub since: Option<Token>,
    /// What of it is wanted. In a box: a request that waits should be small.
    pub filter: Box<Filter>,
    /// How long to wait for something to happen.
    pub timeout: Duration,
    /// Whether to send all of the state and not wait.
    pub full_state: bool,
    /// Whether to send the state before the timeline or after it.
    pub state_form: StateForm,
}

impl Sync {
    /// What happened since the request's token. Waits for it as long as the request says.
    pub async fn sync(&self, request: &Request) -> Result<Response, SyncError> {
        let at_once = request.since.is_none() || request.full_state;
        let timeout = if at_once { Duration::ZERO } else { request.timeout };
        let reader = (&*request.user, &*request.device);
        self.poll(reader, timeout, |now| self.answer(request, now).boxed())
            .await
    }

    /// A filter that the user has stored.
    pub async fn stored_filter(&self, user: &UserId, id: &str) -> Result<Filter, SyncError> {
        let text = self
            .accounts()
            .filter(user, id)
            .await?
            .ok_or(SyncError::UnknownFilter)?;
        Ok(Filter::parse(&text)?)
    }

    async fn answer(&self, request: &Request, now: Position) -> Result<Answer<Response>, SyncError> {
        // A token from the future, as after a restore of a backup, is the present.
        let since = request.since.map(|since| since.position().min(now));
        let reader = (&*request.user, &*request.device);
        let reading = Reading::new(self, reader, (since, now), &request.filter).await?;
        let extent = if request.full_state {
            Extent::FullState
        } else {
            Extent::Changes
        };
        let data = reading.account_data().await?;
        let mut data = sort_account_data(&reading, data);
        let with_data: HashSet<OwnedRoomId> = data.of_rooms.keys().cloned().collect();
        let list = reading.room_list(extent, &with_data).await?;
        for shown in &list.shown {
            if let Some(whole) = reading.whole_room_data(shown).await? {
                let mut whole = sort_account_data(&reading, whole);
                data.of_rooms.extend(whole.of_rooms.remove_entry(shown.room()));
            }
        }

        let response = Response {
            next_batch: Token::after(now),
            rooms: reading
                .rooms(list.shown, &mut data.of_rooms, request.state_form)
                .await?,
            presence: Events::default(),
            account_data: Events { events: data.global },
            to_device: Events::default(),
            device_lists: DeviceLists::default(),
            device_one_time_keys_count: BTreeMap::new(),
            device_unused_fallback_key_types: Vec::new(),
        };
        Ok(
            if response.rooms.is_empty() && response.account_data.events.is_empty() {
                Answer::Nothing {
                    response,
                    rooms: list.joined,
                }
            } else {
                Answer::Something(response)
            },
        )
    }
}

/// A user's own data, by room.
#[derive(Debug, Default)]
struct SortedAccountData {
    global: Vec<RawEvent>,
    of_rooms: HashMap<OwnedRoomId, Vec<RawEvent>>,
}

fn sort_account_data(reading: &Reading<'_>, data: Vec<AccountData>) -> SortedAccountData {
    let mut sorted = SortedAccountData::default();
    let filter = reading.filter;
    let user = reading.user.as_str();
    if reading.since.is_none() && filter.account_data.admits_type("m.push_rules") {
        sorted.global.extend(raw(&push_rules_event(reading.user)));
    }
    for AccountData {
        room_id,
        kind,
        content,
        ..
    } in data
    {
        let wanted = match &room_id {
            None => &filter.account_data,
            Some(_) => &filter.room.account_data,
        };
        let admitted = wanted.admits_type(&kind)
            && wanted.admits_sender(user)
            && room_id
                .as_ref()
                .is_none_or(|room| wanted.admits_room(room) && reading.admits_room(room));
        let event = AccountDataEvent {
            kind: &kind,
            room_id: None,
            content: &content,
        };
        let Some(event) = raw(&event).filter(|_| admitted) else {
            continue;
        };
        match room_id {
            None => sorted.global.push(event),
            Some(room) => sorted.of_rooms.entry(room).or_default().push(event),
        }
    }
    sorted
}

impl Reading<'_> {
    /// All of the user's own data of a room that was joined since the last sync: what was set while the user was not
    /// in it was not told.
    async fn whole_room_data(&self, shown: &Shown) -> Result<Option<Vec<AccountData>>, SyncError> {
        let is_whole = matches!(
            shown.view,
            View::Joined {
                state: StateWanted::Full,
                ..
            }
        );
        if !is_whole || self.since.is_none() {
            return Ok(None);
        }
        self.room_data(shown.room()).await.map(Some)
    }

    /// The `rooms` of a response.
    async fn rooms(
        &self,
        shown: Vec<Shown>,
        data: &mut HashMap<OwnedRoomId, Vec<RawEvent>>,
        form: StateForm,
    ) -> Result<Rooms, SyncError> {
        let mut rooms = Rooms::default();
        for shown in shown {
            let data = data.remove(shown.room()).unwrap_or_default();
            match shown.view {
                View::Joined { after, state } => {
                    let span = Span {
                        after,
                        through: self.now,
                        state,
                        stay: Stay::Lasts,
                    };
                    if let Some(joined) = self.joined_room(&shown, span, form, data).await? {
                        rooms.join.insert(shown.membership.room_id, joined);
                    }
                }
                View::Left { .. } | View::Own(_) => {
                    if let Some(left) = self.left_room(&shown, form, data).await? {
                        rooms.leave.insert(shown.membership.room_id, left);
                    }
                }
                View::Pending(at) => self.pending_room(shown, at, &mut rooms).await?,
                View::Nothing => {}
            }
        }
        Ok(rooms)
    }

    async fn piece(
        &self,
        (room, sight): (&RoomId, &VisibilityTimeline),
        span: Span,
        form: StateForm,
    ) -> Result<Piece, SyncError> {
        let piece = self.timeline(room, sight, span).await?;
        match form {
            StateForm::Before => self.without_misleading_state(room, span, piece).await,
            StateForm::After => Ok(piece),
        }
    }

    async fn joined_room(
        &self,
        shown: &Shown,
        span: Span,
        form: StateForm,
        data: Vec<RawEvent>,
    ) -> Result<Option<JoinedRoom>, SyncError> {
        let room = (shown.room(), &shown.sight);
        let piece = self.piece(room, span, form).await?;
        let summary = self.summary(room.0, span, &piece).await?;
        let heroes = summary.heroes.as_deref().unwrap_or_default();
        let state = self.state(room, (span, &piece), form, heroes).await?;
        let nothing = !span.state.is_whole()
            && piece.events.is_empty()
            && !piece.limited
            && state.events().is_empty()
            && summary.is_empty()
            && data.is_empty();
        if nothing {
            return Ok(None);
        }
        Ok(Some(JoinedRoom {
            summary,
            state,
            timeline: Timeline {
                limited: piece.limited,
                prev_batch: piece.prev_batch(),
                events: self.encode(room.1, piece.events, Detail::Timeline).await?,
            },
            ephemeral: Events::default(),
            account_data: Events { events: data },
            unread_notifications: UnreadNotifications::default(),
        }))
    }

    async fn left_room(
        &self,
        shown: &Shown,
        form: StateForm,
        data: Vec<RawEvent>,
    ) -> Result<Option<LeftRoom>, SyncError> {
        let room = (shown.room(), &shown.sight);
        let memberships = Memberships(shown.sight.memberships());
        let (span, own) = match &shown.view {
            View::Left {
                after,
                through,
                state,
            } => {
                let span = Span {
                    after: *after,
                    through: *through,
                    state: *state,
                    stay: Stay::Ended,
                };
                (span, memberships.own_between(*through, self.now))
            }
            View::Own(own) => (nothing_before(own), own.clone()),
            _ => return Ok(None),
        };
        let mut piece = self.piece(room, span, form).await?;
        let mut state = self.state(room, (span, &piece), form, &[]).await?;
        // What was done to the user after that, or without a stay: all that is told of the time.
        piece.limited |= span.state == StateWanted::None;
        let wanted = &self.filter.room.timeline;
        let mut own = self.sync.rooms().own_events(self.user, room.0, &own).await?;
        if let (State::After(state), Some(last)) = (&mut state, own.last()) {
            let last = vec![last.clone()];
            state.extend(self.encode(room.1, last, Detail::State).await?);
        }
        own.retain(|event| wanted.admits_room(room.0) && wanted.admits(event.candidate()));
        piece.events.extend(own);
        Ok(Some(LeftRoom {
            state,
            timeline: Timeline {
                limited: piece.limited,
                prev_batch: piece.prev_batch(),
                events: self.encode(room.1, piece.events, Detail::Timeline).await?,
            },
            account_data: Events { events: data },
        }))
    }

    async fn pending_room(&self, shown: Shown, at: Position, rooms: &mut Rooms) -> Result<(), SyncError> {
        let membership = shown.membership;
        // What is stored along with it is of now; when that is later than this sync, the next one tells what became
        // of it.
        if membership.position != at {
            return Ok(());
        }
        let engine = self.sync.rooms();
        let own = engine.own_events(self.user, &membership.room_id, &[at]).await?;
        let Some(own) = own.into_iter().next() else {
            return Ok(());
        };
        let mut events = membership.stripped_state;
        if !events.iter().any(|event| self.is_own_membership(event)) {
            events.extend(raw(&StrippedEvent {
                kind: own.kind(),
                state_key: self.user.as_str(),
                sender: own.sender(),
                content: own.content(),
            }));
        }
        let events = Events { events };
        if membership.membership == MembershipState::Knock {
            let room = KnockedRoom { knock_state: events };
            rooms.knock.insert(membership.room_id, room);
        } else if !self.standing.ignored.contains(own.sender()) {
            let room = InvitedRoom { invite_state: events };
            rooms.invite.insert(membership.room_id, room);
        }
        Ok(())
    }

    /// Whether a stripped event is the user's own membership.
    fn is_own_membership(&self, event: &RawValue) -> bool {
        #[derive(Deserialize)]
        struct Key<'a> {
            #[serde(rename = "type")]
            kind: &'a str,
            state_key: &'a str,
        }
        serde_json::from_str::<Key<'_>>(event.get())
            .is_ok_and(|key| key.kind == "m.room.member" && key.state_key == self.user.as_str())
    }
}

/// The empty span just before what was done to a user who was not in the room.
fn nothing_before(own: &[Position]) -> Span {
    let start = own.first().map_or(Position::ZERO, |first| first.previous());
    Span {
        after: start,
        through: start,
        state: StateWanted::None,
        stay: Stay::Ended,
    }
}
