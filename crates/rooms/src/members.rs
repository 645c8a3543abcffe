//! Who is in a room, and in which rooms a user is: `members`, `joined_members`, `joined_rooms`.

use gatehouse_events::ClientEvent;
use gatehouse_store::{Direction, Position, Range, StoreError};
use ruma::{OwnedRoomId, OwnedUserId, RoomId, UserId, events::room::member::MembershipState};
use serde::Serialize;

use crate::{
    Rooms,
    history_visibility::{Sight, Standing},
    present::{Detail, Viewer},
    read_error::ReadError,
    stored::StoredEvent,
    tables::MEMBERSHIPS,
    token::Token,
};

/// Rows read at once.
const BATCH: usize = 1_000;

/// Which members.
#[derive(Debug, Clone, Default)]
pub struct MembersQuery {
    /// As of this point; absent: now, or when the viewer left.
    pub at: Option<Token>,
    /// With this membership …
    pub membership: Option<MembershipState>,
    /// … or with another than this.
    pub not_membership: Option<MembershipState>,
}

/// What `joined_members` says of a member. What is absent is shown as null: clients count on both keys.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct JoinedMember {
    /// The name in the membership event.
    pub display_name: Option<String>,
    /// The picture in the membership event.
    pub avatar_url: Option<String>,
}

impl MembersQuery {
    fn admits(&self, event: &StoredEvent) -> bool {
        let membership = event.membership();
        match (&self.membership, &self.not_membership) {
            (None, None) => true,
            (wanted, unwanted) => {
                (wanted.is_some() && membership == *wanted)
                    || unwanted
                        .as_ref()
                        .is_some_and(|unwanted| membership.as_ref() != Some(unwanted))
            }
        }
    }
}

impl Rooms {
    /// The membership events of a room, as far as the viewer may see them.
    pub async fn members(
        &self,
        viewer: Viewer<'_>,
        room_id: &RoomId,
        query: &MembersQuery,
    ) -> Result<Vec<ClientEvent>, ReadError> {
        let view = self.view(room_id, viewer.user).await?;
        self.wait_to_read_whole(room_id).await?;
        let mut position = view.as_of.position();
        if let Some(at) = query.at.map(Token::position).filter(|at| *at < position) {
            let sight = Sight {
                position: at,
                kind: "",
                state_key: None,
            };
            if at < self.store.position() && !view.timeline.sees(sight) {
                return Err(ReadError::NotVisibleThen);
            }
            position = at;
        }
        let mut events = self.all_members_at(room_id, position).await?;
        events.retain(|event| query.admits(event));
        Ok(self
            .present(viewer, &view.timeline, events, Detail::State)
            .await?)
    }

    /// Who is joined, with name and picture. Only for those who are joined themselves.
    pub async fn joined_members(
        &self,
        user: &UserId,
        room_id: &RoomId,
    ) -> Result<Vec<(OwnedUserId, JoinedMember)>, ReadError> {
        let timeline = self.visibility_timeline(room_id, user).await?;
        if timeline.standing() != Standing::Joined {
            return Err(ReadError::NotInRoom);
        }
        self.wait_to_read_whole(room_id).await?;
        let events = self.all_members_at(room_id, Position::MAX).await?;
        Ok(events
            .iter()
            .filter(|event| event.membership() == Some(MembershipState::Join))
            .filter_map(|event| {
                let user = event.state_key()?.try_into().ok()?;
                let member = JoinedMember {
                    display_name: event.content_text("displayname"),
                    avatar_url: event.content_text("avatar_url"),
                };
                Some((user, member))
            })
            .collect())
    }

    /// The rooms that a user is joined to.
    pub async fn joined_rooms(&self, user: &UserId) -> Result<Vec<OwnedRoomId>, StoreError> {
        let mut range = Range::prefix(&(user.to_owned(),));
        let mut rooms = Vec::new();
        loop {
            let rows = self
                .store
                .scan(&MEMBERSHIPS, &range, Direction::Forward, BATCH)
                .await?;
            let full = rows.len() == BATCH;
            if let Some((last, _)) = rows.last() {
                range = range.after(&last.clone());
            }
            rooms.extend(
                rows.into_iter()
                    .filter(|(_, row)| row.membership == MembershipState::Join)
                    .map(|((_, room), _)| room),
            );
            if !full {
                return Ok(rooms);
            }
        }
    }
}
