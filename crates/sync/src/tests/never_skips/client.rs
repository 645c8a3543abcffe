//! A client as the specification describes one, and what it checks as it goes.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::poll_fn,
    task::Poll,
    time::Duration,
};

use crate::{Filter, Request, Response, StateForm, Sync, response};
use gatehouse_rooms::{
    Rooms, filter::RoomEventFilter, messages::MessagesQuery, present::Viewer, token::Token,
};
use gatehouse_store::{Direction, Position};
use ruma::{OwnedDeviceId, OwnedEventId, OwnedRoomId, OwnedUserId, RoomId};
use serde_json::Value;

use super::random::Random;

type StateKey = (String, String);

/// What the client knows of a room.
#[derive(Debug, Default)]
pub(crate) struct KnownRoom {
    /// Every event that a timeline of `/sync` has had.
    pub(crate) synced: Vec<OwnedEventId>,
    /// Events that paging back into gaps has had.
    pub(crate) filled: BTreeSet<OwnedEventId>,
    pub(crate) state: BTreeMap<StateKey, OwnedEventId>,
    /// Members, lazily loaded, of whom the client may know what was.
    pub(crate) stale: BTreeSet<StateKey>,
    pub(crate) joined: bool,
    /// Whether it ever was in `join`, or in `leave` after a stay.
    pub(crate) known: bool,
}

pub(crate) struct Client {
    pub(crate) name: String,
    pub(crate) user: OwnedUserId,
    pub(crate) device: OwnedDeviceId,
    pub(crate) filter: Filter,
    pub(crate) form: StateForm,
    pub(crate) since: Option<Token>,
    pub(crate) rooms: BTreeMap<OwnedRoomId, KnownRoom>,
    pub(crate) invited: BTreeSet<OwnedRoomId>,
    /// The last response, to be shown when something is wrong with it.
    last: String,
    random: Random,
}

impl Client {
    pub(crate) fn new(
        name: String,
        (user, device): (OwnedUserId, OwnedDeviceId),
        mut random: Random,
    ) -> Self {
        Self {
            name,
            user,
            device,
            filter: random_filter(&mut random),
            form: *random.pick(&[StateForm::Before, StateForm::After]),
            since: None,
            rooms: BTreeMap::new(),
            invited: BTreeSet::new(),
            last: String::new(),
            random,
        }
    }

    pub(crate) fn is_lazy(&self) -> bool {
        self.filter.room.state.lazy_load_members
    }

    /// Syncs once. Sometimes the response is lost on the way, and the token is used again.
    pub(crate) async fn sync(&mut self, sync: &Sync, rooms: &Rooms, timeout: Duration) -> Position {
        let request = Request {
            user: self.user.clone(),
            device: self.device.clone(),
            since: self.since,
            filter: Box::new(self.filter.clone()),
            timeout,
            full_state: self.random.once_in(20),
            state_form: self.form,
        };
        if self.random.once_in(6) {
            // Cancelled at some point, or answered and lost.
            let steps = self.random.below(30);
            abandon(sync.sync(&request), steps).await;
        }
        let response = sync.sync(&request).await.unwrap();
        let next = response.next_batch.position();
        self.last = format!(
            "since {:?} full {}: {}",
            request.since,
            request.full_state,
            serde_json::to_string(&response).unwrap()
        );
        self.take(response, rooms).await;
        next
    }

    async fn take(&mut self, response: Response, rooms: &Rooms) {
        let next = response.next_batch;
        assert!(
            self.since.is_none_or(|since| since <= next),
            "{}: went back",
            self.name
        );
        for (room, joined) in response.rooms.join {
            self.invited.remove(&room);
            let comes_back = !self.rooms.get(&room).is_some_and(|known| known.joined);
            let known = self.rooms.entry(room.clone()).or_default();
            known.joined = true;
            known.known = true;
            if comes_back && self.filter.room.state.lazy_load_members {
                // Members that changed while the user was away are not sent until they say something.
                let members = known.state.keys().filter(|(kind, _)| kind == "m.room.member");
                known.stale = members.cloned().collect();
            }
            self.take_room(rooms, &room, &joined.state, &joined.timeline)
                .await;
            self.check_senders(&room, &joined.timeline);
            self.check_state(rooms, &room, next.position()).await;
        }
        for (room, left) in response.rooms.leave {
            self.invited.remove(&room);
            self.rooms.entry(room.clone()).or_default().joined = false;
            self.take_room(rooms, &room, &left.state, &left.timeline).await;
            let known = self.rooms.entry(room.clone()).or_default();
            known.known |= !left.state.events().is_empty();
        }
        for (room, invited) in response.rooms.invite {
            assert!(!invited.invite_state.events.is_empty());
            if let Some(known) = self.rooms.get_mut(&room) {
                known.joined = false;
            }
            self.invited.insert(room);
        }
        for room in response.rooms.knock.into_keys() {
            if let Some(known) = self.rooms.get_mut(&room) {
                known.joined = false;
            }
        }
        self.since = Some(next);
    }

    async fn take_room(
        &mut self,
        rooms: &Rooms,
        room: &RoomId,
        state: &response::State,
        timeline: &response::Timeline,
    ) {
        let limit = self.filter.room.timeline_limit();
        assert!(
            timeline.events.len() <= limit + 3,
            "{}: over the limit",
            self.name
        );
        assert_eq!(
            matches!(state, response::State::After(_)),
            self.form == StateForm::After
        );
        if timeline.limited {
            self.fill_gap(rooms, room, timeline.prev_batch).await;
        }
        let known = self.rooms.get_mut(room).unwrap();
        for event in state.events() {
            let event = parse(event);
            let key = state_key(&event).unwrap();
            known.stale.remove(&key);
            known.state.insert(key, id(&event));
        }
        for event in &timeline.events {
            let event = parse(event);
            let id = id(&event);
            assert!(
                !known.synced.contains(&id),
                "{}: {room} repeats {event}",
                self.name
            );
            known.synced.push(id.clone());
            if let (StateForm::Before, Some(key)) = (self.form, state_key(&event)) {
                known.stale.remove(&key);
                known.state.insert(key, id);
            }
        }
    }

    /// Pages back from a token until something known, or nothing more, comes.
    async fn fill_gap(&mut self, rooms: &Rooms, room: &RoomId, from: Token) {
        let known = self.rooms.get_mut(room).unwrap();
        let viewer = Viewer {
            user: &self.user,
            device: Some(&self.device),
        };
        let mut from = Some(from);
        while let Some(token) = from {
            let query = MessagesQuery {
                from: Some(token),
                to: None,
                direction: Direction::Backward,
                limit: Some(7),
                filter: RoomEventFilter {
                    limit: None,
                    ..self.filter.room.timeline.clone()
                },
            };
            let Ok(page) = rooms.messages(viewer, room, &query).await else {
                // One who never was in the room may not page.
                return;
            };
            for event in &page.chunk {
                let id = event.event.event_id.clone();
                // What was done to the user while away was told ahead of what happened around it.
                let own = event.event.state_key.as_deref() == Some(self.user.as_str());
                if known.synced.contains(&id) && !own {
                    return;
                }
                known.filled.insert(id);
            }
            from = page.end;
        }
    }

    /// With lazy loading, the client knows everybody who says something.
    fn check_senders(&self, room: &RoomId, timeline: &response::Timeline) {
        let filter = &self.filter.room.state;
        if !filter.admits_type("m.room.member") || filter.admits_nothing() {
            return;
        }
        let known = &self.rooms[room];
        for event in &timeline.events {
            let event = parse(event);
            let sender = event["sender"].as_str().unwrap();
            let key = ("m.room.member".to_owned(), sender.to_owned());
            assert!(
                known.state.contains_key(&key),
                "{}: {room}: nobody knows {sender} of {event}, filter {:?}, last {}",
                self.name,
                self.filter.room,
                self.last
            );
        }
    }

    /// What the client has made of state and timeline is the room's state at the token.
    pub(crate) async fn check_state(&self, rooms: &Rooms, room: &RoomId, at: Position) {
        let known = &self.rooms[room];
        let wanted = &self.filter.room.state;
        let mut real = BTreeMap::new();
        for event in rooms.state_at(room, at).await.unwrap() {
            if wanted.admits(event.candidate()) {
                let key = (event.kind().to_owned(), event.state_key().unwrap().to_owned());
                real.insert(key, event.event_id().to_owned());
            }
        }
        for (key, id) in &real {
            match known.state.get(key) {
                None if self.is_lazy() && key.0 == "m.room.member" => {}
                Some(_) if known.stale.contains(key) => {}
                found => assert_eq!(
                    found,
                    Some(id),
                    "{}: {room}: {key:?} at {at}, form {:?}, filter {:?}, last {}",
                    self.name,
                    self.form,
                    self.filter.room,
                    self.last
                ),
            }
        }
    }
}

/// Polls a future a few times and drops it.
async fn abandon(future: impl Future, steps: usize) {
    let mut future = Box::pin(future);
    for _ in 0..steps {
        let is_ready = poll_fn(|context| Poll::Ready(future.as_mut().poll(context).is_ready()));
        if is_ready.await {
            return;
        }
        tokio::task::yield_now().await;
    }
}

fn random_filter(random: &mut Random) -> Filter {
    let mut filter = Filter::default();
    let room = &mut filter.room;
    room.timeline.limit = Some(*random.pick(&[1, 2, 3, 5, 20, 100]));
    room.state.lazy_load_members = random.once_in(2);
    room.state.include_redundant_members = random.once_in(3);
    room.include_leave = random.once_in(3);
    match random.below(8) {
        0 => room.timeline.types = Some(vec!["m.room.message".to_owned()]),
        1 => room.timeline.not_types = vec!["m.room.member".to_owned()],
        2 => room.timeline.types = Some(Vec::new()),
        3 => room.state.types = Some(vec!["m.room.topic".to_owned(), "m.room.name".to_owned()]),
        4 => room.state.not_types = vec!["m.room.name".to_owned()],
        _ => {}
    }
    filter
}

pub(crate) fn parse(event: &serde_json::value::RawValue) -> Value {
    serde_json::from_str(event.get()).unwrap()
}

fn id(event: &Value) -> OwnedEventId {
    event["event_id"].as_str().unwrap().try_into().unwrap()
}

fn state_key(event: &Value) -> Option<StateKey> {
    let state_key = event.get("state_key")?.as_str()?;
    Some((event["type"].as_str()?.to_owned(), state_key.to_owned()))
}
