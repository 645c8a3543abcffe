//! Waiting for a room's members.

use std::time::Duration;

use gatehouse_store::{Notice, StoreError, Topic};
use ruma::RoomId;
use tokio::time::{Instant, timeout_at};

use crate::{Rooms, read_error::ReadError, write_error::WriteError};

/// How long one who asks waits: clients give up soon after that.
const PATIENCE: Duration = Duration::from_secs(20);

impl Rooms {
    /// Waits until all members of a room that this server is in are known.
    pub(crate) async fn wait_until_whole(&self, room_id: &RoomId) -> Result<(), WriteError> {
        if self.is_whole_by(room_id, Instant::now() + PATIENCE).await? {
            Ok(())
        } else {
            Err(WriteError::MembersMissing)
        }
    }

    /// As [`Self::wait_until_whole`], for who reads.
    pub(crate) async fn wait_to_read_whole(&self, room_id: &RoomId) -> Result<(), ReadError> {
        if self.is_whole_by(room_id, Instant::now() + PATIENCE).await? {
            Ok(())
        } else {
            Err(ReadError::MembersMissing)
        }
    }

    /// `false`: members are still missing when the time is up.
    pub(crate) async fn is_whole_by(&self, room_id: &RoomId, deadline: Instant) -> Result<bool, StoreError> {
        if self.is_whole_now(room_id).await? {
            return Ok(true);
        }
        let mut watch = self.store.watch();
        while !self.is_whole_now(room_id).await? {
            loop {
                match timeout_at(deadline, watch.next()).await {
                    Err(_) => return self.is_whole_now(room_id).await,
                    Ok(None) => return Ok(false),
                    Ok(Some(Notice::Everything)) => break,
                    Ok(Some(Notice::Changes(changes))) => {
                        let is_room = |topic: &Topic| matches!(topic, Topic::Room(room) if room == room_id);
                        if changes.topics.iter().any(is_room) {
                            break;
                        }
                    }
                }
            }
        }
        Ok(true)
    }

    /// Of a room that we have left nobody fetches the members.
    async fn is_whole_now(&self, room_id: &RoomId) -> Result<bool, StoreError> {
        let head = self.head(room_id).await?;
        Ok(head.is_none_or(|head| head.is_whole() || !head.has_server(self.server_name())))
    }
}
