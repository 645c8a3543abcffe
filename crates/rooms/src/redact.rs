//! Redacting an event: what it said is taken out of everything that is kept.

use std::sync::Arc;

use gatehouse_events::{Event, NewEvent, redact};
use gatehouse_store::{Position, StoreError};
use ruma::{
    CanonicalJsonObject, CanonicalJsonValue, EventId, OwnedEventId, RoomId, UserId, events::TimelineEventType,
};

use crate::{
    Rooms,
    relations::index::unindex_relation,
    room_transaction::{Beside, RoomTransaction, Transaction},
    send::{Message, may_send},
    tables::{EVENT_INDEX, EventRow, STATE_COPIES, Standing, TIMELINE},
    write_error::{Attempt, Refusal, WriteError, attempt},
};

/// What is asked.
#[derive(Debug, Clone)]
pub struct Redaction {
    /// The event to redact.
    pub event_id: OwnedEventId,
    /// Reason and whatever else the client says.
    pub content: CanonicalJsonObject,
    /// So that a repeated request redacts once.
    pub transaction: Option<Transaction>,
}

impl Redaction {
    /// With a reason only.
    pub fn because(event_id: OwnedEventId, reason: Option<String>, transaction: Option<Transaction>) -> Self {
        let content = reason.map(|reason| ("reason".to_owned(), CanonicalJsonValue::String(reason)));
        Self {
            event_id,
            content: content.into_iter().collect(),
            transaction,
        }
    }
}

impl Rooms {
    /// Redacts an event of the room: one's own, or with the power to redact anybody's.
    pub async fn redact(
        &self,
        sender: &UserId,
        room_id: &RoomId,
        redaction: &Redaction,
    ) -> Result<OwnedEventId, WriteError> {
        attempt(|| self.try_redact(sender, room_id, redaction)).await
    }

    /// A redaction sent as an event: what it redacts is in the content.
    pub(crate) async fn send_redaction(
        &self,
        sender: &UserId,
        room_id: &RoomId,
        message: &Message,
    ) -> Result<OwnedEventId, WriteError> {
        let mut content = message.content.clone();
        let event_id = match content.remove("redacts") {
            Some(CanonicalJsonValue::String(id)) => EventId::parse(id).ok(),
            _ => None,
        };
        let event_id = event_id.ok_or_else(|| {
            WriteError::BadContent("A redaction says in `redacts` which event it redacts.".to_owned())
        })?;
        let redaction = Redaction {
            event_id,
            content,
            transaction: message.transaction.clone(),
        };
        self.redact(sender, room_id, &redaction).await
    }

    async fn try_redact(
        &self,
        sender: &UserId,
        room_id: &RoomId,
        redaction: &Redaction,
    ) -> Result<OwnedEventId, Attempt> {
        if let Some(event_id) = self.sent_before(sender, redaction.transaction.as_ref()).await? {
            return Ok(event_id);
        }
        let mut transaction = self.begin_existing(room_id).await?;
        if transaction.is_under_way(sender, redaction.transaction.as_ref()) {
            // The next attempt finds what it led to.
            transaction.confirm().await?;
            return Err(Attempt::Conflict);
        }
        let head = transaction.head();
        may_send(
            head,
            sender,
            head.power_levels().to_send("m.room.redaction"),
            "redact",
        )?;
        let (position, row) = self
            .target(room_id, &redaction.event_id)
            .await?
            .ok_or(WriteError::NoSuchEvent)?;
        let target = parse(&row, room_id, &transaction).ok_or(WriteError::NoSuchEvent)?;
        if target.kind == TimelineEventType::RoomCreate {
            return Err(Refusal::CreateEventStays.into());
        }
        if target.sender != sender {
            may_send(
                transaction.head(),
                sender,
                transaction.head().power_levels().redact,
                "redact what others sent",
            )?;
        }
        let new = NewEvent {
            kind: TimelineEventType::RoomRedaction,
            state_key: None,
            content: redaction.content.clone(),
            redacts: Some(redaction.event_id.clone()),
        };
        let beside = Beside {
            transaction: redaction.transaction.clone(),
            ..Beside::default()
        };
        let event = transaction
            .append(sender, new, beside)
            .await
            .map_err(WriteError::from)?;
        if row.redacted_by.is_none() {
            self.take_out(&mut transaction, &event, (position, row)).await?;
        }
        transaction.commit().await?;
        Ok(event.event_id.clone())
    }

    /// An event of this room; one of another room does not exist.
    async fn target(
        &self,
        room_id: &RoomId,
        event_id: &EventId,
    ) -> Result<Option<(Position, EventRow)>, StoreError> {
        let place = self.store.get(&EVENT_INDEX, &(event_id.to_owned(),)).await?;
        let Some((room, position)) = place.filter(|(room, _)| room == room_id) else {
            return Ok(None);
        };
        Ok(self
            .store
            .get(&TIMELINE, &(room, position))
            .await?
            .map(|row| (position, row)))
    }
}

fn parse(row: &EventRow, room_id: &RoomId, transaction: &RoomTransaction) -> Option<Event> {
    Event::parse(&row.pdu, room_id, transaction.head().version, Some(&row.event_id)).ok()
}

impl Rooms {
    /// Takes out what an event said, wherever it is kept, in the commit of the redaction.
    pub(crate) async fn take_out(
        &self,
        transaction: &mut RoomTransaction,
        redaction: &Event,
        (position, row): (Position, EventRow),
    ) -> Result<(), StoreError> {
        let copy = self.store.get(&STATE_COPIES, &(row.event_id.clone(),)).await?;
        take_out_row(transaction, redaction, (position, row));
        if let Some((room, position)) = copy
            && room == transaction.head().room_id
            && let Some(row) = self.store.get(&TIMELINE, &(room, position)).await?
        {
            take_out_row(transaction, redaction, (position, row));
        }
        Ok(())
    }
}

/// Replaces the row by what the room version keeps.
fn take_out_row(
    transaction: &mut RoomTransaction,
    redaction: &Event,
    (position, mut row): (Position, EventRow),
) {
    let room_id = transaction.head().room_id.clone();
    let Some(target) = parse(&row, &room_id, transaction) else {
        return;
    };
    // A stored PDU parses; one that does not is left as it is rather than lost.
    let Ok(left) = redact(&row.pdu, transaction.head().version) else {
        return;
    };
    let before = row.clone();
    row.pdu = left;
    row.redacted_by = Some(redaction.event_id.clone());
    let key = (room_id.clone(), position);
    transaction.batch.expect(&TIMELINE, &key, Some(&before));
    transaction.batch.put(&TIMELINE, &key, &row);
    unindex_relation(&mut transaction.batch, position, &target);
    if let Some(mut left) = parse(&row, &room_id, transaction) {
        left.rejected = row.standing == Standing::Rejected;
        transaction.replace_hot(&Arc::new(left));
    }
}
