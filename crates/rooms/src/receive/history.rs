//! History that was fetched: events before those that are here.

use std::collections::{HashMap, HashSet};

use gatehouse_events::{Pdu, RoomVersion};
use gatehouse_store::{Batch, Direction, Position, Range, StoreError};
use ruma::{OwnedEventId, RoomId, ServerName};

use super::{
    accept::{fill_gaps, put_gap_row},
    missing::Fetching,
    order::parents_first,
    outliers::allowed_by_auth_events,
};
use crate::{
    Rooms,
    graph::loaded::{LoadedEvents, Placed},
    room_transaction::rows::put_event,
    tables::{BACKWARD, BackwardRow, EVENT_INDEX, EventRow, STATE_COPIES, Standing, TIMELINE},
    write_error::{Attempt, WriteError, attempt},
};

impl Rooms {
    /// Puts history before the event at a position which follows events that are not here. The events must have passed the
    /// first checks; those that its gap does not lead to, or whose auth events do not allow them, are left out. Says how
    /// many were put there. What authorises them should be here: see [`Self::get_auth_of_history`].
    pub(crate) async fn add_history(
        &self,
        room_id: &RoomId,
        before: Position,
        pdus: Vec<Pdu>,
    ) -> Result<usize, WriteError> {
        let allowed = self.allowed_history(room_id, pdus).await?;
        attempt(|| self.try_add_history(room_id, before, &allowed)).await
    }

    /// Gets the events from a server that authorise history which it gave, as far as it gives them.
    pub(crate) async fn get_auth_of_history(
        &self,
        origin: &ServerName,
        room_id: &RoomId,
        version: RoomVersion,
        pdus: &[Pdu],
    ) -> Result<(), WriteError> {
        let fetching = Fetching::new(origin, room_id, version);
        // The newest ask first: their auth chains have most of the others'.
        for pdu in pdus {
            self.get_auth_events(&fetching, pdu).await?;
        }
        Ok(())
    }

    /// Those that their auth events allow, parents first.
    async fn allowed_history(&self, room_id: &RoomId, pdus: Vec<Pdu>) -> Result<Vec<Pdu>, WriteError> {
        let head = self.head(room_id).await?.ok_or(WriteError::NoSuchRoom)?;
        let create = head.hot_event("m.room.create");
        let mut loaded = LoadedEvents::default();
        let mut allowed = Vec::with_capacity(pdus.len());
        for pdu in parents_first(pdus, |event| &event.prev_events) {
            let event = &pdu.event;
            loaded.load(self, &event.auth_events).await?;
            let verdict = allowed_by_auth_events(head.version, event, &loaded, create);
            match verdict {
                Ok(()) => {
                    loaded.insert(std::sync::Arc::new(event.clone()));
                    allowed.push(pdu);
                }
                Err(rule) => {
                    tracing::info!(room = %room_id, event = %event.event_id, step = "auth events", rule,
                        "an event of the history was refused");
                }
            }
        }
        Ok(allowed)
    }

    async fn try_add_history(
        &self,
        room_id: &RoomId,
        before: Position,
        pdus: &[Pdu],
    ) -> Result<usize, Attempt> {
        let key = (room_id.to_owned(), before);
        let Some(gap) = self.store.get(&BACKWARD, &key).await? else {
            return Ok(0);
        };
        let version = self.version_of(room_id).await?.ok_or(WriteError::NoSuchRoom)?;
        let parents = pdus.iter().flat_map(|pdu| &pdu.event.prev_events);
        let ids = pdus.iter().map(|pdu| &pdu.event.event_id).chain(parents);
        let ids: HashSet<OwnedEventId> = ids.cloned().collect();
        let ids: Vec<OwnedEventId> = ids.into_iter().collect();
        let mut here = self.placed(room_id, &ids).await?;
        let lowest = self.lowest_of(room_id, &gap).await?;
        let chosen = choose(pdus, &gap, lowest, &here);
        let put: HashSet<OwnedEventId> = chosen.iter().map(|(_, pdu)| pdu.event.event_id.clone()).collect();
        let mut batch = Batch::new();
        batch.expect(&BACKWARD, &key, Some(&gap));
        for (place, pdu) in &chosen {
            let event = &pdu.event;
            let mut row = EventRow::new(event.event_id.clone(), pdu.json.clone(), Standing::Backfilled);
            let known = here.remove(&event.event_id);
            if let Some(known) = &known {
                row.pdu.clone_from(&known.row.pdu);
                row.redacted_by.clone_from(&known.row.redacted_by);
                let copy = (room_id.to_owned(), known.position);
                batch.put(&STATE_COPIES, &(event.event_id.clone(),), &copy);
            }
            let index = known.map(|known| (room_id.to_owned(), known.position));
            batch.expect(&EVENT_INDEX, &(event.event_id.clone(),), index.as_ref());
            batch.expect(&TIMELINE, &(room_id.to_owned(), *place), None);
            let is_missing = |id: &OwnedEventId| {
                let stands = |placed: &Placed| placed.row.standing != Standing::Outlier;
                !put.contains(id) && !here.get(id).is_some_and(stands)
            };
            let missing: Vec<_> = event
                .prev_events
                .iter()
                .filter(|id| is_missing(id))
                .cloned()
                .collect();
            if !missing.is_empty() {
                row.after_gap = true;
                let row = BackwardRow {
                    missing,
                    first: gap.first,
                    before: *place,
                };
                put_gap_row(&mut batch, room_id, *place, &row);
            }
            let event = self.redacted_before(&mut batch, version, event, &mut row).await?;
            put_event(&mut batch, (room_id, *place), &row, &event);
        }
        if put.is_empty() {
            return Ok(0);
        }
        fill_gaps(self, &mut batch, room_id, &put).await?;
        self.store.commit(batch).await?;
        Ok(put.len())
    }

    /// The lowest place that is taken where the events of a gap go.
    async fn lowest_of(&self, room_id: &RoomId, gap: &BackwardRow) -> Result<Position, StoreError> {
        let key = |position| (room_id.to_owned(), position);
        let range = Range::all().from(&key(gap.first)).before(&key(gap.before));
        let rows = self.store.scan(&TIMELINE, &range, Direction::Forward, 1).await?;
        Ok(rows.first().map_or(gap.before, |((_, position), _)| *position))
    }
}

/// Which events go where: those that the gap leads to, the newest next to what is here, as far as there is room.
fn choose<'a>(
    pdus: &'a [Pdu],
    gap: &BackwardRow,
    lowest: Position,
    here: &HashMap<OwnedEventId, Placed>,
) -> Vec<(Position, &'a Pdu)> {
    let mut wanted: HashSet<&OwnedEventId> = gap.missing.iter().collect();
    let mut place = lowest;
    let mut chosen = Vec::new();
    for pdu in pdus.iter().rev() {
        let event = &pdu.event;
        let known = here.get(&event.event_id);
        if !wanted.contains(&event.event_id)
            || known.is_some_and(|known| known.row.standing != Standing::Outlier)
        {
            continue;
        }
        if place <= gap.first {
            break;
        }
        place = place.previous();
        wanted.extend(event.prev_events.iter());
        chosen.push((place, pdu));
    }
    chosen
}
