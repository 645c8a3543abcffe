//! States as maps.

use std::{
    collections::{HashMap, HashSet},
    hash::Hash,
    sync::Arc,
};

use ruma::{EventId, OwnedEventId};

use crate::{Event, RoomVersion, authorise::auth_types_raw};

/// A type and a state key.
pub type StateKey = (String, String);
/// A state: which event holds at which key.
pub type StateMap = HashMap<StateKey, OwnedEventId>;
/// Finds an event of the room by its id; `None` when it is not here.
pub type Fetch<'a> = &'a dyn Fn(&EventId) -> Option<Arc<Event>>;
/// Finds what all states have at a key; `None` also where they differ.
pub type Agreed<'a> = &'a dyn Fn(&StateKey) -> Option<OwnedEventId>;

/// The keys of the state that authorises an event. None for an event whose content cannot be read: nothing allows that.
pub(crate) fn keys_that_authorise(version: RoomVersion, event: &Event) -> Vec<StateKey> {
    let state_key = event.state_key.as_deref();
    let types = auth_types_raw(version, &event.kind, &event.sender, state_key, &event.content);
    let types = types.unwrap_or_default().into_iter();
    types
        .map(|(kind, state_key)| (kind.to_string(), state_key))
        .collect()
}

/// Each once, in the order of the first time.
pub(crate) fn distinct<T: Clone + Eq + Hash>(items: impl Iterator<Item = T>) -> Vec<T> {
    let mut seen = HashSet::new();
    items.filter(|item| seen.insert(item.clone())).collect()
}
