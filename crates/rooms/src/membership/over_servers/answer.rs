//! The room that another server hands over with a join: which of its events are what they say, and whether they make a room
//! that the join belongs to. Signatures and hashes have been checked before.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use gatehouse_events::{
    Event, Pdu, RoomVersion,
    authorise::{authorise, authorise_by_auth_events},
};
use ruma::{
    EventId, OwnedEventId,
    events::{StateEventType, TimelineEventType},
};

/// A room that can be taken in.
#[derive(Debug)]
pub(super) struct Checked {
    /// The state before the join: one event for each key.
    pub(super) state: Vec<Pdu>,
    /// What authorises it, and is not part of it.
    pub(super) auth_chain: Vec<Pdu>,
}

/// Whether a state has its members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Members {
    /// It has all of them.
    Here,
    /// It has some of them, or none: where one is missing, what authorises an event says what they are.
    Omitted,
}

/// Why a room cannot be taken in. For the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unusable {
    #[error("there is no create event, or it makes another room")]
    Create,
    #[error("the state has two events for one key, or one that is no state")]
    State,
    #[error("the state does not allow the join")]
    Join,
}

impl Checked {
    /// Leaves out what its own auth events do not allow, and what follows from that.
    pub(super) fn new(
        version: RoomVersion,
        state: Vec<Pdu>,
        auth_chain: Vec<Pdu>,
        members: Members,
        join: &Event,
    ) -> Result<Self, Unusable> {
        let in_state: HashSet<OwnedEventId> = state.iter().map(|pdu| pdu.event.event_id.clone()).collect();
        let mut events: HashMap<OwnedEventId, Pdu> = HashMap::new();
        for pdu in state.into_iter().chain(auth_chain) {
            events.entry(pdu.event.event_id.clone()).or_insert(pdu);
        }
        let create = create(version, &events, &in_state)?;
        let allowed = Allowed::among(version, &events, &create);
        let mut keys: HashMap<(String, String), Arc<Event>> = HashMap::new();
        for event in in_state.iter().filter_map(|id| allowed.events.get(id)) {
            let state_key = event.state_key.clone().ok_or(Unusable::State)?;
            let before = keys.insert((event.kind.to_string(), state_key), Arc::clone(event));
            if before.is_some() {
                return Err(Unusable::State);
            }
        }
        allowed.allows(join).map_err(|_| Unusable::Join)?;
        authorise(version, join, |kind, key| {
            let given = keys.get(&(kind.to_string(), key.to_owned())).cloned();
            let omitted = members == Members::Omitted && *kind == StateEventType::RoomMember;
            given.or_else(|| allowed.named_by(join, kind, key).filter(|_| omitted))
        })
        .map_err(|_| Unusable::Join)?;
        let allowed = allowed.events;
        events.retain(|id, _| allowed.contains_key(id));
        let (state, auth_chain) = events
            .into_values()
            .partition(|pdu| in_state.contains(&pdu.event.event_id));
        Ok(Self { state, auth_chain })
    }
}

/// What is read of a create event.
#[derive(serde::Deserialize)]
struct CreateContent {
    #[serde(default = "first_version")]
    room_version: String,
}

/// Rooms that do not say are of the first version (client-server API, `m.room.create`).
fn first_version() -> String {
    "1".to_owned()
}

/// The event that made the room: there is one, and the room is of the version that was said.
fn create(
    version: RoomVersion,
    events: &HashMap<OwnedEventId, Pdu>,
    in_state: &HashSet<OwnedEventId>,
) -> Result<Arc<Event>, Unusable> {
    let mut creates = events
        .values()
        .filter(|pdu| pdu.event.kind == TimelineEventType::RoomCreate);
    let (Some(create), None) = (creates.next(), creates.next()) else {
        return Err(Unusable::Create);
    };
    let content: Option<CreateContent> = create.event.content_as();
    let is_right = in_state.contains(&create.event.event_id)
        && create.event.state_key.as_deref() == Some("")
        && content.is_some_and(|content| content.room_version == version.name());
    if is_right {
        Ok(Arc::new(create.event.clone()))
    } else {
        Err(Unusable::Create)
    }
}

/// The events that their auth events allow.
struct Allowed {
    version: RoomVersion,
    create: Arc<Event>,
    events: HashMap<OwnedEventId, Arc<Event>>,
}

impl Allowed {
    /// Looks at each event once, after those that authorise it. An event in a circle, or with an auth event that is not
    /// there, is not allowed.
    fn among(version: RoomVersion, events: &HashMap<OwnedEventId, Pdu>, create: &Arc<Event>) -> Self {
        let mut allowed = Self {
            version,
            create: Arc::clone(create),
            events: HashMap::with_capacity(events.len()),
        };
        let mut waits_for: HashMap<&EventId, usize> = HashMap::new();
        let mut followed_by: HashMap<&EventId, Vec<&EventId>> = HashMap::new();
        let mut ready: Vec<&EventId> = Vec::new();
        for (id, pdu) in events {
            let needed: HashSet<&EventId> = pdu.event.auth_events.iter().map(|needed| &**needed).collect();
            for needed in &needed {
                followed_by.entry(needed).or_default().push(id);
            }
            if needed.is_empty() {
                ready.push(id);
            } else {
                waits_for.insert(id, needed.len());
            }
        }
        while let Some(id) = ready.pop() {
            let Some(pdu) = events.get(id) else {
                continue;
            };
            if allowed.allows(&pdu.event).is_ok() {
                allowed.events.insert(id.to_owned(), Arc::new(pdu.event.clone()));
            }
            for next in followed_by.remove(id).unwrap_or_default() {
                if let Some(count) = waits_for.get_mut(next) {
                    *count -= 1;
                    if *count == 0 {
                        ready.push(next);
                    }
                }
            }
        }
        allowed
    }

    /// Whether the events that authorise this one do.
    fn allows(&self, event: &Event) -> Result<(), gatehouse_events::authorise::Denied> {
        authorise_by_auth_events(self.version, event, |id| self.fetch(id))?;
        if event.kind == TimelineEventType::RoomCreate {
            return Ok(());
        }
        authorise(self.version, event, |kind, key| {
            match self.named_by(event, kind, key) {
                Some(found) => Some(found),
                // From version 12 on nobody names it.
                None if *kind == StateEventType::RoomCreate => Some(Arc::clone(&self.create)),
                None => None,
            }
        })
    }

    /// What an event names at this key as authorising it.
    fn named_by(&self, event: &Event, kind: &StateEventType, key: &str) -> Option<Arc<Event>> {
        let named = event.auth_events.iter().filter_map(|id| self.events.get(id));
        let found = named
            .filter(|named| named.kind.to_string() == kind.to_string())
            .find(|named| named.state_key.as_deref() == Some(key));
        found.cloned()
    }

    fn fetch(&self, id: &EventId) -> Option<Arc<Event>> {
        if id == self.create.event_id {
            return Some(Arc::clone(&self.create));
        }
        self.events.get(id).cloned()
    }
}
