//! The first algorithm (room version 1, "State resolution").

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use ruma::{OwnedEventId, events::StateEventType};
use sha1::{Digest, Sha1};

use super::state_map::{Agreed, Fetch, StateKey, StateMap, distinct};
use crate::{Event, RoomVersion, authorise::authorise};

const POWER_LEVELS: &str = "m.room.power_levels";

/// Types whose events affect the authorisation of others, in the order in which they are resolved.
const PASSES: [&str; 3] = [POWER_LEVELS, "m.room.join_rules", "m.room.member"];

/// Resolves the keys at which the states differ.
pub(crate) fn resolve_version_1(
    version: RoomVersion,
    disputed: &HashMap<StateKey, Vec<Option<OwnedEventId>>>,
    agreed: Agreed<'_>,
    fetch: Fetch<'_>,
) -> StateMap {
    let mut resolved = StateMap::new();
    let mut conflicts: BTreeMap<&StateKey, Vec<Arc<Event>>> = BTreeMap::new();
    for (key, values) in disputed {
        let events = distinct(values.iter().flatten().cloned());
        if let [only] = events.as_slice() {
            // Absence is no conflict.
            resolved.insert(key.clone(), only.clone());
            continue;
        }
        let mut events: Vec<_> = events.iter().filter_map(|id| fetch(id)).collect();
        events.sort_by_cached_key(|event| (event.depth, Reverse(sha1(event))));
        conflicts.insert(key, events);
    }
    for pass in PASSES {
        // Conflicts about two members do not see how the other is decided, so that their order does not matter.
        let of_pass = conflicts
            .iter()
            .filter(|(key, _)| key.0 == pass && (pass != POWER_LEVELS || key.1.is_empty()));
        let decided: Vec<_> = of_pass
            .filter_map(|(key, events)| {
                let winner = last_allowed_in_a_row(version, key, events, &resolved, agreed, fetch)?;
                Some(((*key).clone(), winner))
            })
            .collect();
        resolved.extend(decided);
    }
    for (key, events) in &conflicts {
        if !resolved.contains_key(*key)
            && let Some(winner) = highest_allowed(version, events, &resolved, agreed, fetch)
        {
            resolved.insert((*key).clone(), winner);
        }
    }
    resolved
}

/// The first event holds; then each in turn if the one before it allows it, until one is not allowed.
fn last_allowed_in_a_row(
    version: RoomVersion,
    key: &StateKey,
    events: &[Arc<Event>],
    resolved: &StateMap,
    agreed: Agreed<'_>,
    fetch: Fetch<'_>,
) -> Option<OwnedEventId> {
    let (first, others) = events.split_first()?;
    let mut holds = first;
    for event in others {
        let state = |kind: &StateEventType, state_key: &str| {
            if kind.to_string() == key.0 && state_key == key.1 {
                return Some(holds.clone());
            }
            event_at(kind, state_key, resolved, agreed, fetch)
        };
        if authorise(version, event, state).is_err() {
            break;
        }
        holds = event;
    }
    Some(holds.event_id.clone())
}

/// The deepest event that is allowed; when none is, the least deep.
fn highest_allowed(
    version: RoomVersion,
    events: &[Arc<Event>],
    resolved: &StateMap,
    agreed: Agreed<'_>,
    fetch: Fetch<'_>,
) -> Option<OwnedEventId> {
    let state = |kind: &StateEventType, state_key: &str| event_at(kind, state_key, resolved, agreed, fetch);
    let allowed = events
        .iter()
        .rev()
        .find(|event| authorise(version, event, state).is_ok());
    let winner = allowed.or_else(|| events.first())?;
    Some(winner.event_id.clone())
}

fn event_at(
    kind: &StateEventType,
    state_key: &str,
    resolved: &StateMap,
    agreed: Agreed<'_>,
    fetch: Fetch<'_>,
) -> Option<Arc<Event>> {
    let key = (kind.to_string(), state_key.to_owned());
    let id = resolved.get(&key).cloned().or_else(|| agreed(&key))?;
    fetch(&id)
}

fn sha1(event: &Event) -> [u8; 20] {
    Sha1::digest(event.event_id.as_bytes()).into()
}
