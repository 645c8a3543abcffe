//! The list of published rooms in memory: its order, its pages and the search in it.

use std::{collections::HashMap, sync::Arc};

use ruma::{OwnedRoomId, RoomId};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// At most this many rooms on a page (limits, "publicRooms").
pub const MAX_PAGE: usize = 100;

/// What the directory says of a room (client-server API, `PublishedRoomsChunk`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishedRoom {
    /// Which room.
    pub room_id: OwnedRoomId,
    /// Its name, when it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its topic, when it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// Its canonical alias, when it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canonical_alias: Option<String>,
    /// Its picture, when it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub avatar_url: Option<String>,
    /// How many users are joined.
    pub num_joined_members: u64,
    /// Whether it can be read without joining.
    pub world_readable: bool,
    /// Whether guests may join.
    pub guest_can_join: bool,
    /// Its join rule. Servers that do not say mean the one that a room has most often which is published.
    #[serde(default = "public")]
    pub join_rule: String,
    /// The `type` of its create event: `m.space` for a space.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub room_type: Option<String>,
    /// When it was published; breaks ties of size, the newest first.
    #[serde(skip)]
    pub since_ms: u64,
    /// Other aliases that its canonical alias event lists; searched, not shown.
    #[serde(skip)]
    pub alt_aliases: Vec<String>,
}

fn public() -> String {
    "public".to_owned()
}

/// What is asked of the list.
#[derive(Debug, Clone, Default)]
pub struct PublicRoomsQuery {
    /// Rooms a page; bounded by [`MAX_PAGE`], which is also the default.
    pub limit: Option<usize>,
    /// A token of an earlier page.
    pub since: Option<String>,
    /// Only rooms with this in their name, topic or alias, in whatever case.
    pub search_term: Option<String>,
    /// Only rooms of these types; `None` in the list stands for rooms without one.
    pub room_types: Option<Vec<Option<String>>>,
}

/// A page of the list.
#[derive(Debug, Clone, Serialize)]
pub struct PublicRoomsPage {
    /// The rooms.
    pub chunk: Vec<Arc<PublishedRoom>>,
    /// Leads to the next page, when there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_batch: Option<String>,
    /// Leads to the page before, when there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prev_batch: Option<String>,
    /// How many rooms there are that match.
    pub total_room_count_estimate: usize,
}

/// The `since` is not one that this server gave out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "`since` is not a token of this server; leave it out, or take it from the response of an earlier page."
)]
pub struct InvalidSince;

/// All published rooms, the largest first.
#[derive(Debug, Clone, Default)]
pub(crate) struct PublicList {
    sorted: Vec<Arc<Listed>>,
}

#[derive(Debug)]
struct Listed {
    room: Arc<PublishedRoom>,
    /// What a search looks in, in lower case.
    searched: String,
}

/// A room's place in the order; smaller comes first.
type Place<'a> = (std::cmp::Reverse<u64>, std::cmp::Reverse<u64>, &'a RoomId);

impl PublishedRoom {
    fn place(&self) -> Place<'_> {
        (
            std::cmp::Reverse(self.num_joined_members),
            std::cmp::Reverse(self.since_ms),
            &self.room_id,
        )
    }
}

impl PublicList {
    /// The list after these rooms changed; `None`: no longer published.
    pub(crate) fn with(&self, changes: HashMap<OwnedRoomId, Option<PublishedRoom>>) -> Self {
        let mut sorted: Vec<_> = self
            .sorted
            .iter()
            .filter(|listed| !changes.contains_key(&listed.room.room_id))
            .cloned()
            .collect();
        sorted.extend(changes.into_values().flatten().map(Listed::new));
        sorted.sort_by(|a, b| a.room.place().cmp(&b.room.place()));
        Self { sorted }
    }

    /// One page.
    pub(crate) fn page(&self, query: &PublicRoomsQuery) -> Result<PublicRoomsPage, InvalidSince> {
        let since = query.since.as_deref().map(Since::parse).transpose()?;
        let limit = query.limit.unwrap_or(MAX_PAGE).clamp(1, MAX_PAGE);
        let term = query.search_term.as_deref().map(str::to_lowercase);
        let matching: Vec<_> = self
            .sorted
            .iter()
            .filter(|listed| listed.matches(term.as_deref(), query.room_types.as_deref()))
            .map(|listed| &listed.room)
            .collect();
        let first = match &since {
            None => 0,
            Some(Since::After(bound)) => matching.partition_point(|room| room.place() <= bound.place()),
            Some(Since::Before(bound)) => matching
                .partition_point(|room| room.place() < bound.place())
                .saturating_sub(limit),
        };
        let end = match &since {
            Some(Since::Before(bound)) => matching.partition_point(|room| room.place() < bound.place()),
            _ => (first + limit).min(matching.len()),
        };
        let chunk: Vec<Arc<PublishedRoom>> = matching
            .get(first..end)
            .unwrap_or_default()
            .iter()
            .map(|room| Arc::clone(room))
            .collect();
        Ok(PublicRoomsPage {
            next_batch: chunk
                .last()
                .filter(|_| end < matching.len())
                .map(|room| Since::After(Bound::of(room)).to_string()),
            prev_batch: chunk
                .first()
                .filter(|_| first > 0)
                .map(|room| Since::Before(Bound::of(room)).to_string()),
            total_room_count_estimate: matching.len(),
            chunk,
        })
    }
}

impl Listed {
    fn new(room: PublishedRoom) -> Arc<Self> {
        let mut searched = String::new();
        for text in [&room.name, &room.topic, &room.canonical_alias]
            .into_iter()
            .flatten()
            .chain(&room.alt_aliases)
        {
            searched.push_str(&text.to_lowercase());
            searched.push('\n');
        }
        Arc::new(Self {
            room: Arc::new(room),
            searched,
        })
    }

    fn matches(&self, term: Option<&str>, room_types: Option<&[Option<String>]>) -> bool {
        term.is_none_or(|term| self.searched.contains(term))
            && room_types.is_none_or(|types| types.contains(&self.room.room_type))
    }
}

/// Where a page begins or ends, as a place in the order and not as a count: it holds when rooms come and go.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Since {
    After(Bound),
    Before(Bound),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Bound {
    joined: u64,
    since_ms: u64,
    room_id: OwnedRoomId,
}

impl Bound {
    fn of(room: &PublishedRoom) -> Self {
        Self {
            joined: room.num_joined_members,
            since_ms: room.since_ms,
            room_id: room.room_id.clone(),
        }
    }

    fn place(&self) -> Place<'_> {
        (
            std::cmp::Reverse(self.joined),
            std::cmp::Reverse(self.since_ms),
            &self.room_id,
        )
    }
}

impl Since {
    fn parse(text: &str) -> Result<Self, InvalidSince> {
        let mut parts = text.splitn(4, '_');
        let mut part = || parts.next().ok_or(InvalidSince);
        let direction = part()?;
        let bound = Bound {
            joined: part()?.parse().map_err(|_| InvalidSince)?,
            since_ms: part()?.parse().map_err(|_| InvalidSince)?,
            room_id: part()?.try_into().map_err(|_| InvalidSince)?,
        };
        match direction {
            "n" => Ok(Self::After(bound)),
            "p" => Ok(Self::Before(bound)),
            _ => Err(InvalidSince),
        }
    }
}

impl std::fmt::Display for Since {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (direction, bound) = match self {
            Self::After(bound) => ('n', bound),
            Self::Before(bound) => ('p', bound),
        };
        write!(
            f,
            "{direction}_{}_{}_{}",
            bound.joined, bound.since_ms, bound.room_id
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(number: u64, joined: u64) -> PublishedRoom {
        PublishedRoom {
            room_id: format!("!r{number}:s").try_into().unwrap(),
            name: Some(format!("Room {number}")),
            topic: None,
            canonical_alias: Some(format!("#Alias_{number}:s")),
            avatar_url: None,
            num_joined_members: joined,
            world_readable: false,
            guest_can_join: false,
            join_rule: "public".to_owned(),
            room_type: (number == 1).then(|| "m.space".to_owned()),
            since_ms: number,
            alt_aliases: vec![],
        }
    }

    fn list(rooms: impl IntoIterator<Item = PublishedRoom>) -> PublicList {
        PublicList::default().with(
            rooms
                .into_iter()
                .map(|room| (room.room_id.clone(), Some(room)))
                .collect(),
        )
    }

    fn ids(page: &PublicRoomsPage) -> Vec<&str> {
        page.chunk.iter().map(|room| room.room_id.as_str()).collect()
    }

    #[test]
    fn the_largest_come_first_and_of_equals_the_newest() {
        let page = list([room(1, 2), room(2, 5), room(3, 2)])
            .page(&PublicRoomsQuery::default())
            .unwrap();
        assert_eq!(ids(&page), ["!r2:s", "!r3:s", "!r1:s"]);
        assert_eq!(page.total_room_count_estimate, 3);
        assert_eq!((page.next_batch, page.prev_batch), (None, None));
    }

    #[test]
    fn pages_forward_and_back_show_every_room_once() {
        let list = list((0..10).map(|number| room(number, number / 3)));
        let mut query = PublicRoomsQuery {
            limit: Some(3),
            ..PublicRoomsQuery::default()
        };
        let mut seen = Vec::new();
        let mut shown = loop {
            let page = list.page(&query).unwrap();
            seen.extend(page.chunk.iter().map(|room| room.room_id.clone()));
            query.since = page.next_batch.clone();
            if query.since.is_none() {
                break page;
            }
        };
        assert_eq!(seen.len(), 10);
        let mut back = Vec::new();
        while let Some(since) = shown.prev_batch.take() {
            query.since = Some(since);
            shown = list.page(&query).unwrap();
            back.splice(0..0, shown.chunk.iter().map(|room| room.room_id.clone()));
        }
        assert_eq!(back, seen[..9]);
    }

    #[test]
    fn a_page_goes_on_where_it_was_when_rooms_vanish() {
        let before = list((0..6).map(|number| room(number, 1)));
        let mut query = PublicRoomsQuery {
            limit: Some(2),
            ..PublicRoomsQuery::default()
        };
        let page = before.page(&query).unwrap();
        assert_eq!(ids(&page), ["!r5:s", "!r4:s"]);
        query.since = page.next_batch;
        let after = before.with(HashMap::from([("!r4:s".try_into().unwrap(), None)]));
        assert_eq!(ids(&after.page(&query).unwrap()), ["!r3:s", "!r2:s"]);
    }

    #[test]
    fn a_search_looks_in_name_topic_and_alias_in_any_case() {
        let mut with_topic = room(2, 1);
        with_topic.topic = Some("All about WOMBLES".to_owned());
        let list = list([room(1, 1), with_topic]);
        let search = |term: &str| {
            list.page(&PublicRoomsQuery {
                search_term: Some(term.to_owned()),
                ..PublicRoomsQuery::default()
            })
            .unwrap()
        };
        assert_eq!(ids(&search("wombles")), ["!r2:s"]);
        assert_eq!(ids(&search("rOOm 1")), ["!r1:s"]);
        assert_eq!(ids(&search("#ALIAS_1")), ["!r1:s"]);
        assert_eq!(search("nothing").total_room_count_estimate, 0);
    }

    #[test]
    fn null_among_the_room_types_stands_for_rooms_without_one() {
        let list = list([room(1, 1), room(2, 1)]);
        let of_types = |types: &[Option<&str>]| {
            list.page(&PublicRoomsQuery {
                room_types: Some(types.iter().map(|kind| kind.map(str::to_owned)).collect()),
                ..PublicRoomsQuery::default()
            })
            .unwrap()
        };
        assert_eq!(ids(&of_types(&[Some("m.space")])), ["!r1:s"]);
        assert_eq!(ids(&of_types(&[None])), ["!r2:s"]);
        assert_eq!(of_types(&[]).total_room_count_estimate, 0);
    }

    #[test]
    fn an_unknown_since_is_refused() {
        for since in ["", "n", "n_1_2", "x_1_2_!r:s", "n_a_2_!r:s", "n_1_2_nonsense"] {
            let query = PublicRoomsQuery {
                since: Some(since.to_owned()),
                ..PublicRoomsQuery::default()
            };
            assert_eq!(list([]).page(&query).unwrap_err(), InvalidSince, "{since}");
        }
    }
}
