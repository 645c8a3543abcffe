//! `GET /rooms/{roomId}/hierarchy`: the rooms of a space, depth first.

use std::{cmp::Ordering, collections::HashSet, fmt, str::FromStr};

use gatehouse_store::{Direction, Range, StoreError};
use ruma::{OwnedRoomId, OwnedUserId, RoomId, ServerName, UserId, events::room::member::MembershipState};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{
    Rooms, peer_error::PeerError, read_error::ReadError, stored::StoredEvent, summary::RoomSummary,
    tables::CURRENT_STATE, token::InvalidToken,
};

/// Rooms a page at most, and when the client does not say (limits, "space hierarchy").
pub const MAX_PAGE: usize = 50;
/// Levels below the space that are walked at most.
pub const MAX_DEPTH: u32 = 50;
/// Rooms that a walk visits at most, over all its pages.
const MAX_VISITED: usize = 1_000;
/// Children of one space that are looked at.
const MAX_CHILDREN: usize = 1_000;
/// An `order` is at most this long (`m.space.child`).
const MAX_ORDER_BYTES: usize = 50;

/// What is asked.
#[derive(Debug, Clone, Default)]
pub struct HierarchyQuery {
    /// Only children marked as suggested.
    pub suggested_only: bool,
    /// Rooms at most; bounded by [`MAX_PAGE`].
    pub limit: Option<usize>,
    /// Levels below the space; bounded by [`MAX_DEPTH`].
    pub max_depth: Option<u32>,
    /// The token of the page before.
    pub from: Option<String>,
}

/// A part of the tree.
#[derive(Debug, Serialize)]
pub struct HierarchyPage {
    /// The rooms, each before what is in it.
    pub rooms: Vec<HierarchyRoom>,
    /// Leads to the next page, when there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_batch: Option<String>,
}

/// A room of the tree.
#[derive(Debug, Serialize)]
pub struct HierarchyRoom {
    /// What it is.
    #[serde(flatten)]
    pub room: RoomSummary,
    /// Its `m.space.child` events; empty when it is no space.
    pub children_state: Vec<SpaceChild>,
}

/// An `m.space.child` event, stripped.
#[derive(Debug, Clone, Serialize)]
pub struct SpaceChild {
    #[serde(rename = "type")]
    kind: &'static str,
    state_key: OwnedRoomId,
    sender: OwnedUserId,
    content: Box<RawValue>,
    origin_server_ts: u64,
    #[serde(skip)]
    suggested: bool,
    #[serde(skip)]
    order: Option<String>,
}

/// One level of a space, for another server.
#[derive(Debug, Serialize)]
pub struct PeerHierarchy {
    /// The room.
    pub room: HierarchyRoom,
    /// What is in it and may be known of by that server.
    pub children: Vec<RoomSummary>,
    /// What is in it and is known here, but may not be known of by that server.
    pub inaccessible_children: Vec<OwnedRoomId>,
}

/// Pages are found again by walking from the start and leaving out what was shown, so the token needs no memory on
/// the server; the walk is bounded by [`MAX_VISITED`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    shown: usize,
    max_depth: u32,
    suggested_only: bool,
}

impl Rooms {
    /// A page of what the user may know of a space and what is below it.
    pub async fn space_hierarchy(
        &self,
        user: &UserId,
        space: &RoomId,
        query: &HierarchyQuery,
    ) -> Result<HierarchyPage, ReadError> {
        let mut place = Place {
            shown: 0,
            max_depth: query.max_depth.unwrap_or(MAX_DEPTH).min(MAX_DEPTH),
            suggested_only: query.suggested_only,
        };
        if let Some(from) = &query.from {
            let from: Place = from.parse()?;
            if (from.max_depth, from.suggested_only) != (place.max_depth, place.suggested_only) {
                return Err(ReadError::ChangedWhilePaging);
            }
            place = from;
        }
        let limit = query.limit.unwrap_or(MAX_PAGE).clamp(1, MAX_PAGE);

        let mut rooms = Vec::new();
        let mut seen = 0;
        let mut visited = HashSet::from([space.to_owned()]);
        let mut ahead = vec![(space.to_owned(), 0)];
        while let Some((room_id, depth)) = ahead.pop() {
            let Some(room) = self.known_room(user, &room_id).await? else {
                if depth == 0 {
                    return Err(ReadError::NotInRoom);
                }
                continue;
            };
            if rooms.len() == limit {
                place.shown += limit;
                return Ok(HierarchyPage {
                    rooms,
                    next_batch: Some(place.to_string()),
                });
            }
            let children_state = self.space_children(&room, place.suggested_only).await?;
            if depth < place.max_depth {
                for child in children_state.iter().rev() {
                    if visited.len() < MAX_VISITED && visited.insert(child.state_key.clone()) {
                        ahead.push((child.state_key.clone(), depth + 1));
                    }
                }
            }
            seen += 1;
            if seen > place.shown {
                rooms.push(HierarchyRoom { room, children_state });
            }
        }
        Ok(HierarchyPage {
            rooms,
            next_batch: None,
        })
    }

    /// A space and what is directly in it, for a server some of whose users may be shown it.
    pub async fn hierarchy_for_server(
        &self,
        origin: &ServerName,
        space: &RoomId,
        suggested_only: bool,
    ) -> Result<PeerHierarchy, PeerError> {
        let room = self.describe(space).await?.ok_or(PeerError::NoSuchRoom)?;
        if !self.server_may_know_of(&room, origin).await? {
            return Err(PeerError::NoSuchRoom);
        }
        let children_state = self.space_children(&room, suggested_only).await?;
        let (mut children, mut inaccessible_children) = (Vec::new(), Vec::new());
        for child in children_state.iter().take(MAX_PAGE) {
            match self.describe(&child.state_key).await? {
                Some(child) if self.server_may_know_of(&child, origin).await? => children.push(child),
                Some(child) => inaccessible_children.push(child.room_id),
                None => {}
            }
        }
        Ok(PeerHierarchy {
            room: HierarchyRoom { room, children_state },
            children,
            inaccessible_children,
        })
    }

    /// Whether somebody on that server may know of the room: they are in it or invited, or could join or knock.
    async fn server_may_know_of(&self, room: &RoomSummary, origin: &ServerName) -> Result<bool, PeerError> {
        let Some(head) = self.resident_head(&room.room_id).await? else {
            return Ok(false);
        };
        if !self.server_is_allowed(&head, origin).await? {
            return Ok(false);
        }
        if self.may_know_of(room, None, None).await? || head.has_server(origin) {
            return Ok(true);
        }
        if matches!(room.join_rule.as_str(), "restricted" | "knock_restricted") {
            for allowed in &room.allowed_room_ids {
                let head = self.resident_head(allowed).await?;
                if head.is_some_and(|head| head.has_server(origin)) {
                    return Ok(true);
                }
            }
        }
        let mut members = head.members.iter();
        Ok(members.any(|(user, member)| {
            user.server_name() == origin && member.membership == MembershipState::Invite
        }))
    }

    async fn known_room(&self, user: &UserId, room_id: &RoomId) -> Result<Option<RoomSummary>, StoreError> {
        let Some(room) = self.describe(room_id).await? else {
            return Ok(None);
        };
        let membership = self.membership_of(user, room_id).await?;
        let known = self.may_know_of(&room, Some(user), membership.as_ref()).await?;
        Ok(known.then_some(room))
    }

    /// The valid children of a space in the order that the specification gives them.
    async fn space_children(
        &self,
        room: &RoomSummary,
        suggested_only: bool,
    ) -> Result<Vec<SpaceChild>, StoreError> {
        if room.room_type.as_deref() != Some("m.space") {
            return Ok(Vec::new());
        }
        let range = Range::prefix(&(room.room_id.clone(), "m.space.child".to_owned()));
        let rows = self
            .store
            .scan(&CURRENT_STATE, &range, Direction::Forward, MAX_CHILDREN)
            .await?;
        let places: Vec<_> = rows.into_iter().map(|(_, row)| row.place).collect();
        let events = self.timeline_rows(&room.room_id, &places).await?;
        let mut children: Vec<_> = events
            .iter()
            .filter_map(SpaceChild::read)
            .filter(|child| child.suggested || !suggested_only)
            .collect();
        children.sort_by(SpaceChild::compare);
        Ok(children)
    }
}

impl SpaceChild {
    /// `None` when the event does not make its state key a child: it needs a `via` that names a server.
    fn read(event: &StoredEvent) -> Option<Self> {
        #[derive(Deserialize)]
        struct Via {
            via: Vec<String>,
        }
        let via: Via = serde_json::from_str(event.content().get()).ok()?;
        if via.via.is_empty() {
            return None;
        }
        let order = event.content_text("order").filter(|order| {
            order.len() <= MAX_ORDER_BYTES && order.bytes().all(|byte| (0x20..=0x7e).contains(&byte))
        });
        Some(Self {
            kind: "m.space.child",
            state_key: event.state_key()?.try_into().ok()?,
            sender: event.sender().to_owned(),
            content: event.content().to_owned(),
            origin_server_ts: event.origin_server_ts(),
            suggested: event.content_is_true("suggested"),
            order,
        })
    }

    /// Those with an order first, by it; then by age; then by room id.
    fn compare(&self, other: &Self) -> Ordering {
        match (&self.order, &other.order) {
            (Some(a), Some(b)) => a.cmp(b),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => Ordering::Equal,
        }
        .then(self.origin_server_ts.cmp(&other.origin_server_ts))
        .then_with(|| self.state_key.cmp(&other.state_key))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let suggested = u8::from(self.suggested_only);
        write!(f, "h{}_{}_{suggested}", self.shown, self.max_depth)
    }
}

impl FromStr for Place {
    type Err = InvalidToken;

    fn from_str(text: &str) -> Result<Self, InvalidToken> {
        let mut parts = text.strip_prefix('h').ok_or(InvalidToken)?.split('_');
        let mut part = || parts.next().ok_or(InvalidToken);
        let place = Self {
            shown: part()?.parse().map_err(|_| InvalidToken)?,
            max_depth: part()?.parse().map_err(|_| InvalidToken)?,
            suggested_only: match part()? {
                "0" => false,
                "1" => true,
                _ => return Err(InvalidToken),
            },
        };
        if parts.next().is_none() && place.shown <= MAX_VISITED {
            Ok(place)
        } else {
            Err(InvalidToken)
        }
    }
}
