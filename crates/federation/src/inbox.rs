//! Transactions of other servers (server-server API, "Transactions"): what is in them goes to the engines, once.
//!
//! A server that gets no answer sends the same transaction again. It gets the first answer then; a server that stopped
//! in between takes the events in a second time, which changes nothing either, as they are here already.

mod pace;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use gatehouse_events::Clock;
use gatehouse_rooms::{Received, Rooms};
use gatehouse_store::{Batch, CommitError, Direction, Range, Store, StoreError};
use parking_lot::Mutex;
use ruma::{OwnedEventId, OwnedRoomId, OwnedServerName, ServerName};
use serde::Deserialize;
use serde_json::{Map, Value, json, value::RawValue};
use thiserror::Error;
use tokio::{
    sync::{Mutex as TurnMutex, OwnedMutexGuard},
    time::Instant,
};

use self::pace::Paces;
use crate::{
    Federation,
    tables::{RECEIVED_TIMES, RECEIVED_TRANSACTIONS, ReceivedRow},
};

/// The most PDUs of a transaction (limits, section 1).
pub const MAX_PDUS: usize = 50;
/// The most EDUs of a transaction (limits, section 1).
pub const MAX_EDUS: usize = 100;
/// The most bytes of a transaction's id: twice what an opaque identifier may have.
const MAX_ID_BYTES: usize = 510;
/// How long the answer to a transaction is kept (limits, "federation txn ids").
const LIFE_MS: u64 = 24 * 60 * 60 * 1_000;
/// How many old answers are forgotten at once.
const FORGET_BATCH: usize = 500;
/// Rooms of one transaction that are worked on side by side.
const ROOMS_AT_ONCE: usize = 8;
/// Transactions of one server that may wait for the one before (limits, "federation"). Honest servers send one at a time.
const MAX_WAITING: usize = 50;
/// So many turns are kept before idle ones are looked for.
const MANY_TURNS: usize = 1_024;

/// What a server sends in a transaction. EDUs have no engine yet: they are counted and dropped.
#[derive(Debug, Default, Deserialize)]
pub struct ReceivedTransaction {
    /// Events.
    #[serde(default)]
    pub pdus: Vec<Box<RawValue>>,
    /// What is no event.
    #[serde(default)]
    pub edus: Vec<Box<RawValue>>,
}

impl ReceivedTransaction {
    /// Its events by the rooms that they say they are of, in their order. Those that name no room are left out.
    pub fn by_room(self) -> BTreeMap<OwnedRoomId, Vec<Box<RawValue>>> {
        by_room(self.pdus)
    }
}

/// Why a transaction is not taken.
#[derive(Debug, Clone, Error)]
pub enum InboxError {
    /// It, or its id, is too long.
    #[error("A transaction has at most {MAX_PDUS} PDUs, {MAX_EDUS} EDUs and {MAX_ID_BYTES} bytes in its id.")]
    TooLong,
    /// The server has too many under way.
    #[error("Send one transaction at a time.")]
    TooMany,
    /// The server is stopping.
    #[error("This server is stopping. Send the transaction again.")]
    Stopped,
    /// It could not be kept.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Takes transactions. Cheap to clone.
#[derive(Clone)]
pub struct Inbox {
    federation: Federation,
    store: Store,
    clock: Clock,
    rooms: Rooms,
    turns: Arc<Turns>,
    paces: Arc<Paces>,
}

type Turns = Mutex<HashMap<OwnedServerName, Arc<TurnMutex<()>>>>;

impl Inbox {
    /// One that hands events to these rooms.
    pub fn new(federation: &Federation, rooms: Rooms) -> Self {
        Self {
            federation: federation.clone(),
            store: federation.store().clone(),
            clock: federation.clock().clone(),
            rooms,
            turns: Arc::default(),
            paces: Arc::default(),
        }
    }

    /// Takes a transaction in, and says of each event by its id what came of it: `{}`, or an `error`. It is finished even
    /// if nobody waits for the answer any more.
    pub async fn receive(
        &self,
        origin: &ServerName,
        id: &str,
        transaction: ReceivedTransaction,
    ) -> Result<Map<String, Value>, InboxError> {
        let is_too_long =
            transaction.pdus.len() > MAX_PDUS || transaction.edus.len() > MAX_EDUS || id.len() > MAX_ID_BYTES;
        if is_too_long {
            return Err(InboxError::TooLong);
        }
        let turn = self.turn(origin).await?;
        let (inbox, origin, id) = (self.clone(), origin.to_owned(), id.to_owned());
        let work = tokio::spawn(async move {
            let answer = inbox.receive_in_turn(origin, id, transaction.pdus).await;
            drop(turn);
            answer
        });
        work.await.map_err(|_| InboxError::Stopped)?
    }

    /// One transaction of a server at a time.
    async fn turn(&self, origin: &ServerName) -> Result<OwnedMutexGuard<()>, InboxError> {
        let turn = {
            let mut turns = self.turns.lock();
            if turns.len() > MANY_TURNS {
                turns.retain(|_, turn| Arc::strong_count(turn) > 1);
            }
            Arc::clone(turns.entry(origin.to_owned()).or_default())
        };
        // The map has one, this has one, and each that waits or works has one.
        if Arc::strong_count(&turn) > MAX_WAITING + 3 {
            return Err(InboxError::TooMany);
        }
        Ok(turn.lock_owned().await)
    }

    async fn receive_in_turn(
        &self,
        origin: OwnedServerName,
        id: String,
        pdus: Vec<Box<RawValue>>,
    ) -> Result<Map<String, Value>, InboxError> {
        let key = (origin, id);
        let now_ms = self.clock.now_ms();
        let before = self.store.get(&RECEIVED_TRANSACTIONS, &key).await?;
        if let Some(before) = before.filter(|before| before.received_ms + LIFE_MS > now_ms) {
            return Ok(before.answer);
        }
        let began = Instant::now();
        let by_room = by_room(pdus);
        let sizes: Vec<_> = by_room
            .iter()
            .map(|(room_id, pdus)| (room_id.clone(), pdus.len()))
            .collect();
        let answer = self.receive_pdus(&key.0, by_room).await?;
        let row = ReceivedRow {
            received_ms: now_ms,
            answer: answer.clone(),
        };
        let mut batch = Batch::new();
        batch.put(&RECEIVED_TRANSACTIONS, &key, &row);
        batch.put(&RECEIVED_TIMES, &(now_ms, key.0.clone(), key.1), &());
        match self.store.commit(batch).await {
            Ok(_) | Err(CommitError::Conflict { .. }) => {}
            Err(CommitError::Store(error)) => return Err(error.into()),
        }
        self.slow_down(&key.0, &sizes, began).await;
        Ok(answer)
    }

    /// Waits before a server that sends too much into a room is answered. Everything that it sent is here by then, and all
    /// the time the server's turn is taken.
    async fn slow_down(&self, origin: &ServerName, sizes: &[(OwnedRoomId, usize)], began: Instant) {
        let Some(pace) = self.federation.config().pdu_pace else {
            return;
        };
        let delays = sizes
            .iter()
            .map(|(room_id, events)| self.paces.count(pace, (origin, room_id), *events, began));
        let delay = delays.max().unwrap_or_default();
        if !delay.is_zero() {
            tracing::debug!(%origin, ?delay, "a server sends so much into a room that its answer waits");
            self.federation.received().count(|counts| &counts.slowed, 1);
            tokio::time::sleep_until(began + delay).await;
        }
    }

    /// Each room's events in the order in which they came, the rooms side by side. What cannot be read, names no room or
    /// has no id that could be told is left out of the answer.
    async fn receive_pdus(
        &self,
        origin: &ServerName,
        by_room: BTreeMap<OwnedRoomId, Vec<Box<RawValue>>>,
    ) -> Result<Map<String, Value>, StoreError> {
        let received: Vec<Vec<(Option<OwnedEventId>, Received)>> = stream::iter(by_room)
            .map(|(room_id, pdus)| async move { self.rooms.receive(origin, &room_id, &pdus).await })
            .buffer_unordered(ROOMS_AT_ONCE)
            .try_collect()
            .await?;
        let named = received.into_iter().flatten();
        let named = named.inspect(|(_, received)| self.federation.received().count_event(received));
        Ok(named
            .filter_map(|(id, received)| Some((id?.to_string(), told(received))))
            .collect())
    }

    /// Forgets answers that nobody asks for any more; `true`: there may be more of them.
    pub async fn forget_old(&self) -> Result<bool, StoreError> {
        let before = self.clock.now_ms().saturating_sub(LIFE_MS);
        let range = Range::all().before(&(before,));
        let old = self
            .store
            .scan(&RECEIVED_TIMES, &range, Direction::Forward, FORGET_BATCH)
            .await?;
        let more = old.len() == FORGET_BATCH;
        let mut batch = Batch::new();
        for ((at, origin, id), ()) in old {
            batch.delete(&RECEIVED_TIMES, &(at, origin.clone(), id.clone()));
            batch.delete(&RECEIVED_TRANSACTIONS, &(origin, id));
        }
        match self.store.commit(batch).await {
            Ok(_) | Err(CommitError::Conflict { .. }) => Ok(more),
            Err(CommitError::Store(error)) => Err(error),
        }
    }
}

fn by_room(pdus: Vec<Box<RawValue>>) -> BTreeMap<OwnedRoomId, Vec<Box<RawValue>>> {
    #[derive(Deserialize)]
    struct InRoom {
        room_id: OwnedRoomId,
    }
    let mut by_room: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for pdu in pdus {
        // Create events of version 12 name no room. Nobody sends them by themselves.
        if let Ok(InRoom { room_id }) = serde_json::from_str(pdu.get()) {
            by_room.entry(room_id).or_default().push(pdu);
        }
    }
    by_room
}

/// What the server that sent an event is told of it. Whether we show it to anybody is our own affair: one that the room's
/// rules reject was dealt with, and is kept.
fn told(received: Received) -> Value {
    match received {
        Received::Accepted | Received::AlreadyHere | Received::SoftFailed | Received::Rejected(_) => {
            json!({})
        }
        Received::Dropped(reason) => json!({ "error": reason }),
    }
}

impl std::fmt::Debug for Inbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inbox").finish_non_exhaustive()
    }
}
