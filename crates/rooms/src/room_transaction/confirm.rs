//! Answering that something is so already, without a commit of one's own.

use gatehouse_store::{Batch, CommitError};

use super::RoomTransaction;
use crate::tables::HEADS;

impl RoomTransaction {
    /// Waits until the room that was decided on is on disk. It may be the work of a commit that is still under way, and
    /// what is acknowledged must not be lost with it. A conflict: it was lost, or another node was faster.
    pub(crate) async fn confirm(self) -> Result<(), CommitError> {
        let key = (self.head.room_id.clone(),);
        if self.rooms.store.get(&HEADS, &key).await? == self.before {
            return Ok(());
        }
        let mut batch = Batch::new();
        batch.expect(&HEADS, &key, self.before.as_ref());
        let epoch = self.turn.epoch;
        let durable = self.rooms.store.commit(batch);
        drop(self.turn);
        if let Err(error) = durable.await {
            self.slot.invalidate(epoch).await;
            return Err(error);
        }
        Ok(())
    }
}
