//! Reading the versions that a view of a room's history is made of.

use gatehouse_store::{Direction, Position, Range, StoreError};
use ruma::{RoomId, UserId};

use crate::{
    Rooms,
    history_visibility::{HistoryVisibility, VisibilityTimeline},
    stored::StoredEvent,
    tables::{MEMBERSHIPS, STATE_HISTORY},
};

/// How many versions of a membership or of the visibility are looked at, newest first. A user who joined and left
/// oftener than that does not see what came before.
const MAX_VERSIONS: usize = 1_000;

impl Rooms {
    /// What this user may see of this room. Of a room that does not exist: what a stranger sees of one that does.
    pub async fn visibility_timeline(
        &self,
        room_id: &RoomId,
        user: &UserId,
    ) -> Result<VisibilityTimeline, StoreError> {
        let visibilities = self.versions(room_id, "m.room.history_visibility", "").await?;
        let memberships = self.versions(room_id, "m.room.member", user.as_str()).await?;
        let row = self
            .store
            .get(&MEMBERSHIPS, &(user.to_owned(), room_id.to_owned()))
            .await?;
        let first_visibility = if visibilities.len() < MAX_VERSIONS {
            HistoryVisibility::Shared
        } else {
            HistoryVisibility::Joined
        };
        Ok(VisibilityTimeline {
            user: user.to_owned(),
            visibilities: visibilities
                .iter()
                .map(|event| {
                    let value = event.content_text("history_visibility");
                    (event.position, HistoryVisibility::from_value(value.as_deref()))
                })
                .collect(),
            first_visibility,
            memberships: memberships
                .iter()
                .filter_map(|event| Some((event.position, event.membership()?)))
                .collect(),
            forgotten: row.is_some_and(|row| row.forgotten),
        })
    }

    /// The last versions of a state key, oldest first.
    async fn versions(
        &self,
        room_id: &RoomId,
        kind: &str,
        state_key: &str,
    ) -> Result<Vec<StoredEvent>, StoreError> {
        let range = Range::prefix(&(room_id.to_owned(), kind.to_owned(), state_key.to_owned()));
        let rows = self
            .store
            .scan(&STATE_HISTORY, &range, Direction::Backward, MAX_VERSIONS)
            .await?;
        let positions: Vec<Position> = rows.iter().rev().map(|((_, _, _, at), _)| *at).collect();
        self.timeline_rows(room_id, &positions).await
    }
}
