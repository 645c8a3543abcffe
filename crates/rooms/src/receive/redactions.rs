//! Redactions of other servers' users: whether they apply, now or when what they redact has come (security.md E22).

use gatehouse_events::{Event, RoomVersion, redact, redact_event};
use gatehouse_store::{Batch, Direction, Range, StoreError};
use ruma::{OwnedEventId, UserId, events::TimelineEventType};

use super::Before;
use crate::{
    PowerLevels, RoomHead, Rooms,
    graph::{
        delta::value,
        loaded::{LoadedEvents, Placed},
    },
    room_transaction::RoomTransaction,
    tables::{EventRow, PENDING_REDACTIONS},
};

/// Redactions of one event that are looked at when it comes.
const MAX_PENDING: usize = 100;

/// What an event redacts.
#[derive(Debug)]
pub(super) enum Redacts {
    /// It is no redaction.
    NotOne,
    /// It is one that applies to nothing.
    Nothing,
    /// This event.
    Target(Placed),
    /// An event that is not here.
    Later { target: OwnedEventId, by_power: bool },
}

/// Whether the sender of a redaction may redact what this user sent without the power for it: the redaction comes from
/// their own server, which answers for them (room version 3, "Handling redactions").
fn is_own(redaction: &UserId, target: &UserId) -> bool {
    redaction.server_name() == target.server_name()
}

impl Rooms {
    pub(super) async fn redacted_by(
        &self,
        head: &RoomHead,
        event: &Event,
        before: &Before,
        loaded: &mut LoadedEvents,
    ) -> Result<Redacts, StoreError> {
        if event.kind != TimelineEventType::RoomRedaction || event.is_state() {
            return Ok(Redacts::NotOne);
        }
        let Some(target) = &event.redacts else {
            return Ok(Redacts::Nothing);
        };
        // Where events choose their ids, one may name itself. It redacts nothing, and waits for nothing (security.md E23).
        if *target == event.event_id {
            return Ok(Redacts::NotOne);
        }
        let by_power = self.may_redact(head, event, before, loaded).await?;
        let ids = std::slice::from_ref(target);
        let Some(placed) = self.placed(&head.room_id, ids).await?.remove(target) else {
            return Ok(Redacts::Later {
                target: target.clone(),
                by_power,
            });
        };
        let row = &placed.row;
        let Ok(redacted) = Event::parse(&row.pdu, &head.room_id, head.version, Some(&row.event_id)) else {
            return Ok(Redacts::Nothing);
        };
        let applies = redacted.kind != TimelineEventType::RoomCreate
            && (by_power || is_own(&event.sender, &redacted.sender));
        Ok(if applies {
            Redacts::Target(placed)
        } else {
            Redacts::Nothing
        })
    }

    /// Whether the sender has the power to redact anybody's events where the redaction stands.
    async fn may_redact(
        &self,
        head: &RoomHead,
        event: &Event,
        before: &Before,
        loaded: &mut LoadedEvents,
    ) -> Result<bool, StoreError> {
        let key = ("m.room.power_levels".to_owned(), String::new());
        let levels = value(head, &before.delta, &key);
        loaded.load(self, &levels).await?;
        let levels = levels.and_then(|id| loaded.get(&id));
        let create = head.hot_event("m.room.create");
        let levels = PowerLevels::of(head.version, create.map(|create| &**create), levels.as_deref());
        Ok(levels.of_user(&event.sender) >= levels.redact)
    }

    /// Carries out what [`Self::redacted_by`] found.
    pub(super) async fn redact_received(
        &self,
        transaction: &mut RoomTransaction,
        event: &Event,
        redacts: Redacts,
    ) -> Result<(), StoreError> {
        match redacts {
            Redacts::NotOne | Redacts::Nothing => {}
            Redacts::Target(placed) => {
                if placed.row.redacted_by.is_none() {
                    self.take_out(transaction, event, (placed.position, placed.row))
                        .await?;
                }
            }
            Redacts::Later { target, by_power } => {
                let room = transaction.head().room_id.clone();
                let key = (room, target, event.event_id.clone());
                let row = (u8::from(by_power),);
                transaction.batch.put(&PENDING_REDACTIONS, &key, &row);
            }
        }
        Ok(())
    }

    /// The event, or what is left of it when a redaction of it came before; then `row` says so. The batch is that of the
    /// commit which puts the event there.
    pub(super) async fn redacted_before(
        &self,
        batch: &mut Batch,
        version: RoomVersion,
        event: &Event,
        row: &mut EventRow,
    ) -> Result<Event, StoreError> {
        let range = Range::prefix(&(event.room_id.clone(), event.event_id.clone()));
        let pending = self
            .store
            .scan(&PENDING_REDACTIONS, &range, Direction::Forward, MAX_PENDING)
            .await?;
        if pending.is_empty() && row.redacted_by.is_none() {
            return Ok(event.clone());
        }
        let ids: Vec<OwnedEventId> = pending.iter().map(|((_, _, id), _)| id.clone()).collect();
        let mut loaded = LoadedEvents::default();
        loaded.load(self, &ids).await?;
        for (key, (by_power,)) in pending {
            let redaction = loaded.get(&key.2);
            let applies = redaction.is_some_and(|redaction| {
                event.kind != TimelineEventType::RoomCreate
                    && (by_power == 1 || is_own(&redaction.sender, &event.sender))
            });
            if applies && row.redacted_by.is_none() {
                row.redacted_by = Some(key.2.clone());
            }
            batch.delete(&PENDING_REDACTIONS, &key);
        }
        if row.redacted_by.is_none() {
            return Ok(event.clone());
        }
        if let Ok(left) = redact(&row.pdu, version) {
            row.pdu = left;
        }
        Ok(redact_event(event, version))
    }
}
