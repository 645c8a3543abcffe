//! Whether an event is allowed: the authorisation rules of its room's version, from `ruma`.

use std::sync::Arc;

use ruma::{
    CanonicalJsonObject, EventId, UserId,
    events::{StateEventType, TimelineEventType},
    state_res::{auth_types_for_event, check_state_dependent_auth_rules, check_state_independent_auth_rules},
};
use serde_json::value::RawValue;
use thiserror::Error;

use crate::{Event, RoomVersion};

/// The rules do not allow the event. The text names the rule; it is for logs and tests, not for people.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct Denied(pub String);

/// Which state events authorise an event like this (server-server API, auth events selection).
pub fn auth_types(
    version: RoomVersion,
    kind: &TimelineEventType,
    sender: &UserId,
    state_key: Option<&str>,
    content: &CanonicalJsonObject,
) -> Result<Vec<(StateEventType, String)>, Denied> {
    let content = serde_json::value::to_raw_value(content).map_err(|error| Denied(error.to_string()))?;
    auth_types_raw(version, kind, sender, state_key, &content)
}

/// As [`auth_types`], for content that is JSON text already.
pub fn auth_types_raw(
    version: RoomVersion,
    kind: &TimelineEventType,
    sender: &UserId,
    state_key: Option<&str>,
    content: &RawValue,
) -> Result<Vec<(StateEventType, String)>, Denied> {
    auth_types_for_event(kind, sender, state_key, content, &version.rules().authorization).map_err(Denied)
}

/// Checks the rules that look at the event and its `auth_events` alone. Once for an event.
pub fn authorise_by_auth_events(
    version: RoomVersion,
    event: &Event,
    fetch_event: impl Fn(&EventId) -> Option<Arc<Event>>,
) -> Result<(), Denied> {
    check_state_independent_auth_rules(&version.rules().authorization, event, fetch_event).map_err(Denied)
}

/// Checks the rules that look at a state: that of the `auth_events`, that before the event, or the current one.
pub fn authorise(
    version: RoomVersion,
    event: &Event,
    fetch_state: impl Fn(&StateEventType, &str) -> Option<Arc<Event>>,
) -> Result<(), Denied> {
    check_state_dependent_auth_rules(&version.rules().authorization, event, fetch_state).map_err(Denied)
}
