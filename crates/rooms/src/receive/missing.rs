//! Getting what an event builds on from the server that sent it, with bounds: 20 events a request, 1,024 in all, 30
//! seconds (limits.md, "missing ancestors"; security.md X18).

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use gatehouse_events::{Event, Pdu, RoomVersion};
use gatehouse_store::{Direction, Range, StoreError};
use ruma::{OwnedEventId, OwnedRoomId, OwnedServerName, RoomId, ServerName};
use serde_json::value::RawValue;
use tokio::time::Instant;

use super::{Accepting, Received, order::parents_first};
use crate::{
    RoomHead, Rooms,
    remote_servers::{Answer, Fetch},
    tables::{BACKWARD, TIMELINE},
    write_error::WriteError,
};

/// Events asked for in one request.
const AT_ONCE: usize = 20;
/// Events fetched for all that came in one request.
const MAX_FETCHED: usize = 1_024;
/// Time for all that.
const PATIENCE: Duration = Duration::from_secs(30);

/// What may still be asked of a server for what it sent.
pub(super) struct Fetching {
    pub(super) origin: OwnedServerName,
    pub(super) room_id: OwnedRoomId,
    pub(super) version: RoomVersion,
    deadline: Instant,
    events_left: usize,
}

impl Fetching {
    pub(super) fn new(origin: &ServerName, room_id: &RoomId, version: RoomVersion) -> Self {
        Self {
            origin: origin.to_owned(),
            room_id: room_id.to_owned(),
            version,
            deadline: Instant::now() + PATIENCE,
            events_left: MAX_FETCHED,
        }
    }

    /// What the server answers, in time.
    pub(super) async fn ask<T>(&self, answer: Answer<'_, T>) -> Option<T> {
        match tokio::time::timeout_at(self.deadline, answer).await {
            Ok(Ok(answer)) => Some(answer),
            Ok(Err(error)) => {
                tracing::info!(server = %self.origin, room = %self.room_id, %error, "missing events cannot be had");
                None
            }
            Err(_) => None,
        }
    }

    /// How many of these may be taken; they are counted.
    fn take(&mut self, wanted: usize) -> usize {
        let taken = wanted.min(self.events_left);
        self.events_left -= taken;
        taken
    }
}

/// What a server gives of what lies before an event that it sent.
enum Ancestors {
    /// These, or nothing because nothing was asked for or nobody answered.
    Given(Vec<Pdu>),
    /// It was asked for all of it, and answered with none.
    KeptBack,
}

impl Ancestors {
    const NONE: Self = Self::Given(Vec::new());
}

impl Rooms {
    /// Takes in an event, after those that it builds on.
    pub(super) async fn take_in_with_ancestors(
        &self,
        fetching: &mut Fetching,
        pdu: Pdu,
    ) -> Result<Received, WriteError> {
        let event_id = pdu.event.event_id.clone();
        let Ancestors::Given(ancestors) = self.missing_ancestors(fetching, &pdu).await? else {
            let reason = "its server keeps back what it follows";
            return Ok(Received::Dropped(reason.to_owned()));
        };
        let all = ancestors.into_iter().chain([pdu]).collect();
        let mut received = Received::Dropped("it follows itself".to_owned());
        for pdu in parents_first(all, |event| &event.prev_events) {
            let is_last = pdu.event.event_id == event_id;
            let outcome = self.take_in(fetching, pdu).await;
            if is_last {
                received = outcome?;
            } else if let Err(WriteError::Store(error)) = outcome {
                return Err(error.into());
            }
        }
        Ok(received)
    }

    /// Takes in an event whose parents are here or cannot be had.
    async fn take_in(&self, fetching: &mut Fetching, pdu: Pdu) -> Result<Received, WriteError> {
        self.get_auth_events(fetching, &pdu).await?;
        let mut accepting = Accepting::from(&*fetching.origin);
        let mut lacks_state = self.lacks_state(&fetching.room_id, &pdu).await?;
        if lacks_state && let Some(ground) = self.ground_beside(&fetching.room_id, &pdu.event).await? {
            accepting.ground = Some(ground);
            return self.accept(&fetching.room_id, pdu, accepting).await;
        }
        if lacks_state && !self.is_whole_by(&fetching.room_id, fetching.deadline).await? {
            return Ok(Received::Dropped(
                "what it follows is not here, and the room's members are still being fetched".to_owned(),
            ));
        }
        if lacks_state {
            // Of what came meanwhile, some may be what it follows.
            lacks_state = self.lacks_state(&fetching.room_id, &pdu).await?;
        }
        if lacks_state {
            match self.get_state_before(fetching, &pdu).await? {
                Some(state) => accepting.state_before = Some(state),
                None => {
                    return Ok(Received::Dropped(
                        "what it follows is not here, and the state before it cannot be had".to_owned(),
                    ));
                }
            }
        }
        self.accept(&fetching.room_id, pdu, accepting).await
    }

    /// Whether the state after one of an event's parents is not known here.
    async fn lacks_state(&self, room_id: &RoomId, pdu: &Pdu) -> Result<bool, StoreError> {
        Ok(!self.unknown_of(room_id, &pdu.event.prev_events).await?.is_empty())
    }

    /// Those of these events after which the state is not known here.
    pub(super) async fn unknown_of(
        &self,
        room_id: &RoomId,
        ids: &[OwnedEventId],
    ) -> Result<Vec<OwnedEventId>, StoreError> {
        let placed = self.placed(room_id, ids).await?;
        let mut unknown = Vec::new();
        for id in ids {
            let known = match placed.get(id) {
                Some(placed) => placed.row.is_on_line() || self.has_state_before(room_id, placed).await?,
                None => false,
            };
            if !known {
                unknown.push(id.clone());
            }
        }
        Ok(unknown)
    }

    /// The events between those that are here and this one, as far as the server gives them. It is asked again as long as it
    /// gives as many as it was asked for: with fewer it has said what it will.
    async fn missing_ancestors(&self, fetching: &mut Fetching, pdu: &Pdu) -> Result<Ancestors, WriteError> {
        let event = &pdu.event;
        let mut wanted: HashSet<OwnedEventId> = self
            .not_here(&fetching.room_id, &event.prev_events)
            .await?
            .into_iter()
            .collect();
        if wanted.is_empty() {
            return Ok(Ancestors::NONE);
        }
        let Some(head) = self.head(&fetching.room_id).await? else {
            return Ok(Ancestors::NONE);
        };
        let floor = self.depth_of_oldest_gap(&head).await?;
        if event.depth <= floor {
            return Ok(Ancestors::NONE);
        }
        let earliest: Vec<OwnedEventId> = head.extremities.iter().rev().take(AT_ONCE).cloned().collect();
        let mut found: HashMap<OwnedEventId, Pdu> = HashMap::new();
        let mut latest = vec![event.event_id.clone()];
        while !latest.is_empty() {
            let limit = fetching.take(AT_ONCE);
            if limit == 0 {
                break;
            }
            let asked = self
                .ask_for_missing(fetching, (&earliest, &latest), (limit, floor))
                .await;
            let Some(raws) = asked else {
                break;
            };
            // Whoever sends an event has what it follows. Of a room whose beginning is not here, that may be too old.
            if raws.is_empty() && found.is_empty() && floor == 0 {
                return Ok(Ancestors::KeptBack);
            }
            let checked = self.check_pdus(fetching.version, &fetching.room_id, &raws).await;
            let came: HashMap<_, _> = checked
                .into_iter()
                .flatten()
                .filter(|pdu| pdu.event.depth >= floor)
                .map(|pdu| (pdu.event.event_id.clone(), pdu))
                .collect();
            latest = self
                .connect(&fetching.room_id, came, &mut wanted, &mut found)
                .await?;
            if raws.len() < limit {
                break;
            }
        }
        Ok(Ancestors::Given(found.into_values().collect()))
    }

    /// How deep the event is before which history is missing: mostly our join. What is less deep is the room's past, not news,
    /// and whoever pages back gets it. What is as deep came while we were let in: somebody else's join, without which
    /// nothing that they say would be allowed here. Who lies about depths is asked for less.
    async fn depth_of_oldest_gap(&self, head: &RoomHead) -> Result<u64, StoreError> {
        let range = Range::prefix(&(head.room_id.clone(),));
        let rows = self.store.scan(&BACKWARD, &range, Direction::Forward, 1).await?;
        let Some((key, _)) = rows.into_iter().next() else {
            return Ok(0);
        };
        let row = self.store.get(&TIMELINE, &key).await?;
        let event =
            row.and_then(|row| Event::parse(&row.pdu, &head.room_id, head.version, Some(&row.event_id)).ok());
        Ok(event.map_or(0, |event| event.depth))
    }

    async fn ask_for_missing(
        &self,
        fetching: &Fetching,
        (earliest, latest): (&[OwnedEventId], &[OwnedEventId]),
        (limit, min_depth): (usize, u64),
    ) -> Option<Vec<Box<RawValue>>> {
        let fetch = Fetch::MissingEvents {
            room_id: &fetching.room_id,
            earliest,
            latest,
            limit,
            min_depth,
        };
        let asked = self.shared.remote.fetch(&fetching.origin, fetch);
        let mut raws = fetching.ask(asked).await?;
        raws.truncate(limit);
        Some(raws)
    }

    /// Takes those of the events that are wanted, and wants what they follow. Says which of them to go on from: those whose
    /// parents are still missing.
    async fn connect(
        &self,
        room_id: &RoomId,
        mut came: HashMap<OwnedEventId, Pdu>,
        wanted: &mut HashSet<OwnedEventId>,
        found: &mut HashMap<OwnedEventId, Pdu>,
    ) -> Result<Vec<OwnedEventId>, StoreError> {
        let mut level: Vec<OwnedEventId> = wanted.iter().cloned().collect();
        let mut taken = Vec::new();
        while !level.is_empty() {
            let mut next = Vec::new();
            for id in level {
                let Some(pdu) = came.remove(&id) else {
                    continue;
                };
                wanted.remove(&id);
                for parent in self.not_here(room_id, &pdu.event.prev_events).await? {
                    if !found.contains_key(&parent) && wanted.insert(parent.clone()) {
                        next.push(parent);
                    }
                }
                taken.push(id.clone());
                found.insert(id, pdu);
            }
            level = next;
        }
        let lacks = |id: &OwnedEventId| {
            let pdu = found.get(id);
            pdu.is_some_and(|pdu| pdu.event.prev_events.iter().any(|parent| wanted.contains(parent)))
        };
        Ok(taken.into_iter().filter(lacks).take(AT_ONCE).collect())
    }

    /// Those of these events that are not here. What is kept for its state counts as here: with a join it is history, and
    /// whoever walks on through it takes the room's past for news.
    async fn not_here(
        &self,
        room_id: &RoomId,
        ids: &[OwnedEventId],
    ) -> Result<Vec<OwnedEventId>, StoreError> {
        let placed = self.placed(room_id, ids).await?;
        Ok(ids
            .iter()
            .filter(|id| !placed.contains_key(*id))
            .cloned()
            .collect())
    }
}
