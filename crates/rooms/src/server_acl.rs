//! Which servers a room lets take part (client-server API, `m.room.server_acl`).

use std::sync::Arc;

use gatehouse_events::server_acl::ServerAcl;
use gatehouse_store::StoreError;
use ruma::ServerName;

use crate::{RoomHead, Rooms};

impl Rooms {
    /// Whether the room's ACL lets the server take part (security.md E30). This server is always let in.
    pub(crate) async fn server_is_allowed(
        &self,
        head: &RoomHead,
        server: &ServerName,
    ) -> Result<bool, StoreError> {
        if server == self.server_name() {
            return Ok(true);
        }
        let Some(event_id) = head.state_event_id("m.room.server_acl", "") else {
            return Ok(true);
        };
        let event = self.events(std::slice::from_ref(event_id)).await?.pop().flatten();
        let Some(event) = event else {
            return Ok(true);
        };
        let slot = self.shared.turns.slot(&head.room_id);
        let length = event.content.get().len();
        let mut known = slot.acl.lock();
        // A redaction leaves another content.
        if let Some((of, of_length, acl)) = &*known
            && of == event_id
            && *of_length == length
        {
            return Ok(acl.allows(server));
        }
        let acl = Arc::new(ServerAcl::parse(&event.content));
        let allows = acl.allows(server);
        *known = Some((event_id.clone(), length, acl));
        Ok(allows)
    }
}
