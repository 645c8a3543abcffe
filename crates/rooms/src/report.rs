//! Reporting an event, a room or a user to the server's administrators.

use gatehouse_store::{Batch, CommitError};
use ruma::{OwnedEventId, OwnedRoomId, OwnedUserId, UserId};

use crate::{
    Rooms,
    tables::{REPORTS, ReportRow},
    write_error::WriteError,
};

/// The longest reason, in bytes (limits, "report reason").
pub const MAX_REASON_BYTES: usize = 2_000;

/// What is reported.
#[derive(Debug, Clone)]
pub enum Reported {
    /// An event; the score is from -100, most offensive, to 0.
    Event {
        /// Its room.
        room_id: OwnedRoomId,
        /// The event.
        event_id: OwnedEventId,
        /// How bad.
        score: Option<i64>,
    },
    /// A room.
    Room(OwnedRoomId),
    /// A user.
    User(OwnedUserId),
}

impl Rooms {
    /// Keeps the report. Whether the reporter may see what they report is for the caller to find out first.
    pub async fn report(&self, reporter: &UserId, about: Reported, reason: &str) -> Result<(), WriteError> {
        let mut row = ReportRow {
            reporter: reporter.to_owned(),
            room_id: None,
            event_id: None,
            user_id: None,
            reason: reason.to_owned(),
            score: None,
            reported_at_ms: self.now_ms(),
        };
        match about {
            Reported::Event {
                room_id,
                event_id,
                score,
            } => {
                row.room_id = Some(room_id);
                row.event_id = Some(event_id);
                row.score = score;
            }
            Reported::Room(room_id) => row.room_id = Some(room_id),
            Reported::User(user_id) => row.user_id = Some(user_id),
        }
        let mut batch = Batch::new();
        let position = batch.next_position();
        batch.put(&REPORTS, &(position,), &row);
        match self.store.commit(batch).await {
            Ok(_) => Ok(()),
            Err(CommitError::Store(error)) => Err(error.into()),
            Err(CommitError::Conflict { .. }) => Err(WriteError::Contended),
        }
    }
}
