//! Who may look into a room, and as of when.

use gatehouse_store::Position;
use ruma::{RoomId, UserId};

use crate::{
    Rooms,
    history_visibility::{Sight, Standing, VisibilityTimeline},
    read_error::ReadError,
};

/// A user's view of a room that they may look into.
#[derive(Debug, Clone)]
pub struct RoomView {
    /// Decides about single events.
    pub timeline: VisibilityTimeline,
    /// The state that the user may see: of now, or of when they left.
    pub as_of: AsOf,
}

/// Which state of a room a user sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AsOf {
    /// The current one.
    Now,
    /// The one just after the event at this position, with which the user left.
    Left(Position),
}

impl AsOf {
    /// The position up to which changes of the state are seen.
    pub fn position(self) -> Position {
        match self {
            Self::Now => Position::MAX,
            Self::Left(position) => position,
        }
    }
}

impl RoomView {
    /// Of when the state is shown with events of which this is the last. One's own bans and invites are seen even where
    /// nothing else is; with those comes the state that one may look at anyway.
    pub(crate) fn state_shown_with(&self, last: Position) -> Position {
        let sight = Sight {
            position: last,
            kind: "",
            state_key: None,
        };
        if self.timeline.sees(sight) {
            last
        } else {
            self.as_of.position()
        }
    }
}

impl Rooms {
    /// The user's view, when they are or were joined or the room is world readable.
    pub async fn view(&self, room_id: &RoomId, user: &UserId) -> Result<RoomView, ReadError> {
        let timeline = self.visibility_timeline(room_id, user).await?;
        let as_of = match timeline.standing() {
            Standing::Joined => AsOf::Now,
            Standing::Left(position) => AsOf::Left(position),
            // Before the first version history counts as shared, so a room that does not exist is not readable.
            Standing::Stranger if timeline.world_readable() => AsOf::Now,
            Standing::Stranger => return Err(ReadError::NotInRoom),
        };
        Ok(RoomView { timeline, as_of })
    }
}
