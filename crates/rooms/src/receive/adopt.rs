//! Taking in a whole room, with which one of our users joins it.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use gatehouse_events::{Event, Pdu, RoomVersion};
use gatehouse_store::{Batch, Position};
use ruma::{OwnedEventId, OwnedServerName, RoomId};

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

/// A room as it is taken in. Its events have passed the checks.
#[derive(Debug)]
pub(crate) struct Adopting {
    /// The state before the join, as far as it is given.
    pub(crate) state: Vec<Pdu>,
    /// What authorises the state and the join, and is not part of it.
    pub(crate) auth_chain: Vec<Pdu>,
    /// The join.
    pub(crate) join: Pdu,
    /// Members are missing from the state.
    pub(crate) missing: Option<MissingMembers>,
    /// To be committed with it.
    pub(crate) beside: Batch,
}

/// Members that are missing from a state, and who knows them.
#[derive(Debug)]
pub(crate) struct MissingMembers {
    /// The server that let us in.
    pub(crate) let_in_by: OwnedServerName,
    /// All other servers in the room, that one included.
    pub(crate) servers: Vec<OwnedServerName>,
}

/// What came of taking in a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Adopted {
    /// It is here.
    Whole,
    /// It is here, and its members are missing.
    Partly,
    /// It had been here already.
    AlreadyHere,
}

impl Rooms {
    /// Takes in a room in one commit, so that nobody sees half of it (security.md T30). The events must have passed their
    /// checks, and the state must allow the join. What this server knew of the room from before is kept as history; its
    /// state is the given one.
    pub(crate) async fn adopt(
        &self,
        room_id: &RoomId,
        version: RoomVersion,
        adopting: &Adopting,
    ) -> Result<Adopted, WriteError> {
        attempt(|| self.try_adopt(room_id, version, adopting)).await
    }

    async fn try_adopt(
        &self,
        room_id: &RoomId,
        version: RoomVersion,
        adopting: &Adopting,
    ) -> Result<Adopted, Attempt> {
        let mut transaction = self.begin_adoption(room_id, version).await?.settle().await?;
        if transaction.head().version != version {
            return Err(WriteError::from(RemoteError::BadAnswer).into());
        }
        if transaction.head().has_server(self.server_name()) {
            let is_whole = transaction.head().is_whole();
            drop(transaction);
            // Without its members the given state would be one that nobody was in.
            if adopting.missing.is_some() || !is_whole {
                return Ok(Adopted::AlreadyHere);
            }
            return self.join_adopted(room_id, adopting).await;
        }
        transaction.batch.append(adopting.beside.clone());
        let places = self.places_of(room_id, adopting).await?;
        let first = transaction.batch.reserve_positions(FREE_AT_JOIN);
        let events = adopting.state.iter().map(|pdu| &pdu.event);
        let shown = self.shown_with_invites(room_id, events).await?;
        let state = put_state(&mut transaction, adopting, places, &shown);
        self.drop_old_state(&mut transaction, &state, adopting.missing.as_ref());
        let adopted = if let Some(missing) = &adopting.missing {
            let join = &adopting.join.event.event_id;
            transaction.put_partial(join, &missing.let_in_by, &missing.servers);
            Adopted::Partly
        } else {
            transaction.forget_partial();
            Adopted::Whole
        };
        put_join(&mut transaction, &adopting.join, first);
        transaction.commit().await?;
        Ok(adopted)
    }

    async fn join_adopted(&self, room_id: &RoomId, adopting: &Adopting) -> Result<Adopted, Attempt> {
        let pdus = adopting
            .auth_chain
            .iter()
            .chain(&adopting.state)
            .cloned()
            .collect();
        let version = adopting.join.version();
        let head = self.head(room_id).await?.ok_or(WriteError::NoSuchRoom)?;
        self.keep_outliers(room_id, version, head.hot_event("m.room.create"), pdus)
            .await?;
        let accepting = Accepting {
            state_before: Some(state_map(&adopting.state)),
            beside: adopting.beside.clone(),
            ..Accepting::default()
        };
        match self.accept(room_id, adopting.join.clone(), accepting).await? {
            Received::Accepted | Received::AlreadyHere => Ok(Adopted::Whole),
            Received::Rejected(rule) | Received::Dropped(rule) => Err(Refusal::Rules(rule).into()),
            Received::SoftFailed => Err(Refusal::NotInvited.into()),
        }
    }

    /// Where those of the events are that are here already. One that is in another room is a lie: only the ids of the first
    /// two room versions can collide.
    async fn places_of(
        &self,
        room_id: &RoomId,
        adopting: &Adopting,
    ) -> Result<HashMap<OwnedEventId, (Position, Standing)>, WriteError> {
        let state = adopting.auth_chain.iter().chain(&adopting.state);
        let all = state.chain([&adopting.join]);
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

    /// Takes out what the room's state had before and has no more. What our own users are is known here, and is not taken
    /// from them because another server leaves it out.
    fn drop_old_state(
        &self,
        transaction: &mut RoomTransaction,
        state: &HashSet<(String, String)>,
        missing: Option<&MissingMembers>,
    ) {
        let head = transaction.head();
        let members = head
            .members
            .keys()
            .filter(|user| missing.is_none() || !self.is_local(user))
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
}

/// Keeps the events and makes the state the room's. Says which keys it has.
fn put_state(
    transaction: &mut RoomTransaction,
    adopting: &Adopting,
    mut places: HashMap<OwnedEventId, (Position, Standing)>,
    shown: &HashMap<OwnedEventId, String>,
) -> HashSet<(String, String)> {
    let state: HashSet<&OwnedEventId> = adopting.state.iter().map(|pdu| &pdu.event.event_id).collect();
    let mut set = HashSet::new();
    for pdu in adopting.auth_chain.iter().chain(&adopting.state) {
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
