//! Rooms that were joined without their members: getting these from other servers, and making the room what it would be had
//! they been there from the start.
//!
//! [`fetch`] gets the events that are missing, of which [`held`] keeps those that wait for others. [`put`] makes them the
//! state since the ground, [`finish`] takes out what was learned wrongly and makes the room whole, after [`judge_again`] has
//! looked at what was judged without knowing all members. [`waiting`] is for those who need the whole room.
//!
//! Everything is done anew after a crash, from the row that the join wrote; what is here already is not fetched again.

mod fetch;
mod finish;
mod held;
mod judge_again;
mod put;
mod take_out;
mod waiting;

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    time::{Duration, Instant},
};

use gatehouse_store::{Direction, Range, StoreError};
use ruma::{OwnedServerName, RoomId};
use tokio::time::sleep;

use crate::{
    RoomHead, Rooms, WeakRooms,
    tables::{PARTIAL, PartialRow},
    write_error::WriteError,
};

/// Servers that are asked before one waits a while.
const MAX_ASKED: usize = 5;
/// Rounds in which all events of the state have to be given.
const PATIENT_ROUNDS: usize = 2;
/// The pause after nobody could help, which doubles each time.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_mins(10);
/// Rows read at once.
const BATCH: usize = 1_000;

/// What came of trying to fill a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Filled {
    /// It is whole.
    Whole,
    /// We are not in it any more.
    Gone,
    /// Nobody could help.
    NotYet,
    /// Somebody could, but not all events of the state were given.
    Lacking,
}

impl Rooms {
    /// Fills a room, unless that is under way.
    pub(crate) fn fill_in_background(&self, room_id: &RoomId) {
        if !self.shared.filling.under_way.lock().insert(room_id.to_owned()) {
            return;
        }
        let (rooms, room_id) = (self.downgrade(), room_id.to_owned());
        tokio::spawn(async move {
            fill_until_whole(&rooms, &room_id).await;
            if let Some(rooms) = rooms.upgrade() {
                rooms.shared.filling.under_way.lock().remove(&room_id);
            }
        });
    }

    /// Goes on to fill the rooms whose members are missing, as after a restart. Says how many there are.
    pub async fn resume_filling(&self) -> Result<usize, StoreError> {
        let mut range = Range::all();
        let mut count = 0;
        loop {
            let rows = self
                .store
                .scan(&PARTIAL, &range, Direction::Forward, BATCH)
                .await?;
            let full = rows.len() == BATCH;
            if let Some((last, _)) = rows.last() {
                range = range.after(last);
            }
            for ((room_id,), _) in rows {
                let head = self.head(&room_id).await?;
                if head.is_some_and(|head| head.has_server(self.server_name())) {
                    count += 1;
                    self.fill_in_background(&room_id);
                }
            }
            if !full {
                return Ok(count);
            }
        }
    }

    /// How many rooms this node is filling.
    pub fn rooms_being_filled(&self) -> usize {
        self.shared.filling.under_way.lock().len()
    }

    async fn fill_once(&self, room_id: &RoomId, lacking: usize) -> Result<Filled, WriteError> {
        // Another node may be at it.
        let Some(_lease) = self.store.lease(&format!("rooms.fill.{room_id}")).await? else {
            return Ok(Filled::NotYet);
        };
        let Some(row) = self.store.get(&PARTIAL, &(room_id.to_owned(),)).await? else {
            return Ok(Filled::Whole);
        };
        let head = self.head(room_id).await?;
        let Some(head) = head.filter(|head| head.has_server(self.server_name())) else {
            return Ok(Filled::Gone);
        };
        let mut filled = Filled::NotYet;
        for server in self.servers_to_fill_from(&head, &row).await? {
            match self.fill_from(&server, (&head, &row), lacking).await? {
                Filled::NotYet => {}
                Filled::Lacking => filled = Filled::Lacking,
                done => return Ok(done),
            }
        }
        Ok(filled)
    }

    /// Fills the room with what a server gives. So many rounds before, it was not all of the state.
    async fn fill_from(
        &self,
        server: &OwnedServerName,
        (head, row): (&RoomHead, &PartialRow),
        lacking: usize,
    ) -> Result<Filled, WriteError> {
        let began = Instant::now();
        let Some(state) = self.get_state_of_join(server, head, row).await? else {
            return Ok(Filled::NotYet);
        };
        if state.missing > 0 {
            tracing::info!(room = %head.room_id, %server, events = state.missing, "events of a state are not given");
            // What nobody gives is as what nobody can trust: in the end it is left out.
            if lacking < PATIENT_ROUNDS {
                return Ok(Filled::Lacking);
            }
        }
        let state = state.ids;
        let Some(given) = self.put_members(&head.room_id, row, &state).await? else {
            return Ok(Filled::Gone);
        };
        self.finish_filling(&head.room_id, row, &given).await?;
        tracing::info!(room = %head.room_id, %server, members = given.len(), seconds = began.elapsed().as_secs(),
            "the members of a room that was joined are here");
        Ok(Filled::Whole)
    }

    /// A number that is another for each server, room and moment. It needs not be secret, and a simulation has to be the same
    /// twice.
    fn chance(&self, room_id: &RoomId) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.server_name().as_str(), room_id.as_str(), self.now_ms()).hash(&mut hasher);
        hasher.finish()
    }

    /// The one that let us in, and others in an order of chance: all rooms of a large server would ask the same ones.
    async fn servers_to_fill_from(
        &self,
        head: &RoomHead,
        row: &PartialRow,
    ) -> Result<Vec<OwnedServerName>, StoreError> {
        let mut others = head.servers_by_members();
        others.retain(|server| *server != row.let_in_by && server != self.server_name());
        if !others.is_empty() {
            let first = usize::try_from(self.chance(&head.room_id)).unwrap_or_default() % others.len();
            others.rotate_left(first);
        }
        let mut servers = vec![row.let_in_by.clone()];
        for server in others {
            if servers.len() == MAX_ASKED {
                break;
            }
            if self.server_is_allowed(head, &server).await? {
                servers.push(server);
            }
        }
        Ok(servers)
    }
}

async fn fill_until_whole(rooms: &WeakRooms, room_id: &RoomId) {
    let mut pause = FIRST_PAUSE;
    let mut lacking = 0;
    loop {
        let Some(rooms) = rooms.upgrade() else { return };
        let (filled, jitter) = {
            let Ok(_permit) = rooms.shared.filling.at_once.acquire().await else {
                return;
            };
            (
                rooms.fill_once(room_id, lacking).await,
                jitter(rooms.chance(room_id)),
            )
        };
        // Who waits keeps the engine from nothing.
        drop(rooms);
        match filled {
            Ok(Filled::Whole | Filled::Gone) => return,
            Ok(Filled::Lacking) => lacking += 1,
            Ok(Filled::NotYet) => {
                tracing::info!(room = %room_id, ?pause, "nobody gives the members of a room that was joined");
            }
            Err(error) => {
                tracing::warn!(room = %room_id, %error, ?pause, "the members of a room that was joined are not taken in");
            }
        }
        sleep(pause.mul_f64(jitter)).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Between a half and one and a half.
fn jitter(chance: u64) -> f64 {
    let hundredths = u32::try_from(chance % 101).unwrap_or_default();
    0.5 + f64::from(hundredths) / 100.0
}
