//! Keeping the list of published rooms in memory up to date, by following the store.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use gatehouse_rooms::summary::RoomSummary;
use gatehouse_store::{Direction, Notice, Range, StoreError, Topic, Watch};
use ruma::OwnedRoomId;

use crate::{
    Directory,
    public_list::{PublicList, PublishedRoom},
    tables::PUBLISHED,
};

/// Rows read at once.
const BATCH: usize = 1_000;
/// Published rooms that the list holds; the rest, by room id, is not listed. Some 10 MB.
const MAX_LISTED: usize = 20_000;

/// The list as of the last request, and what may have changed since.
#[derive(Debug, Default)]
pub(crate) struct PublishedRooms {
    /// Opened before the first read, so that no change is missed.
    watch: Option<Watch>,
    list: Arc<PublicList>,
}

/// What changed.
#[derive(Debug)]
enum Stale {
    Rooms(HashSet<OwnedRoomId>),
    Everything,
}

impl Directory {
    /// The list as it is now, with all that has been acknowledged. Only what was touched since the last request is read again.
    pub(crate) async fn published_rooms(&self) -> Result<Arc<PublicList>, StoreError> {
        let mut published = self.published.lock().await;
        // Kept out of there until the read is done: when that fails, or its client hangs up, what was drained is not
        // known any more, and the next request begins anew.
        let (watch, stale) = match published.watch.take() {
            Some(mut watch) => {
                let told = self.store.watchers_told().await;
                let stale = drain(&mut watch).filter(|_| told);
                (watch, stale.map_or(Stale::Everything, Stale::Rooms))
            }
            None => (self.store.watch(), Stale::Everything),
        };
        match stale {
            Stale::Rooms(rooms) if rooms.is_empty() => {}
            Stale::Rooms(rooms) => {
                let changes = self.entries(rooms.into_iter().collect()).await?;
                published.list = Arc::new(published.list.with(changes));
            }
            Stale::Everything => published.list = Arc::new(self.read_all().await?),
        }
        published.watch = Some(watch);
        Ok(Arc::clone(&published.list))
    }

    async fn read_all(&self) -> Result<PublicList, StoreError> {
        let mut list = PublicList::default();
        let mut range = Range::all();
        for _ in 0..MAX_LISTED.div_ceil(BATCH) {
            let rows = self
                .store
                .scan(&PUBLISHED, &range, Direction::Forward, BATCH)
                .await?;
            let full = rows.len() == BATCH;
            if let Some((last, _)) = rows.last() {
                range = range.after(&last.clone());
            }
            let rooms = rows.into_iter().map(|((room,), _)| room).collect();
            list = list.with(self.entries(rooms).await?);
            if !full {
                break;
            }
        }
        Ok(list)
    }

    /// What the list says of these rooms now; `None` for those that are not published.
    async fn entries(
        &self,
        rooms: Vec<OwnedRoomId>,
    ) -> Result<HashMap<OwnedRoomId, Option<PublishedRoom>>, StoreError> {
        let keys: Vec<_> = rooms.into_iter().map(|room| (room,)).collect();
        let rows = self.store.get_many(&PUBLISHED, &keys).await?;
        let mut entries = HashMap::with_capacity(keys.len());
        for ((room_id,), row) in keys.into_iter().zip(rows) {
            let entry = match row {
                Some(row) => self
                    .rooms
                    .describe(&room_id)
                    .await?
                    .map(|room| entry(room, row.since_ms)),
                None => None,
            };
            entries.insert(room_id, entry);
        }
        Ok(entries)
    }
}

fn entry(room: RoomSummary, since_ms: u64) -> PublishedRoom {
    PublishedRoom {
        room_id: room.room_id,
        name: room.name,
        topic: room.topic,
        canonical_alias: room.canonical_alias,
        avatar_url: room.avatar_url,
        num_joined_members: room.num_joined_members,
        world_readable: room.world_readable,
        guest_can_join: room.guest_can_join,
        join_rule: room.join_rule,
        room_type: room.room_type,
        since_ms,
        alt_aliases: room.alt_aliases,
    }
}

/// The rooms of all notices that wait, without waiting for more; `None`: anything may have changed.
fn drain(watch: &mut Watch) -> Option<HashSet<OwnedRoomId>> {
    let mut rooms = HashSet::new();
    while let Some(notice) = watch.try_next() {
        let Notice::Changes(changes) = notice else {
            return None;
        };
        rooms.extend(changes.topics.iter().filter_map(|topic| match topic {
            Topic::Room(room) => Some(room.clone()),
            Topic::User(_) => None,
        }));
    }
    Some(rooms)
}
