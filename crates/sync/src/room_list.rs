//! Which rooms a sync shows, and how much of each.

use std::collections::HashSet;

use gatehouse_rooms::{CurrentMembership, history_visibility::VisibilityTimeline};
use gatehouse_store::{Direction, Position};
use ruma::{OwnedRoomId, RoomId, events::room::member::MembershipState};

use crate::{
    error::SyncError,
    follow::Reached,
    reading::Reading,
    recent::Changed,
    view::{Memberships, StateWanted, View},
};

/// What is shown besides what changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// Rooms in which something happened.
    Changes,
    /// All rooms that the user is in, with all of their state.
    FullState,
}

/// The rooms of a user.
#[derive(Debug, Default)]
pub(crate) struct RoomList {
    /// Those to show.
    pub(crate) shown: Vec<Shown>,
    /// Those that the user is in: what a long poll waits for.
    pub(crate) joined: Vec<OwnedRoomId>,
}

/// A room to show.
#[derive(Debug)]
pub(crate) struct Shown {
    pub(crate) sight: VisibilityTimeline,
    pub(crate) view: View,
    /// How the user stands to it now, which may be later than what is shown.
    pub(crate) membership: CurrentMembership,
}

impl Shown {
    pub(crate) fn room(&self) -> &RoomId {
        &self.membership.room_id
    }
}

impl Reading<'_> {
    /// The rooms to show. Those in `also` are shown though nothing happened in them, when the user is in them.
    pub(crate) async fn room_list(
        &self,
        extent: Extent,
        also: &HashSet<OwnedRoomId>,
    ) -> Result<RoomList, SyncError> {
        let rooms = self.sync.rooms();
        let changed: HashSet<OwnedRoomId> = match self.since {
            Some(since) if self.user_changed(since).await == Changed::No => HashSet::new(),
            Some(since) => rooms
                .membership_changes(self.user, since, self.now)
                .await?
                .into_iter()
                .collect(),
            None => HashSet::new(),
        };
        let mut list = RoomList::default();
        let mut staying = Vec::new();
        for membership in &self.standing.memberships {
            let room = &membership.room_id;
            // Of a room that was forgotten, one more thing is told: that the user left it. Other devices of the user
            // would go on showing it.
            if !self.admits_room(room) || (membership.forgotten && !changed.contains(room)) {
                continue;
            }
            let is_joined = membership.membership == MembershipState::Join;
            if is_joined {
                list.joined.push(room.clone());
            }
            if self.since.is_none() || changed.contains(room) || membership.position > self.now {
                list.shown.extend(self.shown(membership, extent).await?);
            } else if is_joined {
                staying.push(membership);
            }
        }
        let happened = match extent {
            Extent::Changes => {
                self.happened(staying.iter().map(|staying| &*staying.room_id))
                    .await?
            }
            Extent::FullState => vec![true; staying.len()],
        };
        for (membership, happened) in staying.into_iter().zip(happened) {
            if happened || also.contains(&membership.room_id) {
                list.shown.extend(self.shown(membership, extent).await?);
            }
        }
        Ok(list)
    }

    async fn shown(
        &self,
        membership: &CurrentMembership,
        extent: Extent,
    ) -> Result<Option<Shown>, SyncError> {
        let has_left = matches!(
            membership.membership,
            MembershipState::Leave | MembershipState::Ban
        );
        let hides_left = self.since.is_none() && !self.filter.room.include_leave;
        if hides_left && has_left && membership.position <= self.now {
            return Ok(None);
        }
        let rooms = self.sync.rooms();
        let sight = rooms.visibility_timeline(&membership.room_id, self.user).await?;
        let versions = sight.memberships();
        let count = versions.partition_point(|(at, _)| *at <= self.now);
        let versions = Memberships(versions.get(..count).unwrap_or(versions));
        let mut view = if membership.forgotten {
            versions.own(self.since)
        } else {
            versions.view(self.since)
        };
        if let View::Joined { state, .. } = &mut view
            && *state != StateWanted::Full
            && (extent == Extent::FullState || self.was_filled(&membership.room_id).await?)
        {
            *state = StateWanted::Again;
        }
        let is_left = matches!(view, View::Left { .. } | View::Own(_));
        if view == View::Nothing || (hides_left && is_left) {
            return Ok(None);
        }
        Ok(Some(Shown {
            sight,
            view,
            membership: membership.clone(),
        }))
    }

    /// Whether members of the room came after `since` that had been missing.
    async fn was_filled(&self, room: &RoomId) -> Result<bool, SyncError> {
        let filled = self.sync.rooms().filled_at(room).await?;
        Ok(filled.is_some_and(|filled| filled > self.after() && filled <= self.now))
    }

    /// For each room whether something happened in it after `since`.
    async fn happened<'b>(
        &self,
        rooms: impl Iterator<Item = &'b RoomId> + Clone,
    ) -> Result<Vec<bool>, SyncError> {
        let since = self.after();
        let follower = self.sync.follower();
        let known = match follower.reach(self.now).await {
            Reached::Yes => follower.rooms_changed(rooms.clone(), since),
            Reached::No => rooms.clone().map(|_| Changed::Unknown).collect(),
        };
        let mut happened = Vec::with_capacity(known.len());
        for (room, known) in rooms.zip(known) {
            happened.push(match known {
                Changed::Yes => true,
                Changed::No => false,
                Changed::Unknown => self.has_events(room, since).await?,
            });
        }
        Ok(happened)
    }

    async fn has_events(&self, room: &RoomId, since: Position) -> Result<bool, SyncError> {
        let span = (since.next(), self.now);
        let last = self
            .sync
            .rooms()
            .timeline(room, span, Direction::Backward, 1)
            .await?;
        Ok(last.scanned > 0 || self.was_filled(room).await?)
    }
}
