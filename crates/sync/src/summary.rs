//! The summary of a room: how many members it has, and whom to name it after.

use std::collections::{BTreeMap, BTreeSet};

use gatehouse_rooms::StoredEvent;
use gatehouse_store::Position;
use ruma::{OwnedUserId, RoomId, events::room::member::MembershipState};

use crate::{
    error::SyncError,
    reading::Reading,
    response::Summary,
    timeline::{Piece, Span},
};

/// How many heroes a summary has at most (client-server API, `RoomSummary`).
const HEROES: usize = 5;

/// How many of a room's first state changes are searched for heroes: bounds the cost in a large room where hardly
/// anybody stays.
const SEARCHED: usize = 200;

impl Reading<'_> {
    /// The summary, when something of it changed in the span or the client does not know it.
    pub(crate) async fn summary(
        &self,
        room: &RoomId,
        span: Span,
        piece: &Piece,
    ) -> Result<Summary, SyncError> {
        if !span.state.is_whole() && !self.summary_changed(room, span, piece).await? {
            return Ok(Summary::default());
        }
        let counts = self.sync.rooms().member_counts(room).await?;
        let heroes = if self.is_named(room).await? {
            None
        } else {
            Some(self.heroes(room).await?)
        };
        Ok(Summary {
            heroes,
            joined_member_count: Some(counts.joined),
            invited_member_count: Some(counts.invited),
        })
    }

    /// Whether the room has a name of its own. One that is not text is none (D08).
    async fn is_named(&self, room: &RoomId) -> Result<bool, SyncError> {
        for (kind, field) in [("m.room.name", "name"), ("m.room.canonical_alias", "alias")] {
            let event = self.sync.rooms().state_event_at(room, kind, "", self.now).await?;
            if event.is_some_and(|event| event.content_text(field).is_some_and(|text| !text.is_empty())) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn summary_changed(&self, room: &RoomId, span: Span, piece: &Piece) -> Result<bool, SyncError> {
        let keys: Vec<(String, String)> = if piece.has_all_state && piece.start <= span.after {
            let state = piece.events.iter().filter_map(|event| {
                let state_key = event.state_key()?;
                Some((event.kind().to_owned(), state_key.to_owned()))
            });
            state.collect()
        } else {
            let rooms = self.sync.rooms();
            let changes = rooms
                .state_changes(room, span.after, span.through, usize::MAX)
                .await?;
            changes
                .into_iter()
                .map(|change| (change.kind, change.state_key))
                .collect()
        };
        if keys.iter().any(|(kind, _)| is_name(kind)) {
            return Ok(true);
        }
        let members = keys.into_iter().filter(|(kind, _)| kind == "m.room.member");
        let members: BTreeSet<OwnedUserId> = members
            .filter_map(|(_, member)| OwnedUserId::try_from(member).ok())
            .collect();
        // A new display name changes neither counts nor heroes.
        let before = self.memberships_at(room, &members, span.after).await?;
        Ok(before != self.memberships_at(room, &members, span.through).await?)
    }

    async fn memberships_at(
        &self,
        room: &RoomId,
        members: &BTreeSet<OwnedUserId>,
        at: Position,
    ) -> Result<BTreeMap<String, Option<MembershipState>>, SyncError> {
        if members.is_empty() {
            return Ok(BTreeMap::new());
        }
        let events = self
            .sync
            .rooms()
            .members_at(room, members.iter().cloned(), at)
            .await?;
        Ok(events
            .iter()
            .filter_map(|event| Some((event.state_key()?.to_owned(), event.membership())))
            .collect())
    }

    /// The first members other than the user; those who left or were banned when nobody else is there.
    async fn heroes(&self, room: &RoomId) -> Result<Vec<OwnedUserId>, SyncError> {
        let mut here = Vec::new();
        let mut gone = Vec::new();
        for candidates in self.first_members(room).await?.chunks(2 * HEROES) {
            let users = candidates.iter().cloned();
            let members = self.sync.rooms().members_at(room, users, self.now).await?;
            for candidate in candidates {
                let event = members
                    .iter()
                    .find(|event| event.state_key() == Some(candidate.as_str()));
                match event.and_then(StoredEvent::membership) {
                    Some(MembershipState::Join | MembershipState::Invite) => here.push(candidate.clone()),
                    Some(MembershipState::Leave | MembershipState::Ban) => gone.push(candidate.clone()),
                    _ => {}
                }
            }
            if here.len() >= HEROES {
                break;
            }
        }
        let mut heroes = if here.is_empty() { gone } else { here };
        heroes.truncate(HEROES);
        heroes.sort_unstable();
        Ok(heroes)
    }

    /// Other users who have or had a membership, in the order in which they first had one, as far as the room's first
    /// state changes tell.
    async fn first_members(&self, room: &RoomId) -> Result<Vec<OwnedUserId>, SyncError> {
        let rooms = self.sync.rooms();
        let changes = rooms
            .state_changes(room, Position::ZERO, self.now, SEARCHED)
            .await?;
        let mut members = Vec::new();
        for change in changes
            .into_iter()
            .filter(|change| change.kind == "m.room.member")
        {
            let Ok(member) = OwnedUserId::try_from(change.state_key) else {
                continue;
            };
            if member != self.user && !members.contains(&member) {
                members.push(member);
            }
        }
        Ok(members)
    }
}

/// Whether the state decides if the room is named after its members.
fn is_name(kind: &str) -> bool {
    matches!(kind, "m.room.name" | "m.room.canonical_alias")
}
