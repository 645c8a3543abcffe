//! `GET /rooms/{roomId}/state` and `GET /rooms/{roomId}/state/{eventType}/{stateKey}`.

use gatehouse_events::ClientEvent;
use gatehouse_store::{Position, StoreError};
use ruma::{OwnedRoomId, RoomId, UserId};
use serde::Deserialize;

use crate::{
    Rooms,
    present::{Detail, Viewer},
    read_error::ReadError,
};

impl Rooms {
    /// All state events, of now or of when the viewer left.
    pub async fn room_state(
        &self,
        viewer: Viewer<'_>,
        room_id: &RoomId,
    ) -> Result<Vec<ClientEvent>, ReadError> {
        let view = self.view(room_id, viewer.user).await?;
        self.wait_to_read_whole(room_id).await?;
        let events = self.state_at(room_id, view.as_of.position()).await?;
        Ok(self
            .present(viewer, &view.timeline, events, Detail::State)
            .await?)
    }

    /// One state event, of now or of when the viewer left.
    pub async fn room_state_event(
        &self,
        viewer: Viewer<'_>,
        room_id: &RoomId,
        kind: &str,
        state_key: &str,
    ) -> Result<ClientEvent, ReadError> {
        let view = self.view(room_id, viewer.user).await?;
        let at = view.as_of.position();
        let mut event = self.state_event_at(room_id, kind, state_key, at).await?;
        if event.is_none() && kind == "m.room.member" {
            self.wait_to_read_whole(room_id).await?;
            event = self.state_event_at(room_id, kind, state_key, at).await?;
        }
        let event = event.ok_or(ReadError::StateNotFound)?;
        let events = self
            .present(viewer, &view.timeline, vec![event], Detail::State)
            .await?;
        events.into_iter().next().ok_or(ReadError::StateNotFound)
    }

    /// Whether there is such a room here.
    pub async fn exists(&self, room_id: &RoomId) -> Result<bool, StoreError> {
        Ok(self.version_of(room_id).await?.is_some())
    }

    /// Whether the user is joined and has the power to set state of this type.
    pub async fn may_set_state(
        &self,
        user: &UserId,
        room_id: &RoomId,
        kind: &str,
    ) -> Result<bool, StoreError> {
        let Some(head) = self.head(room_id).await? else {
            return Ok(false);
        };
        let levels = head.power_levels();
        Ok(head.is_joined(user) && levels.of_user(user) >= levels.to_set_state(kind))
    }

    /// The room that the tombstone of this one names.
    pub async fn replacement_of(&self, room_id: &RoomId) -> Result<Option<OwnedRoomId>, StoreError> {
        let tombstone = self
            .state_event_at(room_id, "m.room.tombstone", "", Position::MAX)
            .await?;
        Ok(tombstone
            .and_then(|event| event.content_text("replacement_room"))
            .and_then(|room| room.try_into().ok()))
    }

    /// The room that this one replaces, if that one says so, too: anybody can make a room that claims it.
    pub async fn predecessor_of(&self, room_id: &RoomId) -> Result<Option<OwnedRoomId>, StoreError> {
        let head = self.head(room_id).await?;
        let create = head.as_ref().and_then(|head| head.hot.get("m.room.create"));
        let content = create.and_then(|create| create.content_as::<Creation>());
        let Some(Predecessor { room_id: former }) = content.and_then(|content| content.predecessor) else {
            return Ok(None);
        };
        let replacement = self.replacement_of(&former).await?;
        Ok((replacement.as_deref() == Some(room_id)).then_some(former))
    }
}

#[derive(Deserialize)]
struct Creation {
    predecessor: Option<Predecessor>,
}

#[derive(Deserialize)]
struct Predecessor {
    room_id: OwnedRoomId,
}
