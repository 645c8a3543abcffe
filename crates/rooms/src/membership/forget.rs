//! Forgetting a room that one has left.

use gatehouse_store::{Batch, Topic};
use ruma::{RoomId, UserId, events::room::member::MembershipState};

use crate::{
    Rooms,
    tables::{MEMBERSHIP_CHANGES, MEMBERSHIPS, MembershipChangeRow},
    write_error::{Attempt, Refusal, WriteError, attempt},
};

impl Rooms {
    /// Hides the room and its history from the user, until they are let in again.
    pub async fn forget(&self, user: &UserId, room_id: &RoomId) -> Result<(), WriteError> {
        attempt(|| self.try_forget(user, room_id)).await
    }

    async fn try_forget(&self, user: &UserId, room_id: &RoomId) -> Result<(), Attempt> {
        let key = (user.to_owned(), room_id.to_owned());
        let Some(row) = self.store.get(&MEMBERSHIPS, &key).await? else {
            return Err(Refusal::NeverInRoom.into());
        };
        if !matches!(row.membership, MembershipState::Leave | MembershipState::Ban) {
            return Err(WriteError::StillInRoom.into());
        }
        if row.forgotten {
            return Ok(());
        }
        let mut forgotten = row.clone();
        forgotten.forgotten = true;
        let mut batch = Batch::new();
        batch.expect(&MEMBERSHIPS, &key, Some(&row));
        batch.put(&MEMBERSHIPS, &key, &forgotten);
        let position = batch.next_position();
        let change = MembershipChangeRow {
            room_id: room_id.to_owned(),
            membership: row.membership,
            event_id: row.event_id,
            forgotten: true,
        };
        batch.put(&MEMBERSHIP_CHANGES, &(user.to_owned(), position), &change);
        batch.touch(Topic::User(user.to_owned()));
        self.store.commit(batch).await?;
        Ok(())
    }
}
