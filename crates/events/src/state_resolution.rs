//! State resolution: one state made of several (room versions, "State resolution").
//!
//! Which algorithm a room uses is in its version's rules. Version 1's is ours; versions 2 and 2.1 are `ruma`'s, which is
//! handed no more of the states than matters: what they agree on in a room of 50,000 members is not worth a copy.
//! What is ours there as well are the auth difference and the conflicted state subgraph.

mod auth_graph;
mod state_map;
mod version_1;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use ruma::{
    EventId, OwnedEventId,
    events::StateEventType,
    room_version_rules::{StateResolutionV2Rules, StateResolutionVersion},
    state_res::{self, utils::event_id_set::EventIdSet},
};
use thiserror::Error;

pub use self::state_map::{Agreed, Fetch, StateKey, StateMap};
use self::{
    auth_graph::AuthGraph,
    state_map::{distinct, keys_that_authorise},
    version_1::resolve_version_1,
};
use crate::{Event, RoomVersion};

const POWER_LEVELS: &str = "m.room.power_levels";

/// Why states are not resolved.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ResolveError {
    /// An event authorises itself, over others. Only versions 1 and 2, whose ids are no hashes, have such events, and
    /// only those who mean harm write them.
    #[error("an event is in its own auth chain")]
    Cycle,
    /// The algorithm met an event that it cannot read.
    #[error("the states cannot be resolved: {0}")]
    Unreadable(String),
}

/// Resolves whole states. [`Dispute`] does the same for whoever knows already where they differ.
///
/// `fetch` is asked for events of the states and of their auth chains. Events that it does not have do not count.
pub fn resolve(
    version: RoomVersion,
    states: &[StateMap],
    fetch: Fetch<'_>,
) -> Result<StateMap, ResolveError> {
    let Some(first) = states.first() else {
        return Ok(StateMap::new());
    };
    let dispute = Dispute::between(version, states);
    let agreed = |key: &StateKey| {
        let agreed = first.get(key).filter(|_| !dispute.values.contains_key(key));
        agreed.cloned()
    };
    let open = dispute.open_questions(fetch)?;
    let of_first = || {
        let agreed = first.iter().filter(|(key, _)| !dispute.values.contains_key(*key));
        agreed.map(|(key, id)| (key, &**id))
    };
    let decided = dispute.resolve(&agreed, &in_auth_chains(&open, of_first, fetch), fetch)?;
    let agreed = of_first().map(|(key, id)| (key.clone(), id.to_owned()));
    let mut resolved: StateMap = agreed.collect();
    resolved.extend(decided);
    Ok(resolved)
}

/// Which of these events are in the auth chains of a state. What is no membership is walked first: it is little, and
/// nearly everything old is in its chains.
pub fn in_auth_chains<'a, I>(
    wanted: &[OwnedEventId],
    state: impl Fn() -> I,
    fetch: Fetch<'_>,
) -> HashSet<OwnedEventId>
where
    I: Iterator<Item = (&'a StateKey, &'a EventId)>,
{
    let mut missing: HashSet<&EventId> = wanted.iter().map(|id| &**id).collect();
    let mut found = HashSet::new();
    let mut seen: HashSet<OwnedEventId> = HashSet::new();
    for members in [false, true] {
        for (_, id) in state().filter(|(key, _)| (key.0 == "m.room.member") == members) {
            let mut to_walk: Vec<Arc<Event>> = Vec::new();
            if !missing.is_empty() {
                to_walk.extend(fetch(id));
            }
            while let Some(event) = to_walk.pop() {
                for auth_event in &event.auth_events {
                    if let Some(wanted) = missing.take(&**auth_event) {
                        found.insert(wanted.to_owned());
                    }
                    if !seen.contains(auth_event) {
                        seen.insert(auth_event.clone());
                        to_walk.extend(fetch(auth_event));
                    }
                }
            }
        }
    }
    found
}

/// What states of one room do not agree on.
///
/// The events of [`Self::events`] and their auth chains must be there to be fetched, and so must the agreed state events
/// of [`Self::keys_that_authorise`].
#[derive(Debug, Clone)]
pub struct Dispute {
    version: RoomVersion,
    values: HashMap<StateKey, Vec<Option<OwnedEventId>>>,
}

impl Dispute {
    /// Takes the keys at which the states differ, each with one value for every state, in the same order of states.
    pub fn new(version: RoomVersion, mut values: HashMap<StateKey, Vec<Option<OwnedEventId>>>) -> Self {
        values.retain(|_, values| values.iter().any(|value| Some(value) != values.first()));
        Self { version, values }
    }

    /// Looks for where whole states differ.
    pub fn between(version: RoomVersion, states: &[StateMap]) -> Self {
        let mut values = HashMap::new();
        for key in states.iter().flat_map(StateMap::keys) {
            let first = states.first().and_then(|state| state.get(key));
            let differs = states.iter().any(|state| state.get(key) != first);
            if differs && !values.contains_key(key) {
                let of_states = states.iter().map(|state| state.get(key).cloned()).collect();
                values.insert(key.clone(), of_states);
            }
        }
        Self { version, values }
    }

    /// Whether the states are the same.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The keys in dispute.
    pub fn keys(&self) -> impl Iterator<Item = &StateKey> {
        self.values.keys()
    }

    /// Every event that holds for some states and not for all, once.
    pub fn events(&self) -> Vec<OwnedEventId> {
        distinct(self.values.values().flatten().flatten().cloned())
    }

    /// Which events matter only if the auth chains of what the states agree on do not have them: the caller finds out
    /// which of them do, and tells [`Self::resolve`]. Mostly there are none or few.
    pub fn open_questions(&self, fetch: Fetch<'_>) -> Result<Vec<OwnedEventId>, ResolveError> {
        match self.version_2() {
            Some(rules) if !self.is_empty() => Ok(self.conflict(rules, fetch)?.open),
            _ => Ok(Vec::new()),
        }
    }

    /// The keys of what may have to authorise the events in dispute. `in_agreed_chains`: as for [`Self::resolve`].
    pub fn keys_that_authorise(&self, fetch: Fetch<'_>) -> Result<HashSet<StateKey>, ResolveError> {
        let events = match self.version_2() {
            Some(rules) => {
                let conflict = self.conflict(rules, fetch)?;
                conflict.certain.into_iter().chain(conflict.open).collect()
            }
            None => self.events(),
        };
        Ok(self.keys_around(events.iter().filter_map(|id| fetch(id))))
    }

    /// Decides. The answer has every key that has a value after it and was not agreed on: those in dispute, and rarely
    /// others that only an auth chain has.
    ///
    /// `agreed`: what the states agree on at a key. `in_agreed_chains`: those of [`Self::open_questions`] that are in the
    /// auth chains of what they agree on.
    pub fn resolve(
        &self,
        agreed: Agreed<'_>,
        in_agreed_chains: &HashSet<OwnedEventId>,
        fetch: Fetch<'_>,
    ) -> Result<StateMap, ResolveError> {
        if self.is_empty() {
            return Ok(StateMap::new());
        }
        match self.version_2() {
            Some(rules) => self.resolve_version_2(rules, agreed, in_agreed_chains, fetch),
            None => Ok(resolve_version_1(self.version, &self.values, agreed, fetch)),
        }
    }

    fn version_2(&self) -> Option<StateResolutionV2Rules> {
        match &self.version.rules().state_res {
            StateResolutionVersion::V2(rules) => Some(*rules),
            _ => None,
        }
    }

    fn resolve_version_2(
        &self,
        rules: StateResolutionV2Rules,
        agreed: Agreed<'_>,
        in_agreed_chains: &HashSet<OwnedEventId>,
        fetch: Fetch<'_>,
    ) -> Result<StateMap, ResolveError> {
        let conflict = self.conflict(rules, fetch)?;
        let difference = conflict.certain.into_iter().chain(
            conflict
                .open
                .into_iter()
                .filter(|id| !in_agreed_chains.contains(id)),
        );
        let difference: EventIdSet<OwnedEventId> = difference.collect();
        let keys = self.keys_around(difference.iter().filter_map(|id| fetch(id)));
        let agreed: Vec<_> = keys
            .iter()
            .filter(|key| !self.values.contains_key(*key))
            .filter_map(|key| Some((typed(key), agreed(key)?)))
            .collect();
        let states = self.states_with(&agreed);
        // `ruma` makes the auth difference of auth chains; these two have just this one.
        let chains = vec![difference, EventIdSet::new()];
        let subgraph: EventIdSet<OwnedEventId> = conflict.subgraph.into_iter().collect();
        let authorization = &self.version.rules().authorization;
        let resolved = state_res::resolve(authorization, &rules, &states, chains, fetch, |_| {
            Some(subgraph.clone())
        })
        .map_err(|error| ResolveError::Unreadable(error.to_string()))?;
        let agreed: HashSet<_> = agreed.into_iter().map(|(key, _)| key).collect();
        let decided = resolved.into_iter().filter(|(key, _)| !agreed.contains(key));
        Ok(decided
            .map(|((kind, state_key), id)| ((kind.to_string(), state_key), id))
            .collect())
    }

    /// The states in dispute, each with these agreed values.
    fn states_with(
        &self,
        agreed: &[((StateEventType, String), OwnedEventId)],
    ) -> Vec<state_res::StateMap<OwnedEventId>> {
        let count = self.values.values().next().map_or(0, Vec::len);
        let mut states: Vec<state_res::StateMap<OwnedEventId>> =
            vec![agreed.iter().cloned().collect(); count];
        for (key, values) in &self.values {
            for (state, value) in states.iter_mut().zip(values) {
                if let Some(value) = value {
                    state.insert(typed(key), value.clone());
                }
            }
        }
        states
    }

    /// The keys of these events, of what authorises them, and of the power levels.
    fn keys_around(&self, events: impl Iterator<Item = Arc<Event>>) -> HashSet<StateKey> {
        let mut keys = HashSet::from([(POWER_LEVELS.to_owned(), String::new())]);
        for event in events {
            keys.extend(keys_that_authorise(self.version, &event));
            if let Some(state_key) = &event.state_key {
                keys.insert((event.kind.to_string(), state_key.clone()));
            }
        }
        keys
    }

    fn conflict(&self, rules: StateResolutionV2Rules, fetch: Fetch<'_>) -> Result<Conflict, ResolveError> {
        let graph = AuthGraph::of(self.events(), fetch).ok_or(ResolveError::Cycle)?;
        let count = self.values.values().next().map_or(0, Vec::len);
        let mut chains_with = vec![0; graph.len()];
        for at in 0..count {
            let state = self.values.values().filter_map(|values| values.get(at)?.as_ref());
            for (chains, is_in_chain) in chains_with.iter_mut().zip(graph.chains_of(state)) {
                *chains += usize::from(is_in_chain);
            }
        }
        let subgraph = if rules.consider_conflicted_state_subgraph {
            graph.between_roots()
        } else {
            HashSet::new()
        };
        let mut conflict = Conflict {
            certain: self.events(),
            open: Vec::new(),
            subgraph,
        };
        let held: HashSet<OwnedEventId> = conflict.certain.iter().cloned().collect();
        for (id, chains) in graph.ids().zip(chains_with) {
            if chains == 0 || chains == count || held.contains(id) {
                continue;
            }
            if conflict.subgraph.contains(id) {
                conflict.certain.push(id.clone());
            } else {
                conflict.open.push(id.clone());
            }
        }
        Ok(conflict)
    }
}

/// What the algorithm of version 2 has to look at.
struct Conflict {
    /// The conflicted state set, and what is in the auth difference or may be without changing anything.
    certain: Vec<OwnedEventId>,
    /// In the auth difference, unless the auth chains of the agreed state have it.
    open: Vec<OwnedEventId>,
    /// The conflicted state subgraph.
    subgraph: HashSet<OwnedEventId>,
}

fn typed(key: &StateKey) -> (StateEventType, String) {
    (StateEventType::from(key.0.as_str()), key.1.clone())
}

#[cfg(test)]
mod tests;
