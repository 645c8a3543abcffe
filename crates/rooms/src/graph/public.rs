//! What others ask of the graph.

use gatehouse_store::StoreError;
use ruma::{EventId, OwnedUserId, RoomId};

use super::{delta::Delta, loaded::LoadedEvents};
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
}
