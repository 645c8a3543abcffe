//! Which events of a room a user may see (client-server API, "Room history visibility", server behaviour).
//!
//! Everything that shows events asks here. What the answer depends on, the versions of `m.room.history_visibility`
//! and of the user's own membership, is loaded once for a room and a user; each event is then decided in memory.

use gatehouse_store::Position;
use ruma::{OwnedUserId, UserId, events::room::member::MembershipState};

mod ranges;

pub use self::ranges::PositionRange;

/// The value of `m.room.history_visibility`, ordered from the least that it shows to the most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum HistoryVisibility {
    /// To those who were joined.
    Joined,
    /// To those who were joined or invited.
    Invited,
    /// To those who were joined, and to those who joined later.
    Shared,
    /// To everybody.
    WorldReadable,
}

impl HistoryVisibility {
    /// Reads the value in the event's content; one that is missing or unknown means `shared`.
    pub fn from_value(value: Option<&str>) -> Self {
        match value {
            Some("joined") => Self::Joined,
            Some("invited") => Self::Invited,
            Some("world_readable") => Self::WorldReadable,
            _ => Self::Shared,
        }
    }

    /// The specification's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Joined => "joined",
            Self::Invited => "invited",
            Self::Shared => "shared",
            Self::WorldReadable => "world_readable",
        }
    }
}

/// What the decision needs to know of an event.
#[derive(Debug, Clone, Copy)]
pub struct Sight<'a> {
    /// Its place in the room.
    pub position: Position,
    /// Its type.
    pub kind: &'a str,
    /// Its state key, when it is a state event.
    pub state_key: Option<&'a str>,
}

/// How a user stands to a room, for what is asked of the room as a whole: its state, its members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Joined now: sees the room as it is.
    Joined,
    /// Was joined once: sees the room as it was at this position, when that ended.
    Left(Position),
    /// Never was joined, or has forgotten the room.
    Stranger,
}

/// The versions of a room's history visibility and of one user's membership.
#[derive(Debug, Clone)]
pub struct VisibilityTimeline {
    pub(crate) user: OwnedUserId,
    /// Oldest first.
    pub(crate) visibilities: Vec<(Position, HistoryVisibility)>,
    /// What held before the oldest version that is known.
    pub(crate) first_visibility: HistoryVisibility,
    /// Oldest first.
    pub(crate) memberships: Vec<(Position, MembershipState)>,
    pub(crate) forgotten: bool,
}

impl VisibilityTimeline {
    /// From versions, oldest first; before them, history is shared and the user a stranger.
    pub fn new(
        user: OwnedUserId,
        visibilities: Vec<(Position, HistoryVisibility)>,
        memberships: Vec<(Position, MembershipState)>,
    ) -> Self {
        Self {
            user,
            visibilities,
            first_visibility: HistoryVisibility::Shared,
            memberships,
            forgotten: false,
        }
    }

    /// Whose view it is.
    pub fn user(&self) -> &UserId {
        &self.user
    }

    /// The versions of the user's membership, oldest first.
    pub fn memberships(&self) -> &[(Position, MembershipState)] {
        &self.memberships
    }

    /// Whether the user may see this event.
    pub fn sees(&self, event: Sight<'_>) -> bool {
        if event.kind == "m.room.member" && event.state_key == Some(self.user.as_str()) {
            return true;
        }
        let at = event.position;
        if self.allows(self.visibility_at(at), at) {
            return true;
        }
        // A change of the visibility is seen when the visibility before or after it shows it.
        event.kind == "m.room.history_visibility"
            && event.state_key == Some("")
            && self.allows(self.visibility_at(at.previous()), at)
    }

    /// The five rules, for an event at this position, while the visibility was this.
    fn allows(&self, visibility: HistoryVisibility, at: Position) -> bool {
        let membership = self.membership_at(at);
        // 1. The room is world readable.
        if visibility == HistoryVisibility::WorldReadable {
            return true;
        }
        // 2. The user was joined.
        if membership == Some(&MembershipState::Join) {
            return !self.forgotten;
        }
        // 3. Shared history, and the user joined at any point after.
        if visibility == HistoryVisibility::Shared && self.joined_after(at) {
            return !self.forgotten;
        }
        // 4. Visible from the invite on, and the user was invited.
        if visibility == HistoryVisibility::Invited && membership == Some(&MembershipState::Invite) {
            return !self.forgotten;
        }
        // 5. Otherwise, deny.
        false
    }

    /// The room's history visibility just after the event at this position.
    pub fn visibility_at(&self, position: Position) -> HistoryVisibility {
        latest(&self.visibilities, position).map_or(self.first_visibility, |visibility| *visibility)
    }

    /// The user's membership just after the event at this position.
    pub fn membership_at(&self, position: Position) -> Option<&MembershipState> {
        latest(&self.memberships, position)
    }

    /// The user's membership for `unsigned.membership` of an event at this position; `leave` for one who never had
    /// any.
    pub fn membership_shown_at(&self, position: Position) -> MembershipState {
        self.membership_at(position)
            .cloned()
            .unwrap_or(MembershipState::Leave)
    }

    /// The user's membership now.
    pub fn membership(&self) -> Option<&MembershipState> {
        self.membership_at(Position::MAX)
    }

    /// Whether anybody may read the room as it is now.
    pub fn world_readable(&self) -> bool {
        self.visibility_at(Position::MAX) == HistoryVisibility::WorldReadable
    }

    /// How the user stands to the room now.
    pub fn standing(&self) -> Standing {
        if self.membership() == Some(&MembershipState::Join) {
            return Standing::Joined;
        }
        if self.forgotten {
            return Standing::Stranger;
        }
        let mut versions = self.memberships.iter().rev().peekable();
        while let Some((position, _)) = versions.next() {
            if versions
                .peek()
                .is_some_and(|(_, before)| *before == MembershipState::Join)
            {
                return Standing::Left(*position);
            }
        }
        Standing::Stranger
    }

    fn joined_after(&self, position: Position) -> bool {
        self.memberships
            .iter()
            .rev()
            .take_while(|(at, _)| *at > position)
            .any(|(_, membership)| *membership == MembershipState::Join)
    }
}

/// The last version at or before a position.
fn latest<T>(versions: &[(Position, T)], position: Position) -> Option<&T> {
    let count = versions.partition_point(|(at, _)| *at <= position);
    versions.get(count.checked_sub(1)?).map(|(_, value)| value)
}

#[cfg(test)]
mod tests;
