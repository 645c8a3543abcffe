//! A room as it stands at its last event: what appends build on and what most reads need.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use gatehouse_events::{Event, RoomVersion};
use ruma::{
    OwnedEventId, OwnedRoomId, OwnedServerName, OwnedUserId, ServerName, UserId,
    events::{StateEventType, room::member::MembershipState},
};

use crate::{
    power_levels::PowerLevels,
    room_state::RoomState,
    tables::{HeadRow, MemberCounts},
};

/// A room at one moment. Immutable; copies share almost everything, so that a version costs the same for ten members
/// and for a hundred thousand.
#[derive(Debug, Clone)]
pub struct RoomHead {
    /// Which room.
    pub room_id: OwnedRoomId,
    /// Its version.
    pub version: RoomVersion,
    /// The forward extremities.
    pub extremities: Vec<OwnedEventId>,
    /// The depth of the deepest extremity.
    pub depth: u64,
    /// One more with each event.
    pub sequence: u64,
    /// How many users have which membership.
    pub counts: MemberCounts,
    /// How many users of each server are joined; servers without any are left out.
    pub servers: imbl::HashMap<OwnedServerName, u64>,
    /// Every user who has or had a membership.
    pub members: imbl::HashMap<OwnedUserId, Member>,
    /// The state but for members: type and state key to event.
    pub state: imbl::OrdMap<(String, String), OwnedEventId>,
    /// The events that nearly every append or read looks at, by type; all with an empty state key.
    pub(crate) hot: HashMap<&'static str, Arc<Event>>,
    /// The power levels in force, parsed once for each time they change.
    pub(crate) power_levels: Arc<PowerLevels>,
    /// Not all members are known: those in the head are the ones that are.
    pub(crate) partial: Option<Arc<Partial>>,
    /// See [`HeadRow::fills`].
    pub(crate) fills: u64,
}

/// What is known of a room whose members are still being fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Partial {
    /// The join with which we came in.
    pub(crate) join: OwnedEventId,
    /// Other servers that were in the room then.
    pub(crate) servers: HashSet<OwnedServerName>,
}

/// A user's membership.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Which.
    pub membership: MembershipState,
    /// The event that set it.
    pub event_id: OwnedEventId,
}

/// The types that [`RoomHead`] keeps parsed.
pub(crate) const HOT: [&str; 6] = [
    "m.room.create",
    "m.room.power_levels",
    "m.room.join_rules",
    "m.room.history_visibility",
    "m.room.guest_access",
    "m.room.canonical_alias",
];

impl RoomHead {
    /// A room before its first event.
    pub(crate) fn empty(room_id: OwnedRoomId, version: RoomVersion) -> Self {
        Self {
            room_id,
            version,
            extremities: Vec::new(),
            depth: 0,
            sequence: 0,
            counts: MemberCounts::default(),
            servers: imbl::HashMap::new(),
            members: imbl::HashMap::new(),
            state: imbl::OrdMap::new(),
            hot: HashMap::new(),
            power_levels: Arc::new(PowerLevels::before_creation()),
            partial: None,
            fills: 0,
        }
    }

    /// The row that says the same.
    pub(crate) fn row(&self) -> HeadRow {
        HeadRow {
            sequence: self.sequence,
            depth: self.depth,
            extremities: self.extremities.clone(),
            counts: self.counts,
            fills: self.fills,
        }
    }

    /// The user's membership; `Leave` for one who never had any.
    pub fn membership(&self, user: &UserId) -> MembershipState {
        self.members
            .get(user)
            .map_or(MembershipState::Leave, |member| member.membership.clone())
    }

    /// Whether the user is joined.
    pub fn is_joined(&self, user: &UserId) -> bool {
        self.members
            .get(user)
            .is_some_and(|member| member.membership == MembershipState::Join)
    }

    /// The event that set this state, members included.
    pub fn state_event_id(&self, kind: &str, state_key: &str) -> Option<&OwnedEventId> {
        if kind == "m.room.member" {
            let user = <&UserId>::try_from(state_key).ok()?;
            return self.members.get(user).map(|member| &member.event_id);
        }
        self.state.get(&(kind.to_owned(), state_key.to_owned()))
    }

    /// As [`Self::state_event_id`], by the type that the authorisation rules use.
    pub(crate) fn state_event_id_of(&self, kind: &StateEventType, state_key: &str) -> Option<&OwnedEventId> {
        self.state_event_id(&kind.to_string(), state_key)
    }

    /// One of the events that are kept parsed: create, power levels, join rules, history visibility, guest access,
    /// canonical alias.
    pub fn hot_event(&self, kind: &str) -> Option<&Arc<Event>> {
        self.hot.get(kind)
    }

    /// The power levels in force.
    pub fn power_levels(&self) -> &PowerLevels {
        &self.power_levels
    }

    /// The join rule; `invite` when the room has none (authorisation rules, `m.room.member`).
    pub fn join_rule(&self) -> String {
        self.hot_text("m.room.join_rules", "join_rule")
            .unwrap_or_else(|| "invite".to_owned())
    }

    /// Whether guests may join.
    pub fn guests_can_join(&self) -> bool {
        self.hot_text("m.room.guest_access", "guest_access").as_deref() == Some("can_join")
    }

    /// A text in the content of a hot event; anything but a string counts as absent (D08).
    pub(crate) fn hot_text(&self, kind: &str, field: &str) -> Option<String> {
        let content: serde_json::Map<String, serde_json::Value> = self.hot.get(kind)?.content_as()?;
        content.get(field)?.as_str().map(str::to_owned)
    }

    /// Whether any user of this server is joined; while members are missing, whether one was when we came in.
    pub fn has_server(&self, server: &ServerName) -> bool {
        let was_here = |partial: &Arc<Partial>| partial.servers.contains(server);
        self.servers.contains_key(server) || self.partial.as_ref().is_some_and(was_here)
    }

    /// The servers in the room, those that were when we came in included while members are missing.
    pub fn all_servers(&self) -> impl Iterator<Item = &OwnedServerName> {
        let before = self.partial.iter().flat_map(|partial| &partial.servers);
        let unknown = before.filter(|server| !self.servers.contains_key(*server));
        self.servers.keys().chain(unknown)
    }

    /// The same, those with the most users first: they are the likeliest to answer.
    pub(crate) fn servers_by_members(&self) -> Vec<OwnedServerName> {
        let joined = |server| self.servers.get(server).copied().unwrap_or_default();
        let mut servers: Vec<_> = self
            .all_servers()
            .map(|server| (joined(server), server))
            .collect();
        servers.sort_by(|(joined_a, a), (joined_b, b)| joined_b.cmp(joined_a).then_with(|| a.cmp(b)));
        servers.into_iter().map(|(_, server)| server.clone()).collect()
    }

    /// Whether all members are known.
    pub fn is_whole(&self) -> bool {
        self.partial.is_none()
    }

    /// The state, members included.
    pub fn room_state(&self) -> RoomState {
        RoomState {
            members: self.members.clone(),
            state: self.state.clone(),
        }
    }

    /// Makes the event one of the ends of the graph. The depth that others say counts for nothing but the next depth.
    pub(crate) fn advance(&mut self, event: &Event) {
        self.extremities.retain(|end| !event.prev_events.contains(end));
        self.extremities.push(event.event_id.clone());
        self.depth = self.depth.max(event.depth);
        self.sequence += 1;
    }

    /// Makes the event what a state key is now; `None`: the key is nothing now.
    pub(crate) fn set_state(&mut self, kind: &str, state_key: &str, event: Option<&Arc<Event>>) {
        if kind == "m.room.member" {
            let Ok(user) = OwnedUserId::try_from(state_key) else {
                return;
            };
            let member = event.map(|event| Member {
                membership: membership_in(event),
                event_id: event.event_id.clone(),
            });
            self.set_member(user, member);
            return;
        }
        let name = HOT.iter().find(|name| **name == kind && state_key.is_empty());
        if let Some(name) = name {
            match event {
                Some(event) => self.hot.insert(name, Arc::clone(event)),
                None => self.hot.remove(name),
            };
            if matches!(*name, "m.room.create" | "m.room.power_levels") {
                self.refresh_power_levels();
            }
        }
        let key = (kind.to_owned(), state_key.to_owned());
        match event {
            Some(event) => self.state.insert(key, event.event_id.clone()),
            None => self.state.remove(&key),
        };
    }

    /// Takes in a row of the current state; `membership` is what it says of a member.
    pub(crate) fn set(&mut self, key: (String, String), event_id: OwnedEventId, membership: String) {
        if key.0 != "m.room.member" {
            self.state.insert(key, event_id);
        } else if let Ok(user) = OwnedUserId::try_from(key.1) {
            let membership = MembershipState::from(membership);
            self.set_member(user, Some(Member { membership, event_id }));
        }
    }

    /// As [`Self::set`], where the row is gone.
    pub(crate) fn unset(&mut self, key: &(String, String)) {
        self.set_state(&key.0, &key.1, None);
    }

    fn set_member(&mut self, user: OwnedUserId, member: Option<Member>) {
        let server = user.server_name().to_owned();
        let after = member.as_ref().map(|member| member.membership.clone());
        let before = match member {
            Some(member) => self.members.insert(user, member),
            None => self.members.remove(&user),
        };
        let before = before.map(|member| member.membership);
        if before == after {
            return;
        }
        if let Some(count) = before.as_ref().and_then(|before| self.count(before)) {
            *count = count.saturating_sub(1);
        }
        if let Some(count) = after.as_ref().and_then(|after| self.count(after)) {
            *count += 1;
        }
        let joined = self.servers.get(&server).copied().unwrap_or_default();
        let leaves = u64::from(before == Some(MembershipState::Join));
        let joined = joined.saturating_sub(leaves) + u64::from(after == Some(MembershipState::Join));
        if joined == 0 {
            self.servers.remove(&server);
        } else {
            self.servers.insert(server, joined);
        }
    }

    fn count(&mut self, membership: &MembershipState) -> Option<&mut u64> {
        match membership {
            MembershipState::Join => Some(&mut self.counts.joined),
            MembershipState::Invite => Some(&mut self.counts.invited),
            MembershipState::Knock => Some(&mut self.counts.knocking),
            MembershipState::Ban => Some(&mut self.counts.banned),
            _ => None,
        }
    }

    /// Reads the power levels anew from the hot events.
    pub(crate) fn refresh_power_levels(&mut self) {
        self.power_levels = Arc::new(PowerLevels::of(
            self.version,
            self.hot.get("m.room.create").map(Arc::as_ref),
            self.hot.get("m.room.power_levels").map(Arc::as_ref),
        ));
    }
}

/// The membership that an `m.room.member` sets.
pub(crate) fn membership_in(event: &Event) -> MembershipState {
    #[derive(serde::Deserialize)]
    struct Content {
        membership: MembershipState,
    }
    event
        .content_as::<Content>()
        .map_or(MembershipState::Leave, |content| content.membership)
}
