//! The events that a transaction builds on: its own, those on their way to the disk, and those in the store.

use std::sync::Arc;

use gatehouse_events::Event;
use gatehouse_store::StoreError;
use ruma::OwnedEventId;

use super::RoomTransaction;

impl RoomTransaction {
    /// An event of this room's state as this transaction has made it so far.
    pub(crate) async fn state_event(
        &self,
        kind: &str,
        state_key: &str,
    ) -> Result<Option<Arc<Event>>, StoreError> {
        let events = self.state_events(&[(kind, state_key)]).await?;
        Ok(events.into_iter().next().flatten())
    }

    /// As [`Self::state_event`], several of them in the order asked. Not those in memory, which another node may have
    /// redacted.
    pub(crate) async fn state_events(
        &self,
        keys: &[(&str, &str)],
    ) -> Result<Vec<Option<Arc<Event>>>, StoreError> {
        let ids: Vec<_> = keys
            .iter()
            .map(|(kind, state_key)| self.head.state_event_id(kind, state_key).cloned())
            .collect();
        let mut found: Vec<_> = ids
            .iter()
            .map(|id| id.as_ref().and_then(|id| self.not_stored_yet(id)))
            .collect();
        let missing: Vec<_> = ids
            .iter()
            .zip(&found)
            .filter(|(_, event)| event.is_none())
            .filter_map(|(id, _)| id.clone())
            .collect();
        if missing.is_empty() {
            return Ok(found);
        }
        let stored = self.rooms.stored(&missing).await?;
        let mut stored = stored.into_iter().map(|stored| stored.map(|stored| stored.event));
        for (slot, id) in found.iter_mut().zip(&ids) {
            if slot.is_none() && id.is_some() {
                *slot = stored.next().flatten();
            }
        }
        Ok(found)
    }

    /// Events by id, for the authorisation rules: they ask for nothing that a redaction takes out.
    pub(super) async fn load(&self, ids: &[OwnedEventId]) -> Result<Vec<Option<Arc<Event>>>, StoreError> {
        let mut found: Vec<_> = ids.iter().map(|id| self.not_stored_yet(id)).collect();
        let missing: Vec<_> = ids
            .iter()
            .zip(&found)
            .filter(|(_, event)| event.is_none())
            .map(|(id, _)| id.clone())
            .collect();
        let mut loaded = self.rooms.events(&missing).await?.into_iter();
        for slot in found.iter_mut().filter(|slot| slot.is_none()) {
            *slot = loaded.next().flatten();
        }
        Ok(found)
    }

    fn not_stored_yet(&self, event_id: &OwnedEventId) -> Option<Arc<Event>> {
        let own = self.appended.iter().find(|event| event.event_id == *event_id);
        own.cloned()
            .or_else(|| self.slot.unsettled(event_id).map(|unsettled| unsettled.event))
    }
}
