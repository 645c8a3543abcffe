//! Appending to a room: the one place where events are built, authorised and written.

mod commit;
mod confirm;
mod events;
pub(crate) mod ground;
mod received;
pub(crate) mod rows;
mod template;
mod to_send;

use std::{collections::HashMap, sync::Arc};

use gatehouse_events::{
    BuildError, Built, Event, NewEvent, Parents,
    authorise::{Denied, auth_types, authorise, authorise_by_auth_events},
};
use gatehouse_store::{Batch, StoreError};
use ruma::{
    OwnedDeviceId, OwnedEventId, OwnedRoomId, OwnedUserId, RoomId, UserId, events::StateEventType,
    room_version_rules::EventsReferenceFormatVersion,
};
use thiserror::Error;
use tokio::sync::OwnedMutexGuard;

use crate::{
    Rooms,
    head::RoomHead,
    tables::{EventRow, HeadRow, ROOMS, RoomRow, Standing, TRANSACTION_TIMES, TRANSACTIONS},
    turns::{RoomSlot, Tip},
};

/// A room's turn, and what is to be committed with it: any number of events, all or none.
pub(crate) struct RoomTransaction {
    rooms: Rooms,
    slot: Arc<RoomSlot>,
    turn: OwnedMutexGuard<Tip>,
    before: Option<HeadRow>,
    head: RoomHead,
    /// Further rows may be added by whoever decides.
    pub(crate) batch: Batch,
    appended: Vec<Arc<Event>>,
    /// Reference hashes of what was appended, for the room versions that name them.
    hashes: HashMap<OwnedEventId, String>,
    /// Events whose content is replaced by what redaction left of it, once this is committed.
    pub(crate) redacted: Vec<Arc<Event>>,
    /// The client's transaction that this carries out.
    transaction: Option<TransactionKey>,
}

/// What a client's transaction is remembered by: user, device, scope and id.
pub(crate) type TransactionKey = (OwnedUserId, OwnedDeviceId, String);

/// A client's own id for what it sends, so that a repeated request has one effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    /// The device that sends.
    pub device_id: OwnedDeviceId,
    /// The id, as the client gets it back in `unsigned`.
    pub id: String,
    /// The path of the request without the id: within it the id is unique (client-server API, transaction ids).
    pub scope: String,
}

impl Transaction {
    /// The key of the row that remembers it.
    pub(crate) fn key(&self, sender: &UserId) -> TransactionKey {
        (
            sender.to_owned(),
            self.device_id.clone(),
            format!("{} {}", self.scope, self.id),
        )
    }
}

/// How far a create event is dated ahead at most, so that its room is another than those made before.
const MAX_LATER_MS: u64 = 1_000;

/// How many events one of ours follows at most (security.md X19): where the graph has more ends, a few of our events tie
/// them together.
const MAX_CITED: usize = 10;

/// The depth of an event is at most the largest integer of canonical JSON (server-server API; security.md E25).
const MAX_DEPTH: u64 = (1 << 53) - 1;

/// The ends of the graph that the next event follows: the newest, and of the others the oldest.
fn cited(extremities: &[OwnedEventId]) -> Vec<OwnedEventId> {
    let Some((newest, others)) = extremities.split_last() else {
        return Vec::new();
    };
    others
        .iter()
        .take(MAX_CITED - 1)
        .chain([newest])
        .cloned()
        .collect()
}

/// What goes with an event besides its content.
#[derive(Debug, Default)]
pub(crate) struct Beside {
    /// The device that sends it, and its transaction id.
    pub(crate) transaction: Option<Transaction>,
    /// For invites and knocks: what the user is shown of the room, as a JSON array.
    pub(crate) stripped_state: Option<String>,
}

/// Why an event was not appended.
#[derive(Debug, Error)]
pub(crate) enum AppendError {
    /// The authorisation rules do not allow it.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// It cannot be built.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The store could not.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Rooms {
    /// Takes the room's turn. `None`: there is no such room here.
    pub(crate) async fn begin(&self, room_id: &RoomId) -> Result<Option<RoomTransaction>, StoreError> {
        let slot = self.shared.turns.slot(room_id);
        let mut turn = Arc::clone(&slot.tip).lock_owned().await;
        if let Some(tip) = &turn.head
            && self.is_outdated(tip).await?
        {
            turn.forget();
        }
        if turn.head.is_none() {
            let loaded = self.load_head(&slot, room_id).await?;
            turn.head = loaded.map(|shown| shown.head);
        }
        let Some(head) = turn.head.as_deref().cloned() else {
            return Ok(None);
        };
        let before = Some(head.row());
        Ok(Some(RoomTransaction::new(self, slot, turn, before, head)))
    }

    /// Begins a new room with its create event.
    pub(crate) async fn begin_new(
        &self,
        version: gatehouse_events::RoomVersion,
        chosen: Option<&OwnedRoomId>,
        creator: &UserId,
        create: ruma::CanonicalJsonObject,
    ) -> Result<RoomTransaction, AppendError> {
        let (built, slot, turn) = self.free_room(version, chosen, creator, create).await?;
        authorise_by_auth_events(version, &built.event, |_| None)?;
        let room_id = built.event.room_id.clone();
        let head = RoomHead::empty(room_id.clone(), version);
        let mut transaction = RoomTransaction::new(self, slot, turn, None, head);
        let row = RoomRow {
            version: version.name().to_owned(),
        };
        transaction.batch.expect(&ROOMS, &(room_id.clone(),), None);
        transaction.batch.put(&ROOMS, &(room_id,), &row);
        transaction.stage(built, Beside::default());
        Ok(transaction)
    }
}

impl Rooms {
    /// A create event whose room there is not yet, and the room's turn.
    ///
    /// From version 12 on the id is the hash of the event, so two rooms that a user makes alike in one millisecond
    /// would be one; the second is dated a little later.
    async fn free_room(
        &self,
        version: gatehouse_events::RoomVersion,
        chosen: Option<&OwnedRoomId>,
        creator: &UserId,
        create: ruma::CanonicalJsonObject,
    ) -> Result<(Built, Arc<RoomSlot>, OwnedMutexGuard<Tip>), AppendError> {
        let now_ms = self.now_ms();
        for later_ms in 0..MAX_LATER_MS {
            let built = self.builder(version).build_create(
                chosen.cloned(),
                creator,
                create.clone(),
                now_ms + later_ms,
            )?;
            let slot = self.shared.turns.slot(&built.event.room_id);
            let turn = Arc::clone(&slot.tip).lock_owned().await;
            let room = (built.event.room_id.clone(),);
            if turn.head.is_none() && self.store.get(&ROOMS, &room).await?.is_none() {
                return Ok((built, slot, turn));
            }
        }
        let busy = "too many rooms were made alike in this moment; try again".to_owned();
        Err(StoreError::Unavailable(busy).into())
    }
}

impl RoomTransaction {
    fn new(
        rooms: &Rooms,
        slot: Arc<RoomSlot>,
        turn: OwnedMutexGuard<Tip>,
        before: Option<HeadRow>,
        head: RoomHead,
    ) -> Self {
        Self {
            rooms: rooms.clone(),
            slot,
            turn,
            before,
            head,
            batch: Batch::new(),
            appended: Vec::new(),
            hashes: HashMap::new(),
            redacted: Vec::new(),
            transaction: None,
        }
    }

    /// Whether this client's transaction is on its way to the disk already.
    pub(crate) fn is_under_way(&self, sender: &UserId, transaction: Option<&Transaction>) -> bool {
        transaction.is_some_and(|transaction| self.slot.is_under_way(&transaction.key(sender)))
    }

    /// The room as this transaction has made it so far.
    pub(crate) fn head(&self) -> &RoomHead {
        &self.head
    }

    /// Builds an event on top of the room, authorises it and takes it in.
    pub(crate) async fn append(
        &mut self,
        sender: &UserId,
        new: NewEvent,
        beside: Beside,
    ) -> Result<Arc<Event>, AppendError> {
        let version = self.head.version;
        let types = auth_types(version, &new.kind, sender, new.state_key.as_deref(), &new.content)?;
        let auth_state = self.auth_state(types.clone()).await?;
        let auth_events: Vec<_> = types
            .iter()
            .filter_map(|(kind, key)| self.head.state_event_id_of(kind, key).cloned())
            .collect();
        let parents = self.parents(auth_events).await?;
        let built = self.rooms.builder(version).build(
            &self.head.room_id,
            sender,
            new,
            parents,
            self.rooms.now_ms(),
        )?;
        // The rules that look at its auth events alone are what keeps a second create event out.
        authorise_by_auth_events(version, &built.event, |id| {
            auth_state
                .iter()
                .find(|(_, event)| event.event_id == *id)
                .map(|(_, event)| Arc::clone(event))
        })?;
        // The state before the event is the current one, and its auth events are of it, so this is asked once.
        authorise(version, &built.event, |kind, key| {
            auth_state
                .iter()
                .find(|((k, s), _)| k == kind && s == key)
                .map(|(_, event)| Arc::clone(event))
        })?;
        Ok(self.stage(built, beside))
    }

    /// The events that the authorisation rules may ask for.
    async fn auth_state(
        &self,
        mut types: Vec<(StateEventType, String)>,
    ) -> Result<Vec<((StateEventType, String), Arc<Event>)>, StoreError> {
        for kind in [
            StateEventType::RoomCreate,
            StateEventType::RoomPowerLevels,
            StateEventType::RoomJoinRules,
        ] {
            if !types.iter().any(|(known, key)| *known == kind && key.is_empty()) {
                types.push((kind, String::new()));
            }
        }
        let mut state = Vec::with_capacity(types.len());
        let mut cold = Vec::new();
        for (kind, key) in types {
            let hot = key
                .is_empty()
                .then(|| self.head.hot_event(&kind.to_string()))
                .flatten();
            if let Some(event) = hot {
                let event = Arc::clone(event);
                state.push(((kind, key), event));
            } else if let Some(event_id) = self.head.state_event_id_of(&kind, &key) {
                cold.push(((kind, key), event_id.clone()));
            }
        }
        let ids: Vec<_> = cold.iter().map(|(_, id)| id.clone()).collect();
        let loaded = self.load(&ids).await?;
        state.extend(
            cold.into_iter()
                .zip(loaded)
                .filter_map(|((key, _), event)| Some((key, event?))),
        );
        Ok(state)
    }

    async fn parents(&self, auth_events: Vec<OwnedEventId>) -> Result<Parents, AppendError> {
        let prev_events = cited(&self.head.extremities);
        let mut parents = Parents {
            prev_events,
            auth_events,
            depth: (self.head.depth + 1).min(MAX_DEPTH),
            hashes: Vec::new(),
        };
        let format = self.head.version.rules().events_reference_format;
        if matches!(format, EventsReferenceFormatVersion::V1) {
            let mut ids = parents.prev_events.clone();
            ids.extend(parents.auth_events.iter().cloned());
            for id in ids {
                let unsettled = || self.slot.unsettled(&id).map(|event| event.reference_hash);
                let hash = match self.hashes.get(&id).cloned().or_else(unsettled) {
                    Some(hash) => Some(hash),
                    None => self.rooms.reference_hash(&id, self.head.version).await?,
                };
                parents.hashes.extend(hash.map(|hash| (id, hash)));
            }
        }
        Ok(parents)
    }

    /// Adds the rows of an authorised event, and moves the head on.
    fn stage(&mut self, built: Built, beside: Beside) -> Arc<Event> {
        let position = self.batch.next_position();
        let event = Arc::new(built.event);
        self.hashes.insert(event.event_id.clone(), built.reference_hash);
        let mut row = EventRow::new(event.event_id.clone(), built.pdu, Standing::Accepted);
        row.transaction = beside
            .transaction
            .as_ref()
            .map(|transaction| (transaction.device_id.clone(), transaction.id.clone()));
        self.put_event(position, &row, &event);
        self.put_to_send(position, &event);
        if let Some(transaction) = &beside.transaction {
            self.stage_transaction(&event, transaction);
        }
        if let Some(state_key) = &event.state_key {
            let key = (event.kind.to_string(), state_key.clone());
            self.put_change(position, key, Some((&event, position)), beside.stripped_state);
        }
        self.head.advance(&event);
        self.appended.push(Arc::clone(&event));
        event
    }

    fn stage_transaction(&mut self, event: &Event, transaction: &Transaction) {
        let now_ms = self.rooms.now_ms();
        let key = transaction.key(&event.sender);
        self.transaction = Some(key.clone());
        // Two requests with one id at once: the second conflicts, looks again, and finds the first one's event.
        self.batch.expect(&TRANSACTIONS, &key, None);
        self.batch
            .put(&TRANSACTIONS, &key, &(event.event_id.clone(), now_ms));
        self.batch
            .put(&TRANSACTION_TIMES, &(now_ms, key.0, key.1, key.2), &());
    }

    /// Puts what redaction left of a state event where the head keeps the event.
    pub(crate) fn replace_hot(&mut self, event: &Arc<Event>) {
        for kept in self
            .head
            .hot
            .values_mut()
            .filter(|kept| kept.event_id == event.event_id)
        {
            *kept = Arc::clone(event);
        }
        self.head.refresh_power_levels();
        self.redacted.push(Arc::clone(event));
    }
}
