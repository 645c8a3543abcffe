//! A user's own memberships as events: those of rooms that this server is in, and those that came from outside.

use std::collections::HashMap;

use gatehouse_store::{Position, StoreError};
use ruma::{RoomId, UserId};

use crate::{
    Rooms,
    stored::StoredEvent,
    tables::{EventRow, INVITATIONS, InvitationRow, STATE_HISTORY, Standing},
};

impl Rooms {
    /// The user's membership events that hold since these positions, each with that position, in the order asked; those
    /// that are not there are left out.
    pub async fn own_events(
        &self,
        user: &UserId,
        room_id: &RoomId,
        since: &[Position],
    ) -> Result<Vec<StoredEvent>, StoreError> {
        let member = ("m.room.member".to_owned(), user.to_string());
        let keys: Vec<_> = since
            .iter()
            .map(|since| (room_id.to_owned(), member.0.clone(), member.1.clone(), *since))
            .collect();
        let versions = self.store.get_many(&STATE_HISTORY, &keys).await?;
        let places: Vec<_> = versions
            .into_iter()
            .map(|version| version.and_then(|version| version.event.map(|(_, place)| place)))
            .collect();
        let inside: Vec<Position> = places.iter().flatten().copied().collect();
        let inside = self.timeline_rows(room_id, &inside).await?;
        let inside: HashMap<_, _> = inside.into_iter().map(|event| (event.position, event)).collect();
        let outside: Vec<Position> = since
            .iter()
            .zip(&places)
            .filter_map(|(since, place)| place.is_none().then_some(*since))
            .collect();
        let mut outside = self.events_from_outside(user, room_id, &outside).await?;
        Ok(since
            .iter()
            .zip(places)
            .filter_map(|(since, place)| {
                let mut event = match place {
                    Some(place) => inside.get(&place).cloned(),
                    None => outside.remove(since),
                }?;
                event.position = *since;
                Some(event)
            })
            .collect())
    }

    async fn events_from_outside(
        &self,
        user: &UserId,
        room_id: &RoomId,
        since: &[Position],
    ) -> Result<HashMap<Position, StoredEvent>, StoreError> {
        if since.is_empty() {
            return Ok(HashMap::new());
        }
        let keys: Vec<_> = since
            .iter()
            .map(|since| (user.to_owned(), room_id.to_owned(), *since))
            .collect();
        let rows = self.store.get_many(&INVITATIONS, &keys).await?;
        Ok(since
            .iter()
            .zip(rows)
            .filter_map(|(since, row)| Some((*since, stored_event(room_id, *since, row?)?)))
            .collect())
    }
}

/// The event of a row; `None`: it cannot be read.
pub(crate) fn stored_event(room_id: &RoomId, since: Position, row: InvitationRow) -> Option<StoredEvent> {
    let version = row.version.parse().ok()?;
    let event = EventRow::new(row.event_id, row.pdu, Standing::Accepted);
    StoredEvent::read(room_id, version, since, event)
}
