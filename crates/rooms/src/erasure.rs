//! What users who were erased have written (client-server API, `POST /account/deactivate`): those who were not in the
//! room when it was sent are shown a redacted copy, and so is every other server that asks.
//!
//! State that makes the room what it is stays for everybody; of state, only memberships say something of who sent it.

use std::{collections::HashSet, sync::Arc};

use gatehouse_events::{Event, redact, redact_event};
use gatehouse_store::{Position, StoreError};
use ruma::{
    OwnedUserId, RoomId,
    events::{TimelineEventType, room::member::MembershipState},
};

use crate::{Rooms, history_visibility::VisibilityTimeline, stored::StoredEvent};

impl Rooms {
    /// Redacts the events that the viewer is to have redacted copies of. They must be of one room.
    pub(crate) async fn redact_erased(
        &self,
        view: &VisibilityTimeline,
        events: &mut [StoredEvent],
    ) -> Result<(), StoreError> {
        let erased = self.erased_senders(view, events).await?;
        if erased.is_empty() {
            return Ok(());
        }
        let Some(room_id) = events.first().map(|first| first.event.room_id.clone()) else {
            return Ok(());
        };
        let Some(version) = self.version_of(&room_id).await? else {
            return Ok(());
        };
        for event in events {
            if erased.contains(event.sender()) && is_unseen(view, event) {
                event.event = Arc::new(redact_event(&event.event, version));
            }
        }
        Ok(())
    }

    /// The PDUs of these events of a room, as JSON, as the viewer may have them; those that are not there are left
    /// out.
    pub async fn pdus_for(
        &self,
        view: &VisibilityTimeline,
        room_id: &RoomId,
        events: &[StoredEvent],
    ) -> Result<Vec<String>, StoreError> {
        let positions: Vec<Position> = events.iter().map(|event| event.position).collect();
        let mut pdus = self.pdus(room_id, &positions).await?;
        let erased = self.erased_senders(view, events).await?;
        if let (false, Some(version)) = (erased.is_empty(), self.version_of(room_id).await?) {
            for (event, pdu) in events.iter().zip(&mut pdus) {
                if erased.contains(event.sender()) && is_unseen(view, event) {
                    *pdu = redact(pdu, version).unwrap_or_else(|_| "{}".to_owned());
                }
            }
        }
        Ok(pdus)
    }

    /// Whether other servers get a redacted copy of the event, because its sender wanted that. What they were sent before
    /// they keep.
    pub(crate) async fn is_erased(&self, event: &Event) -> Result<bool, StoreError> {
        let is_touched = event.state_key.is_none() || event.kind == TimelineEventType::RoomMember;
        if !is_touched || !self.is_local(&event.sender) {
            return Ok(false);
        }
        let erased = self.shared.accounts.erased_among([event.sender.clone()]).await?;
        Ok(!erased.is_empty())
    }

    async fn erased_senders(
        &self,
        view: &VisibilityTimeline,
        events: &[StoredEvent],
    ) -> Result<HashSet<OwnedUserId>, StoreError> {
        let unseen = events.iter().filter(|event| is_unseen(view, event));
        let senders: HashSet<_> = unseen
            .map(StoredEvent::sender)
            .filter(|sender| self.is_local(sender))
            .map(ToOwned::to_owned)
            .collect();
        if senders.is_empty() {
            return Ok(HashSet::new());
        }
        self.shared.accounts.erased_among(senders).await
    }
}

/// Whether it is an event that erasure touches, and the viewer was not in the room when it was sent.
fn is_unseen(view: &VisibilityTimeline, event: &StoredEvent) -> bool {
    (event.state_key().is_none() || event.kind() == "m.room.member")
        && view.membership_shown_at(event.position) != MembershipState::Join
}
