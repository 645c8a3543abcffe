//! Events that are kept because others build on them: auth events, and the state before an event after a gap.

use std::{collections::HashMap, sync::Arc};

use gatehouse_events::{
    Event, Pdu, RoomVersion,
    authorise::{authorise, authorise_by_auth_events},
};
use gatehouse_store::Batch;
use ruma::{OwnedEventId, RoomId, events::StateEventType};

use super::order::parents_first;
use crate::{
    Rooms,
    graph::loaded::LoadedEvents,
    tables::{EVENT_INDEX, EventRow, Standing, TIMELINE},
    write_error::{Attempt, WriteError, attempt},
};

/// Rows written in one commit.
const BATCH: usize = 500;

/// Whether an event's own auth events allow it. All of them must have been loaded, and for rooms whose id is the hash of
/// their create event that one too.
pub(crate) fn allowed_by_auth_events(
    version: RoomVersion,
    event: &Event,
    loaded: &LoadedEvents,
    create: Option<&Arc<Event>>,
) -> Result<(), String> {
    let fetch = |id: &ruma::EventId| {
        loaded
            .get(id)
            .or_else(|| create.filter(|create| create.event_id == *id).cloned())
    };
    authorise_by_auth_events(version, event, fetch).map_err(|denied| denied.0)?;
    let mut state: HashMap<(StateEventType, String), Arc<Event>> = HashMap::new();
    if version.rules().authorization.room_create_event_id_as_room_id
        && let Some(create) = create
    {
        state.insert((StateEventType::RoomCreate, String::new()), Arc::clone(create));
    }
    for cited in event.auth_events.iter().filter_map(|id| loaded.get(id)) {
        if let Some(state_key) = &cited.state_key {
            let kind = StateEventType::from(cited.kind.to_string());
            state.insert((kind, state_key.clone()), cited);
        }
    }
    let fetch = |kind: &StateEventType, key: &str| state.get(&(kind.clone(), key.to_owned())).cloned();
    authorise(version, event, fetch).map_err(|denied| denied.0)
}

impl Rooms {
    /// Keeps events that passed the first checks. Those that their auth events do not allow are kept as rejected ones; those
    /// whose auth events are not here cannot be judged, and are left out.
    pub(crate) async fn keep_outliers(
        &self,
        room_id: &RoomId,
        version: RoomVersion,
        create: Option<&Arc<Event>>,
        pdus: Vec<Pdu>,
    ) -> Result<(), WriteError> {
        let mut loaded = LoadedEvents::default();
        let ids: Vec<OwnedEventId> = pdus.iter().map(|pdu| pdu.event.event_id.clone()).collect();
        // In one go: there may be a thousand, each with an invite of its own.
        let cited = pdus.iter().flat_map(|pdu| &pdu.event.auth_events);
        loaded.load(self, ids.iter().chain(cited)).await?;
        let mut kept = Vec::new();
        for pdu in parents_first(pdus, |event| &event.auth_events) {
            let mut event = pdu.event.clone();
            if loaded.get(&event.event_id).is_some() {
                continue;
            }
            loaded.load(self, &event.auth_events).await?;
            if event.auth_events.iter().any(|id| loaded.get(id).is_none()) {
                continue;
            }
            let allowed = allowed_by_auth_events(version, &event, &loaded, create);
            if let Err(rule) = &allowed {
                tracing::info!(room = %room_id, event = %event.event_id, step = "auth events", rule, "an event was rejected");
            }
            event.rejected = allowed.is_err();
            let standing = if event.rejected {
                Standing::Rejected
            } else {
                Standing::Outlier
            };
            kept.push(EventRow::new(event.event_id.clone(), pdu.json, standing));
            loaded.insert(Arc::new(event));
        }
        for rows in kept.chunks(BATCH) {
            attempt(|| self.try_keep_outliers(room_id, rows)).await?;
        }
        Ok(())
    }

    async fn try_keep_outliers(&self, room_id: &RoomId, rows: &[EventRow]) -> Result<(), Attempt> {
        let keys: Vec<_> = rows.iter().map(|row| (row.event_id.clone(),)).collect();
        let places = self.store.get_many(&EVENT_INDEX, &keys).await?;
        let mut batch = Batch::new();
        for (row, place) in rows.iter().zip(places) {
            if place.is_none() {
                put_outlier(&mut batch, room_id, row);
            }
        }
        self.store.commit(batch).await?;
        Ok(())
    }
}

fn put_outlier(batch: &mut Batch, room_id: &RoomId, row: &EventRow) {
    let position = batch.next_position();
    let index = (row.event_id.clone(),);
    batch.expect(&EVENT_INDEX, &index, None);
    batch.put(&EVENT_INDEX, &index, &(room_id.to_owned(), position));
    batch.put(&TIMELINE, &(room_id.to_owned(), position), row);
}
