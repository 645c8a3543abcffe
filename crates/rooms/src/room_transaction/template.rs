//! Events that are built on a room and not put into it: what another server is to sign, or to see first.

use std::sync::Arc;

use gatehouse_events::{
    Built, Event, NewEvent, Parents,
    authorise::{auth_types, authorise, authorise_by_auth_events},
};
use ruma::{CanonicalJsonObject, EventId, UserId, events::StateEventType};

use super::{AppendError, RoomTransaction};

/// The events that an event like this is authorised by.
type AuthState = Vec<((StateEventType, String), Arc<Event>)>;

impl RoomTransaction {
    /// Builds and authorises an event of one of our users. It is not part of the room yet.
    pub(crate) async fn draft(&self, sender: &UserId, new: NewEvent) -> Result<Built, AppendError> {
        let (auth_state, parents) = self.place_of(sender, &new).await?;
        let builder = self.rooms.builder(self.head.version);
        let built = builder.build(&self.head.room_id, sender, new, parents, self.rooms.now_ms())?;
        self.allow(&built.event, &auth_state)?;
        Ok(built)
    }

    /// An event for another server's user to sign, when the room's rules allow it.
    pub(crate) async fn template(
        &self,
        sender: &UserId,
        new: NewEvent,
    ) -> Result<CanonicalJsonObject, AppendError> {
        let (auth_state, parents) = self.place_of(sender, &new).await?;
        let builder = self.rooms.builder(self.head.version);
        let now_ms = self.rooms.now_ms();
        let template = builder.template(&self.head.room_id, sender, new.clone(), &parents, now_ms)?;
        let event = unsigned_event(self, sender, new, parents, now_ms)?;
        self.allow(&event, &auth_state)?;
        Ok(template)
    }

    async fn place_of(&self, sender: &UserId, new: &NewEvent) -> Result<(AuthState, Parents), AppendError> {
        let version = self.head.version;
        let types = auth_types(version, &new.kind, sender, new.state_key.as_deref(), &new.content)?;
        let auth_state = self.auth_state(types.clone()).await?;
        let auth_events: Vec<_> = types
            .iter()
            .filter_map(|(kind, key)| self.head.state_event_id_of(kind, key).cloned())
            .collect();
        let parents = self.parents(auth_events).await?;
        Ok((auth_state, parents))
    }

    fn allow(&self, event: &Event, auth_state: &AuthState) -> Result<(), AppendError> {
        let version = self.head.version;
        authorise_by_auth_events(version, event, |id| {
            auth_state
                .iter()
                .find(|(_, event)| event.event_id == *id)
                .map(|(_, event)| Arc::clone(event))
        })?;
        authorise(version, event, |kind, key| {
            auth_state
                .iter()
                .find(|((k, s), _)| k == kind && s == key)
                .map(|(_, event)| Arc::clone(event))
        })?;
        Ok(())
    }
}

/// The event as the rules see it; who signs it gives it its id.
fn unsigned_event(
    transaction: &RoomTransaction,
    sender: &UserId,
    new: NewEvent,
    parents: Parents,
    origin_server_ts: u64,
) -> Result<Event, AppendError> {
    let unsignable =
        |error: &dyn std::fmt::Display| gatehouse_events::BuildError::Unsignable(error.to_string());
    let content = serde_json::value::to_raw_value(&new.content).map_err(|error| unsignable(&error))?;
    let event_id = EventId::parse("$unsigned:localhost").map_err(|error| unsignable(&error))?;
    Ok(Event {
        event_id,
        room_id: transaction.head.room_id.clone(),
        sender: sender.to_owned(),
        kind: new.kind,
        state_key: new.state_key,
        content,
        origin_server_ts,
        depth: parents.depth,
        prev_events: parents.prev_events,
        auth_events: parents.auth_events,
        redacts: None,
        rejected: false,
    })
}
