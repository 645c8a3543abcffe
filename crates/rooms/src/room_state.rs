//! A room's state at one moment, as event ids.

use std::collections::HashMap;

use ruma::{OwnedEventId, OwnedUserId, UserId};

use crate::head::Member;

/// A state. Immutable; copies share almost everything.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RoomState {
    /// Every user who has or had a membership.
    pub members: imbl::HashMap<OwnedUserId, Member>,
    /// The state but for members: type and state key to event.
    pub state: imbl::OrdMap<(String, String), OwnedEventId>,
}

impl RoomState {
    /// The event that set this state, members included.
    pub fn event_id(&self, kind: &str, state_key: &str) -> Option<&OwnedEventId> {
        if kind == "m.room.member" {
            let user = <&UserId>::try_from(state_key).ok()?;
            return self.members.get(user).map(|member| &member.event_id);
        }
        self.state.get(&(kind.to_owned(), state_key.to_owned()))
    }

    /// All of its events.
    pub fn event_ids(&self) -> impl Iterator<Item = &OwnedEventId> {
        let members = self.members.values().map(|member| &member.event_id);
        self.state.values().chain(members)
    }

    /// The same as a map from type and state key.
    pub fn to_map(&self) -> HashMap<(String, String), OwnedEventId> {
        let members = self.members.iter().map(|(user, member)| {
            (
                ("m.room.member".to_owned(), user.to_string()),
                member.event_id.clone(),
            )
        });
        let others = self
            .state
            .iter()
            .map(|(key, event_id)| (key.clone(), event_id.clone()));
        members.chain(others).collect()
    }
}
