//! What the room's rules say of an event: by its auth events, by the state before it, by the room's state now (checks 4
//! to 6).

use std::{collections::HashMap, sync::Arc};

use gatehouse_events::{
    Event,
    authorise::{auth_types_raw, authorise},
};
use ruma::{
    OwnedEventId,
    events::{StateEventType, TimelineEventType},
};

use super::{Accepting, Before, outliers::allowed_by_auth_events};
use crate::{
    RoomHead, Rooms,
    graph::{
        delta::{Delta, value},
        loaded::LoadedEvents,
        resolution_error::ResolutionError,
    },
};

/// What is to become of an event.
#[derive(Debug)]
pub(super) enum Verdict {
    /// The rules allow it.
    Accepted(Before),
    /// The room as it is now does not allow it. Names the rule.
    SoftFailed(Before, String),
    /// It is not allowed where it stands. Names the step and the rule.
    Rejected(Option<Before>, &'static str, String),
    /// It cannot be judged: what it builds on is not here.
    Lacking(&'static str),
}

impl Rooms {
    /// Judges an event on top of a room whose head the store shows.
    pub(super) async fn judge(
        &self,
        head: &RoomHead,
        event: &Event,
        accepting: &Accepting,
        loaded: &mut LoadedEvents,
    ) -> Result<Verdict, ResolutionError> {
        if event.kind == TimelineEventType::RoomCreate {
            let rule = "a room has one create event";
            return Ok(Verdict::Rejected(None, "auth events", rule.to_owned()));
        }
        if event.prev_events.is_empty() {
            let rule = "it follows no event";
            return Ok(Verdict::Rejected(None, "auth events", rule.to_owned()));
        }
        loaded.load(self, &event.auth_events).await?;
        if event.auth_events.iter().any(|id| loaded.get(id).is_none()) {
            return Ok(Verdict::Lacking("events that authorise it cannot be had"));
        }
        let create = head.hot_event("m.room.create");
        if let Err(rule) = allowed_by_auth_events(head.version, event, loaded, create) {
            let before = self.before(head, event, accepting, loaded).await?;
            return Ok(Verdict::Rejected(before, "auth events", rule));
        }
        let Some(mut before) = self.before(head, event, accepting, loaded).await? else {
            return Ok(Verdict::Lacking("the state before it cannot be had"));
        };
        let unknown = if head.is_whole() {
            Unknown::IsNothing
        } else {
            Unknown::IsAsNamed
        };
        let state = (head, &before.delta, unknown);
        match self.allowed_by_state(state, event, loaded).await? {
            Ok(learned) => before.learned = learned,
            Err(rule) => return Ok(Verdict::Rejected(Some(before), "state before", rule)),
        }
        if before.delta.is_empty() {
            return Ok(Verdict::Accepted(before));
        }
        let now = (head, &Delta::new(), unknown);
        if self.allowed_by_state(now, event, loaded).await?.is_ok() {
            return Ok(Verdict::Accepted(before));
        }
        // The room may not have heard yet of what allows it: a join that came in elsewhere, or during a gap. With the event's
        // own branch it has. What contradicts the event, such as a ban, wins all the same (security.md T28).
        let states = [Delta::new(), before.delta.clone()];
        let together = self.resolve(head, &states, loaded).await?;
        match self
            .allowed_by_state((head, &together, unknown), event, loaded)
            .await?
        {
            Ok(_) => Ok(Verdict::Accepted(before)),
            Err(rule) => Ok(Verdict::SoftFailed(before, rule)),
        }
    }

    /// Whether a state that differs like this from the head's allows the event; if not, by which rule. Gives the members
    /// that were taken from the event's auth events, which have to be loaded.
    pub(crate) async fn allowed_by_state(
        &self,
        (head, delta, unknown): (&RoomHead, &Delta, Unknown),
        event: &Event,
        loaded: &mut LoadedEvents,
    ) -> Result<Result<Vec<Arc<Event>>, String>, ResolutionError> {
        let types = auth_types_raw(
            head.version,
            &event.kind,
            &event.sender,
            event.state_key.as_deref(),
            &event.content,
        );
        let mut types = match types {
            Ok(types) => types,
            Err(denied) => return Ok(Err(denied.0)),
        };
        types.extend(
            [
                StateEventType::RoomCreate,
                StateEventType::RoomPowerLevels,
                StateEventType::RoomJoinRules,
            ]
            .map(|kind| (kind, String::new())),
        );
        let mut ids: HashMap<(StateEventType, String), OwnedEventId> = HashMap::new();
        let mut learned = Vec::new();
        for (kind, key) in types {
            if let Some(id) = value(head, delta, &(kind.to_string(), key.clone())) {
                ids.insert((kind, key), id);
            } else if unknown == Unknown::IsAsNamed
                && kind == StateEventType::RoomMember
                && let Some(member) = named_member(event, &key, loaded)
            {
                ids.insert((kind, key), member.event_id.clone());
                learned.push(member);
            }
        }
        loaded.load(self, ids.values()).await?;
        let fetch = |kind: &StateEventType, key: &str| -> Option<Arc<Event>> {
            loaded.get(ids.get(&(kind.clone(), key.to_owned()))?)
        };
        let allowed = authorise(head.version, event, fetch);
        Ok(allowed.map(|()| learned).map_err(|denied| denied.0))
    }
}

/// What a member is that a state does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unknown {
    /// Nothing: the state has all its members.
    IsNothing,
    /// What the event's own auth events say.
    IsAsNamed,
}

/// A user's membership among an event's auth events. They have passed their checks, and have to be loaded.
fn named_member(event: &Event, user: &str, loaded: &LoadedEvents) -> Option<Arc<Event>> {
    let named = event.auth_events.iter().filter_map(|id| loaded.get(id));
    let mut members = named.filter(|named| {
        named.kind == TimelineEventType::RoomMember
            && named.state_key.as_deref() == Some(user)
            && named.room_id == event.room_id
            && !named.rejected
    });
    members.next()
}
