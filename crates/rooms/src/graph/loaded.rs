//! Events as the graph needs them: rejected ones too, and with their auth chains.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use gatehouse_events::Event;
use gatehouse_store::{Position, StoreError};
use ruma::{EventId, OwnedEventId, RoomId};

use super::resolution_error::ResolutionError;
use crate::{
    Rooms,
    tables::{EVENT_INDEX, EventRow, Standing, TIMELINE},
};

/// Rows read at once.
const BATCH: usize = 1_000;
/// How many events of auth chains are looked at for one question: bounds its memory at some hundred megabytes. The
/// chains of a room's disputes are far shorter, unless somebody makes them long.
const MAX_CHAIN: usize = 200_000;

/// A row and where it is.
#[derive(Debug, Clone)]
pub(crate) struct Placed {
    pub(crate) position: Position,
    pub(crate) row: EventRow,
}

impl Rooms {
    /// The rows of events of the room by their ids, rejected ones too; those that are not there are left out.
    pub(crate) async fn placed(
        &self,
        room_id: &RoomId,
        ids: &[OwnedEventId],
    ) -> Result<HashMap<OwnedEventId, Placed>, StoreError> {
        let mut found = HashMap::with_capacity(ids.len());
        for ids in ids.chunks(BATCH) {
            let keys: Vec<_> = ids.iter().map(|id| (id.clone(),)).collect();
            let places = self.store.get_many(&EVENT_INDEX, &keys).await?;
            let places: Vec<_> = places
                .into_iter()
                .flatten()
                .filter(|(room, _)| room == room_id)
                .collect();
            let rows = self.store.get_many(&TIMELINE, &places).await?;
            for ((_, position), row) in places.into_iter().zip(rows) {
                if let Some(row) = row {
                    found.insert(row.event_id.clone(), Placed { position, row });
                }
            }
        }
        Ok(found)
    }

    /// Events by id, of whatever room and rejected ones too: what an event claims to be authorised by.
    async fn graph_events(&self, ids: &[OwnedEventId]) -> Result<Vec<Arc<Event>>, StoreError> {
        let mut found = Vec::with_capacity(ids.len());
        let mut missing = Vec::new();
        for id in ids {
            match self.shared.events.get(id) {
                Some(event) => found.push(event),
                None => missing.push((id.clone(),)),
            }
        }
        for missing in missing.chunks(BATCH) {
            let places = self.store.get_many(&EVENT_INDEX, missing).await?;
            let mut by_room: BTreeMap<_, Vec<_>> = BTreeMap::new();
            for (room, position) in places.into_iter().flatten() {
                by_room.entry(room.clone()).or_default().push((room, position));
            }
            for (room, places) in by_room {
                let Some(version) = self.version_of(&room).await? else {
                    continue;
                };
                for row in self
                    .store
                    .get_many(&TIMELINE, &places)
                    .await?
                    .into_iter()
                    .flatten()
                {
                    let parsed = Event::parse(&row.pdu, &room, version, Some(&row.event_id));
                    let Ok(mut event) = parsed else {
                        continue;
                    };
                    event.rejected = row.standing == Standing::Rejected;
                    let event = Arc::new(event);
                    // Others take what is in memory for what counts.
                    if !event.rejected {
                        self.shared.events.insert(&event);
                    }
                    found.push(event);
                }
            }
        }
        Ok(found)
    }
}

/// Events that were read for one question.
#[derive(Debug, Default)]
pub(crate) struct LoadedEvents {
    events: HashMap<OwnedEventId, Arc<Event>>,
    /// Also those that are not there.
    asked: HashSet<OwnedEventId>,
}

impl LoadedEvents {
    pub(crate) fn get(&self, event_id: &EventId) -> Option<Arc<Event>> {
        self.events.get(event_id).cloned()
    }

    /// Takes in one that is not stored yet.
    pub(crate) fn insert(&mut self, event: Arc<Event>) {
        self.asked.insert(event.event_id.clone());
        self.events.insert(event.event_id.clone(), event);
    }

    /// Reads these events, and says which of them it had to read and found.
    pub(crate) async fn load(
        &mut self,
        rooms: &Rooms,
        ids: impl IntoIterator<Item = &OwnedEventId>,
    ) -> Result<Vec<Arc<Event>>, StoreError> {
        let ids: Vec<OwnedEventId> = ids
            .into_iter()
            .filter(|id| self.asked.insert((*id).clone()))
            .cloned()
            .collect();
        let found = rooms.graph_events(&ids).await?;
        for event in &found {
            self.events.insert(event.event_id.clone(), Arc::clone(event));
        }
        Ok(found)
    }

    /// Reads these events and their auth chains.
    pub(crate) async fn load_chains(
        &mut self,
        rooms: &Rooms,
        ids: impl IntoIterator<Item = &OwnedEventId>,
    ) -> Result<(), ResolutionError> {
        let of: Vec<OwnedEventId> = ids.into_iter().cloned().collect();
        self.load(rooms, &of).await?;
        // Of those that had been read before, the chains may not have been.
        let mut level: Vec<_> = of.iter().filter_map(|id| self.get(id)).collect();
        let mut seen: HashSet<OwnedEventId> = of.into_iter().collect();
        while !level.is_empty() {
            if seen.len() > MAX_CHAIN {
                return Err(ResolutionError::ChainTooLong);
            }
            let cited: HashSet<_> = level
                .iter()
                .flat_map(|event| event.auth_events.iter().cloned())
                .filter(|id| seen.insert(id.clone()))
                .collect();
            self.load(rooms, &cited).await?;
            level = cited.iter().filter_map(|id| self.get(id)).collect();
        }
        Ok(())
    }
}
