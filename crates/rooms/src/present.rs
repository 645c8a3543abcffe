//! From stored events to what a client is shown: the one place that fills `unsigned`.

use std::collections::{HashMap, HashSet};

use gatehouse_events::ClientEvent;
use gatehouse_store::{Position, StoreError};
use ruma::{DeviceId, OwnedEventId, RoomId, UserId};
use serde_json::value::to_raw_value;

use crate::{Rooms, history_visibility::VisibilityTimeline, stored::StoredEvent, tables::STATE_CHANGES};

/// For whom events are shown.
#[derive(Debug, Clone, Copy)]
pub struct Viewer<'a> {
    /// The user.
    pub user: &'a UserId,
    /// Their device; it alone sees the transaction ids of what it sent.
    pub device: Option<&'a DeviceId>,
}

/// How much is shown with an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// In a timeline: also what a state event replaced, what is bundled, and the viewer's membership then.
    Timeline,
    /// As part of another event or of the state: nothing that would have to be looked up for it but its redaction.
    State,
    /// As part of what is bundled with another event; the same as [`Self::State`], with the viewer's membership.
    Bare,
}

/// What has to be looked up besides the events.
#[derive(Debug, Default)]
struct Companions {
    redactions: HashMap<OwnedEventId, StoredEvent>,
    /// By the place of the event that replaced them.
    replaced: HashMap<Position, StoredEvent>,
}

impl Rooms {
    /// The events as the viewer is shown them, in their order. They must be of one room, and the viewer must be
    /// allowed to see them. A fixed number of round trips, and some more for events with relations.
    pub async fn present(
        &self,
        viewer: Viewer<'_>,
        view: &VisibilityTimeline,
        mut events: Vec<StoredEvent>,
        detail: Detail,
    ) -> Result<Vec<ClientEvent>, StoreError> {
        let Some(first) = events.first() else {
            return Ok(Vec::new());
        };
        let room_id = first.event.room_id.clone();
        self.redact_erased(view, &mut events).await?;
        let companions = self.companions((&room_id, view), &events, detail).await?;
        let bundles = match detail {
            Detail::Timeline => self.bundles(viewer, view, &events).await?,
            Detail::State | Detail::Bare => Vec::new(),
        };
        let mut bundles = bundles.into_iter();
        let shown = events.iter().map(|stored| {
            let mut event = self.show(viewer, view, stored, detail);
            if let Some(before) = companions.replaced.get(&stored.position) {
                event.unsigned.prev_content = Some(before.content().to_owned());
                event.unsigned.replaces_state = Some(before.event_id().to_owned());
            }
            if let Some(redaction) = stored
                .redacted_by
                .as_ref()
                .and_then(|id| companions.redactions.get(id))
            {
                event.unsigned.redacted_by = Some(redaction.event_id().to_owned());
                event.unsigned.redacted_because =
                    Some(Box::new(self.show(viewer, view, redaction, Detail::State)));
            }
            event.unsigned.relations = bundles
                .next()
                .flatten()
                .and_then(|bundle| to_raw_value(&bundle).ok());
            event
        });
        Ok(shown.collect())
    }

    /// As [`Self::present`], of one event that is part of another.
    pub(crate) async fn present_one(
        &self,
        viewer: Viewer<'_>,
        view: &VisibilityTimeline,
        event: StoredEvent,
    ) -> Result<Option<ClientEvent>, StoreError> {
        // Boxed: what is bundled is itself shown this way.
        let events = Box::pin(self.present(viewer, view, vec![event], Detail::Bare)).await?;
        Ok(events.into_iter().next())
    }

    fn show(
        &self,
        viewer: Viewer<'_>,
        view: &VisibilityTimeline,
        stored: &StoredEvent,
        detail: Detail,
    ) -> ClientEvent {
        let mut event = ClientEvent::new(stored.event.clone());
        event.unsigned.age = Some(self.now_ms().saturating_sub(stored.origin_server_ts()));
        event.unsigned.transaction_id = stored
            .transaction
            .as_ref()
            .filter(|(device, _)| stored.sender() == viewer.user && viewer.device == Some(device))
            .map(|(_, id)| id.clone());
        if detail != Detail::State {
            event.unsigned.membership = Some(view.membership_shown_at(stored.position));
        }
        event
    }

    async fn companions(
        &self,
        (room_id, view): (&RoomId, &VisibilityTimeline),
        events: &[StoredEvent],
        detail: Detail,
    ) -> Result<Companions, StoreError> {
        let redactions: HashSet<_> = events
            .iter()
            .filter_map(|event| event.redacted_by.clone())
            .collect();
        let redactions: Vec<_> = redactions.into_iter().collect();
        let mut redactions = self.events_in_room(room_id, &redactions).await?;
        self.redact_erased(view, &mut redactions).await?;
        let redactions = redactions
            .into_iter()
            .map(|redaction| (redaction.event_id().to_owned(), redaction))
            .collect();
        let replaced = match detail {
            Detail::Timeline => self.replaced((room_id, view), events).await?,
            Detail::State | Detail::Bare => HashMap::new(),
        };
        Ok(Companions { redactions, replaced })
    }

    /// What the state events among these replaced.
    async fn replaced(
        &self,
        (room_id, view): (&RoomId, &VisibilityTimeline),
        events: &[StoredEvent],
    ) -> Result<HashMap<Position, StoredEvent>, StoreError> {
        let keys: Vec<_> = events
            .iter()
            .filter(|event| event.state_key().is_some())
            .map(|event| (room_id.to_owned(), event.position))
            .collect();
        if keys.is_empty() {
            return Ok(HashMap::new());
        }
        let changes = self.store.get_many(&STATE_CHANGES, &keys).await?;
        let replaced: Vec<(Position, OwnedEventId)> = keys
            .into_iter()
            .zip(changes)
            .filter_map(|((_, position), change)| Some((position, change?.replaced?)))
            .collect();
        let ids: Vec<_> = replaced.iter().map(|(_, before)| before.clone()).collect();
        let mut before = self.events_in_room(room_id, &ids).await?;
        self.redact_erased(view, &mut before).await?;
        let before: HashMap<_, _> = before
            .into_iter()
            .map(|event| (event.event_id().to_owned(), event))
            .collect();
        Ok(replaced
            .into_iter()
            .filter_map(|(position, id)| Some((position, before.get(&id)?.clone())))
            .collect())
    }
}
