//! Telling a user's rooms that their name or picture changed.

use ruma::{CanonicalJsonObject, OwnedEventId, RoomId, UserId, events::room::member::MembershipState};

use super::{append_member, fan_out::each};
use crate::{
    Rooms,
    room_transaction::Beside,
    write_error::{Attempt, WriteError, attempt},
};

impl Rooms {
    /// Writes the user's name and picture into each room that they are joined to. Goes on when one room fails, and
    /// tells the last failure.
    pub async fn update_profile_in_rooms(&self, user: &UserId) -> Result<(), WriteError> {
        let joined = self.joined_rooms(user).await?;
        let (rooms, user) = (self.clone(), user.to_owned());
        each(joined, move |room_id| {
            let (rooms, user) = (rooms.clone(), user.clone());
            async move {
                let updated = attempt(|| rooms.try_update_profile(&user, &room_id)).await;
                updated.map(|_| ())
            }
        })
        .await
    }

    async fn try_update_profile(
        &self,
        user: &UserId,
        room_id: &RoomId,
    ) -> Result<Option<OwnedEventId>, Attempt> {
        let mut transaction = self.begin_existing(room_id).await?;
        if transaction.head().membership(user) != MembershipState::Join {
            return Ok(None);
        }
        let event = transaction.state_event("m.room.member", user.as_str()).await?;
        let Some(before) = event.and_then(|event| event.content_as::<CanonicalJsonObject>()) else {
            return Ok(None);
        };
        let mut content = before.clone();
        for field in ["displayname", "avatar_url", "reason"] {
            content.remove(field);
        }
        self.add_profile(user, &mut content).await?;
        if content == before {
            return Ok(None);
        }
        let event = append_member(&mut transaction, user, user, content, Beside::default()).await?;
        transaction.commit().await?;
        Ok(Some(event.event_id.clone()))
    }
}
