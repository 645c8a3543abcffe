//! Where an event stands in the graph: the state before it, and which ends the graph has with it.

use std::collections::{HashMap, HashSet};

use gatehouse_events::Event;
use gatehouse_store::StoreError;
use ruma::OwnedEventId;

use super::{Accepting, Before};
use crate::{
    RoomHead, Rooms,
    end_state_cache::EndState,
    graph::{
        delta::{Delta, normalise, row_after},
        loaded::{LoadedEvents, Placed},
        resolution_error::ResolutionError,
    },
    tables::{MISSING, STATE_BEFORE, Standing, StateBase, StateBeforeRow},
};

/// How many events that count for nothing are looked through between an event and the ends that it follows.
const MAX_LOOKED_THROUGH: usize = 100;

impl Rooms {
    /// The state before an event; `None`: it is not known here.
    pub(super) async fn before(
        &self,
        head: &RoomHead,
        event: &Event,
        accepting: &Accepting,
        loaded: &mut LoadedEvents,
    ) -> Result<Option<Before>, ResolutionError> {
        let parents: HashSet<&OwnedEventId> = event.prev_events.iter().collect();
        let ends: HashSet<&OwnedEventId> = head.extremities.iter().collect();
        if parents == ends && accepting.state_before.is_none() {
            return Ok(Some(Before::default()));
        }
        let parents: Vec<OwnedEventId> = parents.into_iter().cloned().collect();
        let placed = self.placed(&head.room_id, &parents).await?;
        let here: Vec<&Placed> = parents.iter().filter_map(|parent| placed.get(parent)).collect();
        let (deltas, _) = self.deltas_after(head, &here).await?;
        let unknown = parents.len() - here.len() + deltas.iter().filter(|delta| delta.is_none()).count();
        let mut states: Vec<Delta> = deltas.into_iter().flatten().collect();
        match accepting.ground {
            _ if unknown == 0 || accepting.state_before.is_some() => {}
            Some(ground) => states.push(self.delta_at(head, ground).await?),
            None => return Ok(None),
        }
        // What another server says is one more branch, and never replaces what is known here (security.md E17).
        if let Some(given) = &accepting.state_before {
            states.push(difference(head, given));
        }
        let delta = match states.split_first() {
            Some((first, others)) if others.iter().all(|other| other == first) => first.clone(),
            _ => self.resolve(head, &states, loaded).await?,
        };
        let alone = match parents.as_slice() {
            [parent] if accepting.state_before.is_none() => placed.get(parent),
            _ => None,
        };
        let row = match alone {
            Some(parent) => {
                let key = (head.room_id.clone(), parent.position);
                let before = self.store.get(&STATE_BEFORE, &key).await?;
                row_after(parent, before.as_ref())
            }
            None => None,
        };
        let beside = accepting.ground.filter(|_| alone.is_none() && parents.len() == 1);
        let row = row.or(beside.map(|ground| StateBeforeRow {
            base: StateBase::Line(ground),
            length: 1,
            delta: Vec::new(),
        }));
        let row = row.unwrap_or_else(|| {
            let changes = delta.iter();
            StateBeforeRow::own(
                changes
                    .map(|((kind, state_key), id)| (kind.clone(), state_key.clone(), id.clone()))
                    .collect(),
            )
        });
        Ok(Some(Before {
            delta,
            row: Some(row),
            learned: Vec::new(),
        }))
    }

    /// The ends of the graph with this event. One that others which are here follow is none; and it does not take its parents
    /// from the ends, because the state of those that follow it is another server's word (security.md E17).
    pub(super) async fn ends_with(
        &self,
        head: &RoomHead,
        event: &Event,
    ) -> Result<Vec<OwnedEventId>, StoreError> {
        let followed = gatehouse_store::Range::prefix(&(head.room_id.clone(), event.event_id.clone()));
        let forward = gatehouse_store::Direction::Forward;
        if !self.store.scan(&MISSING, &followed, forward, 1).await?.is_empty() {
            return Ok(head.extremities.clone());
        }
        let covered = self.covered_by(head, event).await?;
        let others = head.extremities.iter().filter(|end| !covered.contains(*end));
        Ok(others.cloned().chain([event.event_id.clone()]).collect())
    }

    /// The events before this one, where those between that count for nothing are looked through.
    async fn covered_by(&self, head: &RoomHead, event: &Event) -> Result<HashSet<OwnedEventId>, StoreError> {
        let mut covered: HashSet<OwnedEventId> = event.prev_events.iter().cloned().collect();
        let mut level: Vec<OwnedEventId> = event
            .prev_events
            .iter()
            .filter(|id| !head.extremities.contains(id))
            .cloned()
            .collect();
        while !level.is_empty() && covered.len() < MAX_LOOKED_THROUGH {
            let placed = self.placed(&head.room_id, &level).await?;
            level.clear();
            for placed in placed.into_values() {
                if !matches!(placed.row.standing, Standing::SoftFailed | Standing::Rejected) {
                    continue;
                }
                let row = &placed.row;
                let event = Event::parse(&row.pdu, &head.room_id, head.version, Some(&row.event_id));
                for parent in event.map(|event| event.prev_events).unwrap_or_default() {
                    if covered.insert(parent.clone()) {
                        level.push(parent);
                    }
                }
            }
        }
        Ok(covered)
    }

    /// The room's state when the graph has these ends, of which one may be the event itself, not stored yet; and what the state
    /// is just after that.
    pub(super) async fn state_of_ends(
        &self,
        head: &RoomHead,
        ends: &[OwnedEventId],
        (event, before): (&Event, &Before),
        loaded: &mut LoadedEvents,
    ) -> Result<(Delta, EndState), ResolutionError> {
        let placed: HashMap<OwnedEventId, Placed> = self.placed(&head.room_id, ends).await?;
        let others: Vec<&Placed> = ends.iter().filter_map(|end| placed.get(end)).collect();
        let (deltas, through) = self.deltas_after(head, &others).await?;
        let own = after(head, event, before);
        let mut states: Vec<Delta> = deltas.into_iter().flatten().collect();
        if ends.contains(&event.event_id) {
            states.push(own.clone());
        }
        let changes = match states.split_first() {
            Some((first, others)) if others.iter().all(|other| other == first) => first.clone(),
            _ => self.resolve(head, &states, loaded).await?,
        };
        let own = EndState { through, values: own };
        Ok((changes, own))
    }
}

/// How the state just after an event differs from the head's.
fn after(head: &RoomHead, event: &Event, before: &Before) -> Delta {
    let mut delta = before.delta.clone();
    if let Some(state_key) = &event.state_key {
        let key = (event.kind.to_string(), state_key.clone());
        delta.insert(key, Some(event.event_id.clone()));
    }
    normalise(head, &mut delta);
    delta
}

/// How a state that is given as a whole differs from the head's. Whatever it says, the room was made by one event.
fn difference(head: &RoomHead, given: &HashMap<(String, String), OwnedEventId>) -> Delta {
    let members = head
        .members
        .keys()
        .map(|user| ("m.room.member".to_owned(), user.to_string()));
    let absent = head.state.keys().cloned().chain(members);
    let mut delta: Delta = absent
        .filter(|key| !given.contains_key(key))
        .map(|key| (key, None))
        .collect();
    delta.extend(given.iter().map(|(key, id)| (key.clone(), Some(id.clone()))));
    delta.remove(&("m.room.create".to_owned(), String::new()));
    normalise(head, &mut delta);
    delta
}
