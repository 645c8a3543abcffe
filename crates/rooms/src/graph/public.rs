//! What others ask of the graph.

use std::sync::Arc;

use gatehouse_events::Event;
use gatehouse_store::StoreError;
use ruma::{EventId, OwnedEventId, OwnedUserId, RoomId};

use super::{delta::Delta, loaded::LoadedEvents, resolution_error::ResolutionError};
use crate::{
    RoomHead, RoomState, Rooms,
    head::{Member, membership_in},
};

impl Rooms {
    /// The state just before an event of the room; `None`: there is no such event here, or the state before it is not
    /// known here.
    pub(crate) async fn state_before_event(
        &self,
        room_id: &RoomId,
        event_id: &EventId,
    ) -> Result<Option<RoomState>, StoreError> {
        let Some(head) = self.head(room_id).await? else {
            return Ok(None);
        };
        let Some(placed) = self
            .placed(room_id, &[event_id.to_owned()])
            .await?
            .remove(event_id)
        else {
            return Ok(None);
        };
        match self.delta_before(&head, &placed).await? {
            Some(delta) => self.whole_state(&head, delta).await.map(Some),
            None => Ok(None),
        }
    }

    async fn whole_state(&self, head: &RoomHead, delta: Delta) -> Result<RoomState, StoreError> {
        let mut state = head.room_state();
        let mut members = Vec::new();
        for ((kind, state_key), event_id) in delta {
            if kind != "m.room.member" {
                match event_id {
                    Some(event_id) => state.state.insert((kind, state_key), event_id),
                    None => state.state.remove(&(kind, state_key)),
                };
            } else if let Ok(user) = OwnedUserId::try_from(state_key) {
                members.push((user, event_id));
            }
        }
        let mut loaded = LoadedEvents::default();
        loaded
            .load(self, members.iter().filter_map(|(_, event_id)| event_id.as_ref()))
            .await?;
        for (user, event_id) in members {
            match event_id {
                Some(event_id) => {
                    let event = loaded.get(&event_id);
                    let membership = event
                        .map_or(ruma::events::room::member::MembershipState::Leave, |event| {
                            membership_in(&event)
                        });
                    state.members.insert(user, Member { membership, event_id });
                }
                None => drop(state.members.remove(&user)),
            }
        }
        Ok(state)
    }

    /// The events in the auth chains of these events of the room, in no order; those themselves only where one is in the
    /// chain of another.
    pub(crate) async fn auth_chain(
        &self,
        room_id: &RoomId,
        of: &[OwnedEventId],
    ) -> Result<Vec<Arc<Event>>, StoreError> {
        let mut loaded = LoadedEvents::default();
        loaded.load_chains(self, of).await.map_err(|error| match error {
            ResolutionError::Store(error) => error,
            other => StoreError::Unavailable(other.to_string()),
        })?;
        let mut cited = std::collections::HashSet::new();
        let events: Vec<_> = loaded
            .into_events()
            .filter(|event| event.room_id == *room_id)
            .collect();
        for event in &events {
            cited.extend(event.auth_events.iter().cloned());
        }
        Ok(events
            .into_iter()
            .filter(|event| cited.contains(&event.event_id))
            .collect())
    }
}
