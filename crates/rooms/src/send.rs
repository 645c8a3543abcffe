//! Sending events and setting state.

use gatehouse_events::NewEvent;
use ruma::{
    CanonicalJsonObject, OwnedEventId, RoomId, UserId,
    events::{TimelineEventType, room::member::MembershipState},
};

use crate::{
    RoomHead, Rooms,
    power_levels_check::check_power_levels,
    room_transaction::{Beside, RoomTransaction, Transaction},
    tables::{TRANSACTION_TIMES, TRANSACTIONS},
    write_error::{Attempt, Refusal, WriteError, attempt},
};

/// How long a transaction id is remembered, in milliseconds (limits, "client txn ids").
pub const TRANSACTION_LIFE_MS: u64 = 24 * 60 * 60 * 1_000;
/// Old transactions forgotten in one commit.
const FORGET_BATCH: usize = 1_000;

/// A message to send.
#[derive(Debug, Clone)]
pub struct Message {
    /// Its type.
    pub kind: String,
    /// Its content.
    pub content: CanonicalJsonObject,
    /// So that a repeated request sends it once.
    pub transaction: Option<Transaction>,
}

/// State to set.
#[derive(Debug, Clone)]
pub struct StateUpdate {
    /// Its type.
    pub kind: String,
    /// Its key.
    pub state_key: String,
    /// Its content.
    pub content: CanonicalJsonObject,
    /// Whether a guest sets it.
    pub is_guest: bool,
}

impl Rooms {
    /// Sends a message. The same transaction gives the same event, whatever came between.
    pub async fn send(
        &self,
        sender: &UserId,
        room_id: &RoomId,
        message: &Message,
    ) -> Result<OwnedEventId, WriteError> {
        if message.kind == "m.room.redaction" {
            return self.send_redaction(sender, room_id, message).await;
        }
        attempt(|| self.try_send(sender, room_id, message)).await
    }

    async fn try_send(
        &self,
        sender: &UserId,
        room_id: &RoomId,
        message: &Message,
    ) -> Result<OwnedEventId, Attempt> {
        if let Some(event_id) = self.sent_before(sender, message.transaction.as_ref()).await? {
            return Ok(event_id);
        }
        let mut transaction = self.begin_existing(room_id).await?;
        if transaction.is_under_way(sender, message.transaction.as_ref()) {
            // The next attempt finds what it led to.
            transaction.confirm().await?;
            return Err(Attempt::Conflict);
        }
        let head = transaction.head();
        may_send(
            head,
            sender,
            head.power_levels().to_send(&message.kind),
            "send this",
        )?;
        let new = NewEvent {
            kind: TimelineEventType::from(message.kind.as_str()),
            state_key: None,
            content: message.content.clone(),
            redacts: None,
        };
        let beside = Beside {
            transaction: message.transaction.clone(),
            ..Beside::default()
        };
        let event = transaction
            .append(sender, new, beside)
            .await
            .map_err(WriteError::from)?;
        transaction.commit().await?;
        Ok(event.event_id.clone())
    }

    /// What this transaction led to, if it was carried out.
    pub(crate) async fn sent_before(
        &self,
        sender: &UserId,
        transaction: Option<&Transaction>,
    ) -> Result<Option<OwnedEventId>, WriteError> {
        let Some(transaction) = transaction else {
            return Ok(None);
        };
        let row = self.store.get(&TRANSACTIONS, &transaction.key(sender)).await?;
        Ok(row.map(|(event_id, _)| event_id))
    }

    /// Sets state. Nothing happens when it is so already; memberships go by the rules of their action.
    pub async fn set_state(
        &self,
        sender: &UserId,
        room_id: &RoomId,
        update: &StateUpdate,
    ) -> Result<OwnedEventId, WriteError> {
        if update.kind == "m.room.member" {
            let content = update.content.clone();
            return self
                .set_member_state(sender, room_id, &update.state_key, content, update.is_guest)
                .await;
        }
        if update.kind == "m.room.redaction" {
            return Err(WriteError::BadContent(
                "A redaction is no state. Use the path for redactions.".to_owned(),
            ));
        }
        let event_id = attempt(|| self.try_set_state(sender, room_id, update)).await?;
        if update.kind == "m.room.guest_access" && update.state_key.is_empty() {
            self.send_guests_away(room_id).await?;
        }
        Ok(event_id)
    }

    async fn try_set_state(
        &self,
        sender: &UserId,
        room_id: &RoomId,
        update: &StateUpdate,
    ) -> Result<OwnedEventId, Attempt> {
        let mut transaction = self.begin_existing(room_id).await?;
        let head = transaction.head();
        may_send(
            head,
            sender,
            head.power_levels().to_set_state(&update.kind),
            "change this",
        )?;
        if update.kind == "m.room.power_levels" {
            check_power_levels(head, &update.content)?;
        }
        let current = transaction.state_event(&update.kind, &update.state_key).await?;
        if let Some(current) = current
            && current.content_as::<CanonicalJsonObject>().as_ref() == Some(&update.content)
        {
            transaction.confirm().await?;
            return Ok(current.event_id.clone());
        }
        let event = append_state(&mut transaction, sender, update).await?;
        transaction.commit().await?;
        Ok(event)
    }

    /// Forgets transactions older than [`TRANSACTION_LIFE_MS`], some at a time. Says whether there may be more.
    pub async fn forget_old_transactions(&self) -> Result<bool, WriteError> {
        use gatehouse_store::{Batch, CommitError, Direction, Range};
        let before = self.now_ms().saturating_sub(TRANSACTION_LIFE_MS);
        let range = Range::all().before(&(before,));
        let old = self
            .store
            .scan(&TRANSACTION_TIMES, &range, Direction::Forward, FORGET_BATCH)
            .await?;
        let more = old.len() == FORGET_BATCH;
        let mut batch = Batch::new();
        for (key, ()) in old {
            batch.delete(&TRANSACTION_TIMES, &key);
            batch.delete(&TRANSACTIONS, &(key.1, key.2, key.3));
        }
        match self.store.commit(batch).await {
            Ok(_) | Err(CommitError::Conflict { .. }) => Ok(more),
            Err(CommitError::Store(error)) => Err(error.into()),
        }
    }
}

/// Appends state that nobody has refused yet.
pub(crate) async fn append_state(
    transaction: &mut RoomTransaction,
    sender: &UserId,
    update: &StateUpdate,
) -> Result<OwnedEventId, WriteError> {
    let new = NewEvent {
        kind: TimelineEventType::from(update.kind.as_str()),
        state_key: Some(update.state_key.clone()),
        content: update.content.clone(),
        redacts: None,
    };
    Ok(transaction
        .append(sender, new, Beside::default())
        .await?
        .event_id
        .clone())
}

/// Why the sender may not send something that needs this level.
pub(crate) fn may_send(
    head: &RoomHead,
    sender: &UserId,
    needed: i64,
    to: &'static str,
) -> Result<(), Refusal> {
    match head.membership(sender) {
        MembershipState::Join => {}
        MembershipState::Ban => return Err(Refusal::Banned),
        _ => return Err(Refusal::NotInRoom),
    }
    let has = head.power_levels().of_user(sender);
    if has < needed {
        Err(Refusal::PowerTooLow { to, needed, has })
    } else {
        Ok(())
    }
}
