//! The room's graph, backwards from events that the server knows of (`GET /backfill`, `POST /get_missing_events`). Walks are
//! bounded by what is answered (security.md X17, X18), and never leave the room (D01).

use std::collections::{BTreeMap, HashSet};

use gatehouse_events::Event;
use gatehouse_store::Position;
use ruma::{OwnedEventId, RoomId, ServerName};

use super::sight::ServerSight;
use crate::{
    RoomHead, Rooms, graph::loaded::Placed, peer_error::PeerError, remote_servers::RawPdu, tables::Standing,
};

/// Events in one answer (limits.md).
const MAX_BACKFILL: usize = 100;
const MAX_MISSING: usize = 20;

/// Events that a walk begins from; more are not looked at.
const MAX_FROM: usize = 100;

impl Rooms {
    /// The events between some that the server has (`earliest`) and some that it got (`latest`), the oldest first; none
    /// that is less deep than `min_depth`.
    pub async fn missing_events_for_server(
        &self,
        origin: &ServerName,
        room_id: &RoomId,
        earliest: &[OwnedEventId],
        latest: &[OwnedEventId],
        limit: usize,
        min_depth: u64,
    ) -> Result<Vec<RawPdu>, PeerError> {
        let head = self.room_of_member(origin, room_id).await?;
        let known: HashSet<OwnedEventId> = earliest.iter().chain(latest).cloned().collect();
        let latest: Vec<OwnedEventId> = latest.iter().take(MAX_FROM).cloned().collect();
        let from = self.placed(room_id, &latest).await?;
        let parents = from.values().flat_map(|placed| parents(&head, placed)).collect();
        let mut walk = Walk::new(&head, known);
        walk.reach(self, parents).await?;
        let mut found = Vec::new();
        while found.len() < limit.min(MAX_MISSING) {
            let Some(placed) = walk.step(self).await? else {
                break;
            };
            if depth(&head, &placed) >= min_depth {
                found.push(placed);
            }
        }
        found.reverse();
        self.shown(&head, origin, found).await
    }

    /// Events and those before them, the newest first.
    pub async fn backfill_for_server(
        &self,
        origin: &ServerName,
        room_id: &RoomId,
        from: &[OwnedEventId],
        limit: usize,
    ) -> Result<Vec<RawPdu>, PeerError> {
        let head = self.room_of_member(origin, room_id).await?;
        let mut walk = Walk::new(&head, HashSet::new());
        walk.reach(self, from.iter().take(MAX_FROM).cloned().collect())
            .await?;
        let mut found = Vec::new();
        while found.len() < limit.min(MAX_BACKFILL) {
            let Some(placed) = walk.step(self).await? else {
                break;
            };
            found.push(placed);
        }
        self.shown(&head, origin, found).await
    }

    async fn shown(
        &self,
        head: &RoomHead,
        origin: &ServerName,
        found: Vec<Placed>,
    ) -> Result<Vec<RawPdu>, PeerError> {
        let sight = ServerSight::new(self, head, origin).await?;
        let mut shown = Vec::with_capacity(found.len());
        for placed in found {
            shown.extend(sight.show(placed).await?);
        }
        Ok(shown)
    }
}

/// A walk from newer events to older ones.
struct Walk<'a> {
    head: &'a RoomHead,
    /// What has been reached, or is not to be.
    seen: HashSet<OwnedEventId>,
    /// By place: parents were put before their children.
    next: BTreeMap<Position, Placed>,
}

impl<'a> Walk<'a> {
    fn new(head: &'a RoomHead, seen: HashSet<OwnedEventId>) -> Self {
        Self {
            head,
            seen,
            next: BTreeMap::new(),
        }
    }

    /// Goes on to events of the room that are part of its graph.
    async fn reach(&mut self, rooms: &Rooms, ids: Vec<OwnedEventId>) -> Result<(), PeerError> {
        let mut new = ids;
        new.retain(|id| self.seen.insert(id.clone()));
        if new.is_empty() {
            return Ok(());
        }
        let placed = rooms.placed(&self.head.room_id, &new).await?;
        for placed in placed.into_values() {
            if !matches!(placed.row.standing, Standing::Rejected | Standing::Outlier) {
                self.next.insert(placed.position, placed);
            }
        }
        Ok(())
    }

    /// The newest of those that are left.
    async fn step(&mut self, rooms: &Rooms) -> Result<Option<Placed>, PeerError> {
        let Some((_, placed)) = self.next.pop_last() else {
            return Ok(None);
        };
        self.reach(rooms, parents(self.head, &placed)).await?;
        Ok(Some(placed))
    }
}

fn event(head: &RoomHead, placed: &Placed) -> Option<Event> {
    let row = &placed.row;
    Event::parse(&row.pdu, &head.room_id, head.version, Some(&row.event_id)).ok()
}

fn parents(head: &RoomHead, placed: &Placed) -> Vec<OwnedEventId> {
    event(head, placed).map_or_else(Vec::new, |event| event.prev_events)
}

fn depth(head: &RoomHead, placed: &Placed) -> u64 {
    event(head, placed).map_or(0, |event| event.depth)
}
