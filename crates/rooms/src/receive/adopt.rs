//! Taking in a whole room, with which one of our users joins it.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use gatehouse_events::{Event, Pdu, RoomVersion};
use gatehouse_store::{Batch, Position};
use ruma::{OwnedEventId, RoomId};

use super::{Accepting, Received, accept::put_gap};
use crate::{
    Rooms,
    remote_servers::RemoteError,
    room_transaction::RoomTransaction,
    tables::{EVENT_INDEX, EventRow, STATE_BEFORE, Standing, StateBeforeRow},
    write_error::{Attempt, Refusal, WriteError, attempt},
};

/// Positions that are kept free for the room's history: 16 million events. One room's do not disturb another's.
const FREE_AT_JOIN: u32 = 1 << 24;
/// Rows read at once.
const BATCH: usize = 1_000;

/// A state and the events that it rests on, in which all passed the checks.
struct Handed<'a> {
    state: &'a [Pdu],
    auth_chain: &'a [Pdu],
    join: &'a Pdu,
}

impl Rooms {
    /// Takes in a room in one commit, so that nobody sees half of it (security.md T30). The events must have passed their
    /// checks, and the state must allow the join. What this server knew of the room from before is kept as history; its
    /// state is the given one.
    pub(crate) async fn adopt(
        &self,
        room_id: &RoomId,
        version: RoomVersion,
        state: Vec<Pdu>,
        auth_chain: Vec<Pdu>,
        join: Pdu,
        beside: Batch,
    ) -> Result<(), WriteError> {
        let handed = Handed {
            state: &state,
            auth_chain: &auth_chain,
            join: &join,
        };
        attempt(|| self.try_adopt(room_id, version, &handed, &beside)).await
    }

    async fn try_adopt(
        &self,
        room_id: &RoomId,
        version: RoomVersion,
        handed: &Handed<'_>,
        beside: &Batch,
    ) -> Result<(), Attempt> {
        let mut transaction = self.begin_adoption(room_id, version).await?.settle().await?;
        if transaction.head().version != version {
            return Err(WriteError::from(RemoteError::BadAnswer).into());
        }
        if transaction.head().has_server(self.server_name()) {
            // Somebody else of this server was faster: it is a room like any other now.
            drop(transaction);
            return self.join_adopted(room_id, handed, beside).await;
        }
        transaction.batch.append(beside.clone());
        let places = self.places_of(room_id, handed).await?;
        let first = transaction.batch.reserve_positions(FREE_AT_JOIN);
        let shown = self.shown_with_invites(room_id, handed.state).await?;
        let state = put_state(&mut transaction, handed, places, &shown);
        drop_old_state(&mut transaction, &state);
        put_join(&mut transaction, handed.join, first);
        transaction.commit().await?;
        Ok(())
    }

    async fn join_adopted(
        &self,
        room_id: &RoomId,
        handed: &Handed<'_>,
        beside: &Batch,
    ) -> Result<(), Attempt> {
        let pdus = handed.auth_chain.iter().chain(handed.state).cloned().collect();
        let version = handed.join.version();
        let head = self.head(room_id).await?.ok_or(WriteError::NoSuchRoom)?;
        self.keep_outliers(room_id, version, head.hot_event("m.room.create"), pdus)
            .await?;
        let accepting = Accepting {
            state_before: Some(state_map(handed.state)),
            beside: beside.clone(),
            ..Accepting::default()
        };
        match self.accept(room_id, handed.join.clone(), accepting).await? {
            Received::Accepted | Received::AlreadyHere => Ok(()),
            Received::Rejected(rule) | Received::Dropped(rule) => Err(Refusal::Rules(rule).into()),
            Received::SoftFailed => Err(Refusal::NotInvited.into()),
        }
    }

    /// Where those of the events are that are here already. One that is in another room is a lie: only the ids of the first
    /// two room versions can collide.
    async fn places_of(
        &self,
        room_id: &RoomId,
        handed: &Handed<'_>,
    ) -> Result<HashMap<OwnedEventId, (Position, Standing)>, WriteError> {
        let all = handed.auth_chain.iter().chain(handed.state).chain([handed.join]);
        let ids: Vec<OwnedEventId> = all.map(|pdu| pdu.event.event_id.clone()).collect();
        for ids in ids.chunks(BATCH) {
            let keys: Vec<_> = ids.iter().map(|id| (id.clone(),)).collect();
            let places = self.store.get_many(&EVENT_INDEX, &keys).await?;
            if places.iter().flatten().any(|(room, _)| room != room_id) {
                return Err(RemoteError::BadAnswer.into());
            }
        }
        let placed = self.placed(room_id, &ids).await?;
        Ok(placed
            .into_iter()
            .map(|(id, placed)| (id, (placed.position, placed.row.standing)))
            .collect())
    }
}

/// Takes out what the room's state had before and has no more.
fn drop_old_state(transaction: &mut RoomTransaction, state: &HashSet<(String, String)>) {
    let head = transaction.head();
    let members = head
        .members
        .keys()
        .map(|user| ("m.room.member".to_owned(), user.to_string()));
    let mut gone: Vec<(String, String)> = head
        .state
        .keys()
        .cloned()
        .chain(members)
        .filter(|key| !state.contains(key))
        .collect();
    gone.sort();
    for key in gone {
        let since = transaction.batch.next_position();
        transaction.put_change(since, key, None, None);
    }
}

/// Keeps the events and makes the state the room's. Says which keys it has.
fn put_state(
    transaction: &mut RoomTransaction,
    handed: &Handed<'_>,
    mut places: HashMap<OwnedEventId, (Position, Standing)>,
    shown: &HashMap<OwnedEventId, String>,
) -> HashSet<(String, String)> {
    let state: HashSet<&OwnedEventId> = handed.state.iter().map(|pdu| &pdu.event.event_id).collect();
    let mut set = HashSet::new();
    for pdu in handed.auth_chain.iter().chain(handed.state) {
        let event_id = &pdu.event.event_id;
        let event = Arc::new(pdu.event.clone());
        let (place, standing, is_new) = match places.get(event_id) {
            Some((place, standing)) => (*place, *standing, false),
            None => (transaction.batch.next_position(), Standing::Outlier, true),
        };
        if is_new {
            let row = EventRow::new(event_id.clone(), pdu.json.clone(), Standing::Outlier);
            transaction.put_event(place, &row, &event);
            places.insert(event_id.clone(), (place, Standing::Outlier));
        }
        let Some(state_key) = event.state_key.clone().filter(|_| state.contains(event_id)) else {
            continue;
        };
        let key = (event.kind.to_string(), state_key);
        // What was rejected here stays so (security.md E16).
        if standing == Standing::Rejected || !set.insert(key.clone()) {
            continue;
        }
        if transaction.head().state_event_id(&key.0, &key.1) != Some(event_id) {
            let since = if is_new {
                place
            } else {
                transaction.batch.next_position()
            };
            let shown = shown.get(event_id).cloned();
            transaction.put_change(since, key, Some((&event, place)), shown);
        }
    }
    set
}

/// Puts the join on top, which makes it the one end of the graph.
fn put_join(transaction: &mut RoomTransaction, join: &Pdu, first: Position) {
    let event = Arc::new(join.event.clone());
    let position = transaction.batch.next_position();
    let mut row = EventRow::new(event.event_id.clone(), join.json.clone(), Standing::Accepted);
    row.off_line = true;
    row.after_gap = !event.prev_events.is_empty();
    let room = transaction.head().room_id.clone();
    let before = StateBeforeRow::own(Vec::new());
    transaction.batch.put(&STATE_BEFORE, &(room, position), &before);
    if row.after_gap {
        put_gap(transaction, (first, position), event.prev_events.clone());
    }
    transaction.put_received(position, &row, &event, join.reference_hash.clone());
    if let Some(state_key) = event.state_key.clone() {
        let key = (event.kind.to_string(), state_key);
        transaction.put_change(position, key, Some((&event, position)), None);
    }
    transaction.set_ends(vec![event.event_id.clone()], event.depth);
}

fn state_map(pdus: &[Pdu]) -> HashMap<(String, String), OwnedEventId> {
    let key = |event: &Event| Some((event.kind.to_string(), event.state_key.clone()?));
    pdus.iter()
        .filter_map(|pdu| Some((key(&pdu.event)?, pdu.event.event_id.clone())))
        .collect()
}
