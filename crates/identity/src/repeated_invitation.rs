//! The same invitation, asked for again. A homeserver or a client that has not heard the answer, because one of the two
//! was stopped, asks once more; whoever is invited gets one mail, and the room one event (security.md B11).

use gatehouse_mail::Threepid;
use gatehouse_store::Batch;
use ruma::{OwnedRoomId, OwnedUserId, RoomId, UserId};

use crate::{
    Identity, StoredInvite, Unavailable,
    associations::key,
    invitations::{InvitationRow, Progress},
    tables::{ASSOCIATIONS, INVITATIONS, LAST_INVITATIONS},
};

/// How long the same invitation is taken for a repetition; after that it is a reminder, with a message of its own.
const REPEATED_WITHIN_MS: u64 = 60_000;

/// Address, room and sender.
pub(crate) type LastKey = (String, String, OwnedRoomId, OwnedUserId);

/// The last invitation of an address into a room by somebody.
pub(crate) struct LastInvitation {
    token: String,
    row: InvitationRow,
}

pub(crate) fn last_key(sender: &UserId, threepid: &Threepid, room_id: &RoomId) -> LastKey {
    let (medium, address) = key(threepid);
    (medium, address, room_id.to_owned(), sender.to_owned())
}

/// Adds to the batch that this is the last one, in place of the one that was read.
pub(crate) fn put_last(batch: &mut Batch, key: &LastKey, before: Option<&LastInvitation>, token: &str) {
    let before = before.map(|last| (last.token.clone(),));
    batch.expect(&LAST_INVITATIONS, key, before.as_ref());
    batch.put(&LAST_INVITATIONS, key, &(token.to_owned(),));
}

impl Identity {
    pub(crate) async fn last_invitation(&self, key: &LastKey) -> Result<Option<LastInvitation>, Unavailable> {
        let Some((token,)) = self.get(&LAST_INVITATIONS, key).await? else {
            return Ok(None);
        };
        let row = self.get(&INVITATIONS, &(token.clone(),)).await?;
        let row = row.ok_or(Unavailable::Damaged("invitation"))?;
        Ok(Some(LastInvitation { token, row }))
    }

    /// The invitation once more, and a batch that writes nothing and fails when it waits no longer. `None`: it is not
    /// the same, but a new one.
    pub(crate) fn repeated(&self, last: &LastInvitation) -> Option<(StoredInvite, Batch)> {
        let is_waiting = last.row.progress == Progress::Waiting && last.row.code_used_by.is_none();
        if !is_waiting || self.now_ms() >= last.row.made_ms.saturating_add(REPEATED_WITHIN_MS) {
            return None;
        }
        let mut batch = Batch::new();
        batch.expect(&ASSOCIATIONS, &key(&last.row.threepid), None);
        batch.expect(&INVITATIONS, &(last.token.clone(),), Some(&last.row));
        Some((self.describe_stored(last.token.clone(), &last.row), batch))
    }
}
