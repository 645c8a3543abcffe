//! Getting the events that authorise an event.

use gatehouse_events::Pdu;
use gatehouse_store::StoreError;
use ruma::OwnedEventId;
use serde_json::value::RawValue;

use super::missing::Fetching;
use crate::{Rooms, remote_servers::Fetch, write_error::WriteError};

/// Events of an auth chain that are looked at: more than a room has in years, and no more than a few seconds' work.
const MAX_AUTH_CHAIN: usize = 20_000;

impl Rooms {
    /// Fetches the auth chain of an event, when some of the events that authorise it are not here. What cannot be had is
    /// found missing later.
    pub(super) async fn get_auth_events(&self, fetching: &Fetching, pdu: &Pdu) -> Result<(), WriteError> {
        let missing = self.absent(fetching, &pdu.event.auth_events).await?;
        if missing.is_empty() {
            return Ok(());
        }
        let fetch = Fetch::EventAuth {
            room_id: &fetching.room_id,
            event_id: &pdu.event.event_id,
        };
        let asked = self.shared.remote.fetch(&fetching.origin, fetch);
        let mut raws = fetching.ask(asked).await.unwrap_or_default();
        raws.truncate(MAX_AUTH_CHAIN);
        self.keep_raw_outliers(fetching, &raws).await?;
        for event_id in self.absent(fetching, &missing).await? {
            let fetch = Fetch::Event { event_id: &event_id };
            let asked = self.shared.remote.fetch(&fetching.origin, fetch);
            let raws = fetching.ask(asked).await.unwrap_or_default();
            self.keep_raw_outliers(fetching, &raws).await?;
        }
        Ok(())
    }

    /// Checks events and keeps them for others.
    pub(super) async fn keep_raw_outliers(
        &self,
        fetching: &Fetching,
        raws: &[Box<RawValue>],
    ) -> Result<(), WriteError> {
        if raws.is_empty() {
            return Ok(());
        }
        let checked = self.check_pdus(fetching.version, &fetching.room_id, raws).await;
        let pdus = checked.into_iter().flatten().collect();
        let Some(head) = self.head(&fetching.room_id).await? else {
            return Ok(());
        };
        let create = head.hot_event("m.room.create");
        self.keep_outliers(&fetching.room_id, fetching.version, create, pdus)
            .await
    }

    /// Those of these events that are not here at all.
    pub(super) async fn absent(
        &self,
        fetching: &Fetching,
        ids: &[OwnedEventId],
    ) -> Result<Vec<OwnedEventId>, StoreError> {
        let placed = self.placed(&fetching.room_id, ids).await?;
        Ok(ids
            .iter()
            .filter(|id| !placed.contains_key(*id))
            .cloned()
            .collect())
    }
}
