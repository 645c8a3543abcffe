//! Telling a user's rooms that their name or picture changed.

use gatehouse_accounts::{ProfileChange, ProfileError, Unavailable};
use gatehouse_store::StoreError;
use ruma::{CanonicalJsonObject, OwnedEventId, RoomId, UserId, events::room::member::MembershipState};
use serde_json::Value;

use super::{append_member, fan_out::each};
use crate::{
    Rooms,
    room_transaction::Beside,
    write_error::{Attempt, WriteError, attempt},
};

impl Rooms {
    /// Sets a field of the user's profile, or takes it away, and puts a new name or picture into their rooms. The
    /// profile is set whatever comes of that: a room that cannot be told now has the new one with the user's next
    /// membership event. Goes on when whoever asked goes away.
    pub async fn change_profile(
        &self,
        user: &UserId,
        key: &str,
        value: Option<Value>,
    ) -> Result<(), ProfileError> {
        let (rooms, user, key) = (self.clone(), user.to_owned(), key.to_owned());
        let changing = tokio::spawn(async move { rooms.set_profile_and_tell(&user, &key, value).await });
        changing.await.unwrap_or_else(|_| {
            let stopping = StoreError::Unavailable("the server is stopping; try again".to_owned());
            Err(Unavailable::from(stopping).into())
        })
    }

    async fn set_profile_and_tell(
        &self,
        user: &UserId,
        key: &str,
        value: Option<Value>,
    ) -> Result<(), ProfileError> {
        let accounts = &self.shared.accounts;
        let change = match value {
            Some(value) => accounts.set_profile_field(user, key, value).await?,
            None => accounts.delete_profile_field(user, key).await?,
        };
        if change == ProfileChange::Changed
            && matches!(key, "displayname" | "avatar_url")
            && let Err(error) = self.update_profile_in_rooms(user).await
        {
            tracing::warn!(%error, "a room was not told of a changed profile");
        }
        Ok(())
    }

    /// Writes the user's name and picture into each room that they are joined to. Goes on when one room fails, and
    /// tells the last failure.
    pub(crate) async fn update_profile_in_rooms(&self, user: &UserId) -> Result<(), WriteError> {
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
