//! Getting the state before an event that follows events which cannot be had.

use std::collections::HashMap;

use futures_util::{StreamExt, stream};
use gatehouse_events::Pdu;
use gatehouse_store::StoreError;
use ruma::{EventId, OwnedEventId, RoomId};
use tokio::sync::mpsc;

use super::missing::Fetching;
use crate::{
    Rooms,
    graph::loaded::{LoadedEvents, Placed},
    remote_servers::{Fetch, RawPdu, StatePart},
    tables::STATE_BEFORE,
    write_error::WriteError,
};

/// When more events than this are missing, the whole state is fetched in one answer.
const MAX_ONE_BY_ONE: usize = 50;
/// Events asked for at the same time.
const AT_ONCE: usize = 8;
/// Events of a state and its auth chain that are looked at. The largest rooms have some 300,000.
const MAX_STATE: usize = 500_000;

impl Rooms {
    /// The state before an event, as the server that sent it gives it. `None`: it cannot be had.
    pub(super) async fn get_state_before(
        &self,
        fetching: &Fetching,
        pdu: &Pdu,
    ) -> Result<Option<HashMap<(String, String), OwnedEventId>>, WriteError> {
        let event = &pdu.event;
        // What lies between is known to nobody here: the state is asked for where the gap ends, as others do it. Of an event that
        // follows others besides, that would be the state of one branch alone.
        let unknown = self.unknown_of(&fetching.room_id, &event.prev_events).await?;
        let is_line = event.prev_events.len() == 1;
        if let [parent] = unknown.as_slice()
            && is_line
            && let Some(state) = self.get_state_after(fetching, parent).await?
        {
            return Ok(Some(state));
        }
        let state = self.get_state_at(fetching, &event.event_id).await?;
        match unknown.as_slice() {
            [parent] if state.is_none() && !is_line => self.get_state_after(fetching, parent).await,
            _ => Ok(state),
        }
    }

    /// The state before an event, and what the event itself sets.
    async fn get_state_after(
        &self,
        fetching: &Fetching,
        event_id: &OwnedEventId,
    ) -> Result<Option<HashMap<(String, String), OwnedEventId>>, WriteError> {
        let Some(mut state) = self.get_state_at(fetching, event_id).await? else {
            return Ok(None);
        };
        let event = std::slice::from_ref(event_id);
        if !self.absent(fetching, event).await?.is_empty() {
            let Some(raws) = self.fetch_all(fetching, vec![event_id.clone()]).await else {
                return Ok(None);
            };
            self.keep_raw_outliers(fetching, &raws).await?;
        }
        if !self.absent(fetching, event).await?.is_empty() {
            return Ok(None);
        }
        state.extend(self.state_of(fetching, event).await?);
        Ok(Some(state))
    }

    async fn get_state_at(
        &self,
        fetching: &Fetching,
        at: &EventId,
    ) -> Result<Option<HashMap<(String, String), OwnedEventId>>, WriteError> {
        let asked = self
            .shared
            .remote
            .state_ids(&fetching.origin, &fetching.room_id, at);
        let Some(ids) = fetching.ask(asked).await else {
            return Ok(None);
        };
        if ids.state.len() + ids.auth_chain.len() > MAX_STATE {
            return Ok(None);
        }
        let all: Vec<OwnedEventId> = ids.auth_chain.iter().chain(&ids.state).cloned().collect();
        let missing = self.absent(fetching, &all).await?;
        if missing.len() > MAX_ONE_BY_ONE {
            let Some(raws) = self.whole_state_at(fetching, at).await else {
                return Ok(None);
            };
            self.keep_raw_outliers(fetching, &raws).await?;
        } else if !missing.is_empty() {
            let Some(raws) = self.fetch_all(fetching, missing).await else {
                return Ok(None);
            };
            self.keep_raw_outliers(fetching, &raws).await?;
        }
        let state = self.state_of(fetching, &ids.state).await?;
        // Every state of the room has the event that made it: whatever this is, it is none.
        let is_state = state.contains_key(&("m.room.create".to_owned(), String::new()));
        Ok(is_state.then_some(state))
    }

    /// A state and its auth chain, in one answer.
    async fn whole_state_at(&self, fetching: &Fetching, at: &EventId) -> Option<Vec<RawPdu>> {
        let (parts, mut taken) = mpsc::channel(1);
        let asked = self
            .shared
            .remote
            .state(&fetching.origin, &fetching.room_id, at, parts);
        let take = async {
            let mut raws = Vec::new();
            while let Some(StatePart::State(part) | StatePart::AuthChain(part)) = taken.recv().await {
                if raws.len() + part.len() > MAX_STATE {
                    return None;
                }
                raws.extend(part);
            }
            Some(raws)
        };
        let (answered, raws) = tokio::join!(fetching.ask(asked), take);
        answered.and(raws)
    }

    /// All of these events, or nothing: a state of which a part is missing is another state, and would stay so. What comes
    /// and is not authentic is another matter.
    async fn fetch_all(&self, fetching: &Fetching, event_ids: Vec<OwnedEventId>) -> Option<Vec<RawPdu>> {
        let answers = stream::iter(event_ids.into_iter().map(|event_id| async move {
            let asked = self
                .shared
                .remote
                .fetch(&fetching.origin, Fetch::Event { event_id: &event_id });
            fetching.ask(asked).await.filter(|raws| !raws.is_empty())
        }));
        let answers: Vec<Option<Vec<_>>> = answers.buffered(AT_ONCE).collect().await;
        let answers: Option<Vec<Vec<_>>> = answers.into_iter().collect();
        Some(answers?.into_iter().flatten().collect())
    }

    /// The state that these events make: those that are here and were not rejected (security.md E16).
    async fn state_of(
        &self,
        fetching: &Fetching,
        ids: &[OwnedEventId],
    ) -> Result<HashMap<(String, String), OwnedEventId>, StoreError> {
        let mut loaded = LoadedEvents::default();
        loaded.load(self, ids).await?;
        let events = ids.iter().filter_map(|id| loaded.get(id));
        let counting = events.filter(|event| !event.rejected && event.room_id == fetching.room_id);
        Ok(counting
            .filter_map(|event| {
                let state_key = event.state_key.clone()?;
                Some(((event.kind.to_string(), state_key), event.event_id.clone()))
            })
            .collect())
    }

    /// Whether it is written down what the state before an event is.
    pub(super) async fn has_state_before(
        &self,
        room_id: &RoomId,
        placed: &Placed,
    ) -> Result<bool, StoreError> {
        let key = (room_id.to_owned(), placed.position);
        Ok(self.store.get(&STATE_BEFORE, &key).await?.is_some())
    }
}
