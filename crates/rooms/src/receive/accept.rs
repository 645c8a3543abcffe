//! Putting an event of another server into the graph.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use gatehouse_events::{Event, Pdu};
use gatehouse_store::{Batch, Direction, Position, Range, StoreError};
use ruma::{OwnedEventId, RoomId, events::TimelineEventType};

use super::{Accepting, Before, Received, judge::Verdict, redactions::Redacts};
use crate::{
    Rooms,
    end_state_cache::EndState,
    graph::{
        delta::Delta,
        loaded::{LoadedEvents, Placed},
        resolution_error::ResolutionError,
    },
    room_transaction::RoomTransaction,
    tables::{
        BACKWARD, BackwardRow, EVENT_INDEX, EventRow, MISSING, STATE_BEFORE, Standing, StateBeforeRow,
        TIMELINE,
    },
    write_error::{Attempt, WriteError, attempt},
};

/// How many ends a room's graph has at most (security.md X19): each has a state of its own. Our own events and those of
/// other servers tie ends together; who makes more of them is not followed.
const MAX_ENDS: usize = 50;
/// Positions that are kept free for the events of a gap.
const FREE_AT_GAP: u32 = 1 << 20;
/// Events after one that was missing which are told that it has come. More than there are ends follow none.
const MAX_FOLLOWERS: usize = 1_000;

/// An event on its way into the room.
struct Judged<'a> {
    pdu: &'a Pdu,
    accepting: &'a Accepting,
    /// Where it is already, kept for its state.
    kept: Option<Placed>,
    loaded: LoadedEvents,
}

impl Rooms {
    /// Takes in an event that passed the first checks and whose parents are here, or whose state before is given.
    pub(crate) async fn accept(
        &self,
        room_id: &RoomId,
        pdu: Pdu,
        accepting: Accepting,
    ) -> Result<Received, WriteError> {
        attempt(|| self.try_accept(room_id, &pdu, &accepting)).await
    }

    async fn try_accept(
        &self,
        room_id: &RoomId,
        pdu: &Pdu,
        accepting: &Accepting,
    ) -> Result<Received, Attempt> {
        let event = &pdu.event;
        let transaction = self.begin_existing(room_id).await?.settle().await?;
        let place = self.store.get(&EVENT_INDEX, &(event.event_id.clone(),)).await?;
        if place.is_some_and(|(room, _)| room != room_id) {
            return Ok(Received::Dropped(
                "another room has an event with its id".to_owned(),
            ));
        }
        let ids = std::slice::from_ref(&event.event_id);
        let kept = self.placed(room_id, ids).await?.remove(&event.event_id);
        match kept.as_ref().map(|kept| kept.row.standing) {
            // There is one, and whoever joined late has it for its state.
            Some(Standing::Outlier) if event.kind == TimelineEventType::RoomCreate => {
                return Ok(Received::AlreadyHere);
            }
            None | Some(Standing::Outlier) => {}
            Some(Standing::Rejected) => return Ok(Received::Rejected("it was rejected before".to_owned())),
            Some(Standing::SoftFailed) => return Ok(Received::SoftFailed),
            Some(_) => return Ok(Received::AlreadyHere),
        }
        let mut judged = Judged {
            pdu,
            accepting,
            kept,
            loaded: LoadedEvents::default(),
        };
        let server = event.sender.server_name();
        let verdict = if self.server_is_allowed(transaction.head(), server).await? {
            self.judge(transaction.head(), event, accepting, &mut judged.loaded)
                .await
                .map_err(WriteError::from)?
        } else {
            return Ok(Received::Dropped(
                "the room's server ACL denies the sender's server".to_owned(),
            ));
        };
        self.carry_out(transaction, judged, verdict).await
    }

    async fn carry_out(
        &self,
        transaction: RoomTransaction,
        mut judged: Judged<'_>,
        verdict: Verdict,
    ) -> Result<Received, Attempt> {
        let event = &judged.pdu.event;
        let (before, standing, received) = match verdict {
            Verdict::Lacking(reason) => return Ok(Received::Dropped(reason.to_owned())),
            // It was allowed when it came for its state, and that others build on it does not change.
            Verdict::Rejected(..) if judged.kept.is_some() => return Ok(Received::AlreadyHere),
            Verdict::Rejected(before, step, rule) => {
                note(judged.accepting, event, (step, &rule));
                (before, Standing::Rejected, Received::Rejected(rule))
            }
            Verdict::SoftFailed(before, rule) => {
                note(judged.accepting, event, ("current state", &rule));
                (Some(before), Standing::SoftFailed, Received::SoftFailed)
            }
            Verdict::Accepted(before) => {
                let ends = self.ends_with(transaction.head(), event).await?;
                if ends.len() <= MAX_ENDS {
                    return self.put_accepted(transaction, &mut judged, before, ends).await;
                }
                note(judged.accepting, event, ("graph", "the graph has too many ends"));
                (Some(before), Standing::SoftFailed, Received::SoftFailed)
            }
        };
        self.put_aside(transaction, &judged, before, standing).await?;
        Ok(received)
    }

    /// Keeps an event that does nothing to the room.
    async fn put_aside(
        &self,
        mut transaction: RoomTransaction,
        judged: &Judged<'_>,
        before: Option<Before>,
        standing: Standing,
    ) -> Result<(), Attempt> {
        let pdu = judged.pdu;
        let position = transaction.batch.next_position();
        let mut row = EventRow::new(pdu.event.event_id.clone(), pdu.json.clone(), standing);
        row.off_line = true;
        let event = Arc::new(pdu.event.clone());
        transaction.put_received(position, &row, &event, pdu.reference_hash.clone());
        if let Some(kept) = &judged.kept {
            transaction.put_copy(&event.event_id, kept.position);
        }
        if let Some(mut before) = before {
            before.row.get_or_insert_with(|| StateBeforeRow::own(Vec::new()));
            put_state_before(&mut transaction, position, Some(before));
            // What it follows is here, so that the graph goes on through it.
            let come = HashSet::from([event.event_id.clone()]);
            fill_gaps(self, &mut transaction.batch, &event.room_id, &come).await?;
        }
        Ok(transaction.commit().await?)
    }

    async fn put_accepted(
        &self,
        mut transaction: RoomTransaction,
        judged: &mut Judged<'_>,
        mut before: Before,
        ends: Vec<OwnedEventId>,
    ) -> Result<Received, Attempt> {
        let pdu = judged.pdu;
        let is_end = ends.contains(&pdu.event.event_id);
        if !is_end {
            // The line does not go through it.
            before.row.get_or_insert_with(|| StateBeforeRow::own(Vec::new()));
        }
        transaction.batch.append(judged.accepting.beside.clone());
        self.learn_members(&mut transaction, &mut before).await?;
        let redacts = self
            .redacted_by(transaction.head(), &pdu.event, &before, &mut judged.loaded)
            .await?;
        let mut row = EventRow::new(pdu.event.event_id.clone(), pdu.json.clone(), Standing::Accepted);
        if matches!(redacts, Redacts::Nothing | Redacts::Later { .. }) {
            row.standing = Standing::Withheld;
        }
        row.off_line = before.row.is_some();
        row.redacted_by = judged.kept.as_ref().and_then(|kept| kept.row.redacted_by.clone());
        let version = transaction.head().version;
        let event = self
            .redacted_before(&mut transaction.batch, version, &pdu.event, &mut row)
            .await?;
        let event = Arc::new(event);
        let missing = match before.row {
            Some(_) => self.missing_parents(transaction.head(), &event).await?,
            None => Vec::new(),
        };
        let free = (!missing.is_empty()).then(|| transaction.batch.reserve_positions(FREE_AT_GAP));
        let position = transaction.batch.next_position();
        if let Some(first) = free {
            row.after_gap = true;
            put_gap(&mut transaction, (first, position), missing);
        }
        judged.loaded.insert(Arc::clone(&event));
        let of = (&*event, &before);
        let resolved = self.changes_with(transaction.head(), of, &ends, &mut judged.loaded);
        let (changes, state_after) = resolved.await.map_err(WriteError::from)?;
        put_state_before(&mut transaction, position, Some(before));
        transaction.put_received(position, &row, &event, pdu.reference_hash.clone());
        if judged.accepting.hand_on {
            transaction.put_to_send(position, &event);
        }
        if let Some(kept) = &judged.kept {
            transaction.put_copy(&event.event_id, kept.position);
        }
        self.put_changes(&mut transaction, judged, (&event, position), changes)
            .await?;
        transaction.set_ends(ends, event.depth);
        if !is_end {
            let come = HashSet::from([event.event_id.clone()]);
            fill_gaps(self, &mut transaction.batch, &event.room_id, &come).await?;
        }
        self.redact_received(&mut transaction, &event, redacts).await?;
        let fills = transaction.head().fills;
        transaction.commit().await?;
        // Only now: had somebody else written meanwhile, it would be no word of theirs.
        if let Some(state) = state_after {
            let end_states = &self.shared.end_states;
            end_states.keep(&event.room_id, &event.event_id, fills, Arc::new(state));
        }
        Ok(Received::Accepted)
    }

    /// What an event changes of the room's state; and what the state is just after it, if it is off the line and an end.
    async fn changes_with(
        &self,
        head: &crate::RoomHead,
        (event, before): (&Event, &Before),
        ends: &[OwnedEventId],
        loaded: &mut LoadedEvents,
    ) -> Result<(Delta, Option<EndState>), ResolutionError> {
        if before.row.is_none() {
            return Ok((own_change(event), None));
        }
        if !ends.contains(&event.event_id) {
            return Ok((Delta::new(), None));
        }
        let (changes, own) = self.state_of_ends(head, ends, (event, before), loaded).await?;
        Ok((changes, Some(own)))
    }

    /// Writes what changes of the room's state. What the event sets itself holds since its own position.
    async fn put_changes(
        &self,
        transaction: &mut RoomTransaction,
        judged: &mut Judged<'_>,
        (event, position): (&Arc<Event>, Position),
        changes: Delta,
    ) -> Result<(), StoreError> {
        let ids: Vec<OwnedEventId> = changes.values().flatten().cloned().collect();
        judged.loaded.load(self, &ids).await?;
        let placed = self.placed(&transaction.head().room_id, &ids).await?;
        let stripped = match &judged.accepting.stripped_state {
            Some(stripped) => Some(stripped.clone()),
            None => self.shown_with(transaction, event).await?,
        };
        let mut others: Vec<_> = changes.into_iter().collect();
        // In one order, whatever the order of the map.
        others.sort();
        for (key, id) in others {
            let Some(id) = id else {
                let since = transaction.batch.next_position();
                transaction.put_change(since, key, None, None);
                continue;
            };
            if id == event.event_id {
                transaction.put_change(position, key, Some((event, position)), stripped.clone());
            } else if let (Some(chosen), Some(placed)) = (judged.loaded.get(&id), placed.get(&id)) {
                let since = transaction.batch.next_position();
                transaction.put_change(since, key, Some((&chosen, placed.position)), None);
            }
        }
        Ok(())
    }

    async fn missing_parents(
        &self,
        head: &crate::RoomHead,
        event: &Event,
    ) -> Result<Vec<OwnedEventId>, StoreError> {
        let placed: HashMap<OwnedEventId, Placed> = self.placed(&head.room_id, &event.prev_events).await?;
        let is_here = |id: &OwnedEventId| {
            placed
                .get(id)
                .is_some_and(|placed| placed.row.standing != Standing::Outlier)
        };
        let mut missing: Vec<_> = event
            .prev_events
            .iter()
            .filter(|id| !is_here(id))
            .cloned()
            .collect();
        missing.dedup();
        Ok(missing)
    }
}

/// Takes events out of what is missing: those that follow them follow nothing that is not here any more, unless they
/// follow others, too.
pub(super) async fn fill_gaps(
    rooms: &Rooms,
    batch: &mut Batch,
    room_id: &RoomId,
    come: &HashSet<OwnedEventId>,
) -> Result<(), StoreError> {
    let mut places = BTreeSet::new();
    for id in come {
        let range = Range::prefix(&(room_id.to_owned(), id.clone()));
        let forward = Direction::Forward;
        let followers = rooms.store.scan(&MISSING, &range, forward, MAX_FOLLOWERS).await?;
        for (key, ()) in followers {
            places.insert(key.2);
            batch.delete(&MISSING, &key);
        }
    }
    for place in places {
        let key = (room_id.to_owned(), place);
        let Some(gap) = rooms.store.get(&BACKWARD, &key).await? else {
            continue;
        };
        let mut left = gap.clone();
        left.missing.retain(|id| !come.contains(id));
        batch.expect(&BACKWARD, &key, Some(&gap));
        if !left.missing.is_empty() {
            batch.put(&BACKWARD, &key, &left);
            continue;
        }
        batch.delete(&BACKWARD, &key);
        if let Some(row) = rooms.store.get(&TIMELINE, &key).await? {
            let mut filled = row.clone();
            filled.after_gap = false;
            batch.expect(&TIMELINE, &key, Some(&row));
            batch.put(&TIMELINE, &key, &filled);
        }
    }
    Ok(())
}

/// Writes down that the event at the second position follows events that are not here, for which there is room from the
/// first on.
pub(super) fn put_gap(
    transaction: &mut RoomTransaction,
    (first, position): (Position, Position),
    missing: Vec<OwnedEventId>,
) {
    let room = transaction.head().room_id.clone();
    let row = BackwardRow {
        missing,
        first,
        before: position,
    };
    put_gap_row(&mut transaction.batch, &room, position, &row);
}

pub(super) fn put_gap_row(batch: &mut Batch, room_id: &RoomId, position: Position, row: &BackwardRow) {
    for id in &row.missing {
        batch.put(&MISSING, &(room_id.to_owned(), id.clone(), position), &());
    }
    batch.put(&BACKWARD, &(room_id.to_owned(), position), row);
}

fn put_state_before(transaction: &mut RoomTransaction, position: Position, before: Option<Before>) {
    if let Some(row) = before.and_then(|before| before.row) {
        let key = (transaction.head().room_id.clone(), position);
        transaction.batch.put(&STATE_BEFORE, &key, &row);
    }
}

/// What an event on the line changes: what it sets itself.
fn own_change(event: &Event) -> Delta {
    let mut changes = Delta::new();
    if let Some(state_key) = &event.state_key {
        let key = (event.kind.to_string(), state_key.clone());
        changes.insert(key, Some(event.event_id.clone()));
    }
    changes
}

fn note(accepting: &Accepting, event: &Event, (step, rule): (&str, &str)) {
    let origin = accepting.origin.as_ref().map(|origin| origin.as_str());
    tracing::info!(origin, room = %event.room_id, event = %event.event_id, step, rule, "an event was refused");
}
