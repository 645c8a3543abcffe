//! One sync of one user: what every part of the response needs to know.

use std::sync::Arc;

use gatehouse_events::ClientEvent;
use gatehouse_rooms::{
    StoredEvent,
    history_visibility::VisibilityTimeline,
    present::{Detail, Viewer},
};
use gatehouse_store::Position;
use ruma::{DeviceId, RoomId, UserId};
use serde_json::Value;

use crate::{
    Sync,
    error::SyncError,
    event_fields::keep_fields,
    filter::{EventFormat, Filter},
    follow::Reached,
    members_sent::Acknowledged,
    recent::Changed,
    response::RawEvent,
    standing::Standing,
};

/// What is read: everything after `since`, up to and including `now`.
pub(crate) struct Reading<'a> {
    pub(crate) sync: &'a Sync,
    pub(crate) user: &'a UserId,
    pub(crate) device: &'a DeviceId,
    pub(crate) since: Option<Position>,
    pub(crate) now: Position,
    pub(crate) filter: &'a Filter,
    /// How the user stands to rooms and to others.
    pub(crate) standing: Arc<Standing>,
    /// With lazy loading: which members the device has.
    pub(crate) acknowledged: Option<Acknowledged>,
}

impl<'a> Reading<'a> {
    pub(crate) async fn new(
        sync: &'a Sync,
        (user, device): (&'a UserId, &'a DeviceId),
        (since, now): (Option<Position>, Position),
        filter: &'a Filter,
    ) -> Result<Self, SyncError> {
        let members = &filter.room.state;
        let is_lazy = members.lazy_load_members && !members.include_redundant_members;
        let acknowledged = is_lazy.then(|| sync.members_sent().acknowledge(user, device, since));
        Ok(Self {
            sync,
            user,
            device,
            since,
            now,
            filter,
            standing: sync.standing(user, now).await?,
            acknowledged,
        })
    }

    /// Where what is read begins.
    pub(crate) fn after(&self) -> Position {
        self.since.unwrap_or(Position::ZERO)
    }

    /// The events as the filter wants them sent; what names their room stands around them.
    pub(crate) async fn encode(
        &self,
        sight: &VisibilityTimeline,
        events: Vec<StoredEvent>,
        detail: Detail,
    ) -> Result<Vec<RawEvent>, SyncError> {
        if events.is_empty() {
            return Ok(Vec::new());
        }
        let encoded: Vec<RawEvent> = match self.filter.event_format {
            EventFormat::Federation => self.federation_form(sight, &events).await?,
            EventFormat::Client => {
                let events = self.present(sight, events, detail).await?;
                let events = events.into_iter().map(ClientEvent::without_room_id);
                events.filter_map(|event| raw(&event)).collect()
            }
        };
        Ok(match &self.filter.event_fields {
            None => encoded,
            Some(paths) => {
                let kept = encoded.iter().map(|event| keep_fields(event, paths));
                kept.flatten().collect()
            }
        })
    }

    /// The events as they are sent where nothing else names their room.
    pub(crate) async fn encode_with_room(
        &self,
        sight: &VisibilityTimeline,
        events: Vec<StoredEvent>,
        detail: Detail,
    ) -> Result<Vec<RawEvent>, SyncError> {
        let events = self.present(sight, events, detail).await?;
        Ok(events.iter().filter_map(raw).collect())
    }

    async fn present(
        &self,
        sight: &VisibilityTimeline,
        events: Vec<StoredEvent>,
        detail: Detail,
    ) -> Result<Vec<ClientEvent>, SyncError> {
        let viewer = Viewer {
            user: self.user,
            device: Some(self.device),
        };
        Ok(self.sync.rooms().present(viewer, sight, events, detail).await?)
    }

    async fn federation_form(
        &self,
        sight: &VisibilityTimeline,
        events: &[StoredEvent],
    ) -> Result<Vec<RawEvent>, SyncError> {
        let Some(first) = events.first() else {
            return Ok(Vec::new());
        };
        let rooms = self.sync.rooms();
        let pdus = rooms.pdus_for(sight, &first.event.room_id, events).await?;
        Ok(events.iter().zip(pdus).filter_map(with_event_id).collect())
    }

    /// Whether the timeline leaves the event out because its sender is ignored.
    pub(crate) fn ignores(&self, event: &StoredEvent) -> bool {
        let ignored = &self.standing.ignored;
        !ignored.is_empty() && event.state_key().is_none() && ignored.contains(event.sender())
    }

    /// The user's own data that changed, of all rooms and of none.
    pub(crate) async fn account_data(&self) -> Result<Vec<gatehouse_accounts::AccountData>, SyncError> {
        let accounts = self.sync.accounts();
        let mut data = match self.since {
            Some(since) if self.user_changed(since).await == Changed::No => Vec::new(),
            Some(since) => accounts.account_data_since(self.user, since, self.now).await?,
            None => accounts.all_account_data(self.user).await?,
        };
        // What changed after `now` is in the next response; until then this is what it was, or nothing.
        data.retain(|data| data.position <= self.now);
        Ok(data)
    }

    /// All of the user's own data of a room.
    pub(crate) async fn room_data(
        &self,
        room: &RoomId,
    ) -> Result<Vec<gatehouse_accounts::AccountData>, SyncError> {
        let accounts = self.sync.accounts();
        let mut data = accounts.room_account_data(self.user, room).await?;
        data.retain(|data| data.position <= self.now);
        Ok(data)
    }

    /// Whether anything about the user changed after `since`, up to now.
    pub(crate) async fn user_changed(&self, since: Position) -> Changed {
        let follower = self.sync.follower();
        match follower.reach(self.now).await {
            Reached::Yes => follower.user_changed(self.user, since),
            Reached::No => Changed::Unknown,
        }
    }

    /// Whether the user may see the room's part of the response at all.
    pub(crate) fn admits_room(&self, room: &RoomId) -> bool {
        self.filter.room.admits(room)
    }
}

/// Serialises an event.
pub(crate) fn raw(event: &impl serde::Serialize) -> Option<RawEvent> {
    // Events are plain data: this cannot fail.
    serde_json::value::to_raw_value(event).ok()
}

/// A PDU and the event's id, which most room versions keep out of it.
fn with_event_id((event, pdu): (&StoredEvent, String)) -> Option<RawEvent> {
    let mut fields: serde_json::Map<String, Value> = serde_json::from_str(&pdu).ok()?;
    fields.insert("event_id".to_owned(), event.event_id().as_str().into());
    raw(&fields)
}
