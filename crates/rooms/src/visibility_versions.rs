//! Reading the versions that a view of a room's history is made of.

use std::collections::HashMap;

use gatehouse_store::{Direction, Position, Range, StoreError};
use ruma::{RoomId, UserId, events::room::member::MembershipState};

use crate::{
    Rooms,
    history_visibility::{HistoryVisibility, VisibilityTimeline},
    stored::StoredEvent,
    tables::{MEMBERSHIPS, STATE_HISTORY, Standing},
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
        let mut memberships: Vec<_> = memberships
            .iter()
            .filter_map(|(since, event)| match event {
                Some(event) => Some((*since, event.membership()?)),
                None => Some((*since, MembershipState::Leave)),
            })
            .collect();
        if let Some(row) = &row
            && memberships.last().is_none_or(|(since, _)| *since != row.position)
        {
            memberships.extend(self.versions_from_outside(user, room_id, row).await?);
            memberships.sort_by_key(|(since, _)| *since);
        }
        let first_visibility = match visibilities.first() {
            _ if visibilities.len() >= MAX_VERSIONS => HistoryVisibility::Joined,
            // It came with a join. Of what was before, other servers give us no more than what we may see.
            Some((_, Some(first))) if first.standing == Standing::Outlier => visibility_in(Some(first)),
            _ => HistoryVisibility::Shared,
        };
        Ok(VisibilityTimeline {
            user: user.to_owned(),
            visibilities: visibilities
                .iter()
                .map(|(since, event)| (*since, visibility_in(event.as_ref())))
                .collect(),
            first_visibility,
            memberships,
            forgotten: row.is_some_and(|row| row.forgotten),
        })
    }

    /// The values that the room's history visibility has had, as far as they are looked at; where there were more, that it
    /// was hidden.
    pub(crate) async fn visibilities(&self, room_id: &RoomId) -> Result<Vec<HistoryVisibility>, StoreError> {
        let versions = self.versions(room_id, "m.room.history_visibility", "").await?;
        let mut all: Vec<_> = versions
            .iter()
            .map(|(_, event)| visibility_in(event.as_ref()))
            .collect();
        if versions.len() >= MAX_VERSIONS {
            all.push(HistoryVisibility::Joined);
        }
        Ok(all)
    }

    /// The last versions of a state key, oldest first: since when they hold, and the event.
    async fn versions(
        &self,
        room_id: &RoomId,
        kind: &str,
        state_key: &str,
    ) -> Result<Vec<(Position, Option<StoredEvent>)>, StoreError> {
        let range = Range::prefix(&(room_id.to_owned(), kind.to_owned(), state_key.to_owned()));
        let rows = self
            .store
            .scan(&STATE_HISTORY, &range, Direction::Backward, MAX_VERSIONS)
            .await?;
        let places: Vec<Position> = rows
            .iter()
            .filter_map(|(_, row)| Some(row.event.as_ref()?.1))
            .collect();
        let events = self.timeline_rows(room_id, &places).await?;
        let events: HashMap<_, _> = events.into_iter().map(|event| (event.position, event)).collect();
        let versions = rows
            .into_iter()
            .rev()
            .filter_map(|((_, _, _, since), row)| match row.event {
                // An event that cannot be read counts as one that never was.
                Some((_, place)) => Some((since, Some(events.get(&place)?.clone()))),
                None => Some((since, None)),
            });
        Ok(versions.collect())
    }
}

fn visibility_in(event: Option<&StoredEvent>) -> HistoryVisibility {
    let value = event.and_then(|event| event.content_text("history_visibility"));
    HistoryVisibility::from_value(value.as_deref())
}
