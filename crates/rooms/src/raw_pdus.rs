//! Events as other servers get them: the stored PDU.

use gatehouse_store::StoreError;
use ruma::{OwnedEventId, RoomId};
use serde_json::value::RawValue;

use crate::{Rooms, remote_servers::RawPdu, tables::Standing};

impl Rooms {
    /// Events of the room as other servers get them, in the order asked; those that are not there or were rejected are left
    /// out.
    pub(crate) async fn raw_pdus(
        &self,
        room_id: &RoomId,
        ids: &[OwnedEventId],
    ) -> Result<Vec<RawPdu>, StoreError> {
        let mut placed = self.placed(room_id, ids).await?;
        Ok(ids
            .iter()
            .filter_map(|id| placed.remove(id))
            .filter(|placed| placed.row.standing != Standing::Rejected)
            .filter_map(|placed| RawValue::from_string(placed.row.pdu).ok())
            .collect())
    }
}
