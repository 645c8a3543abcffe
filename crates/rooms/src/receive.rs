//! Events of other servers, from the wire into the room (server-server API, "Checks performed on receipt of a PDU").
//!
//! [`check`] looks at an event alone: its form, signatures and hash. [`missing`] gets what it builds on. [`accept`] asks the
//! rules, by its auth events, by the state before it and by the room's state now, and puts it into the graph. [`adopt`]
//! takes in a whole room, [`backfill`] and [`history`] what was before it, and [`outliers`] what is kept only for others.

pub(crate) mod accept;
pub(crate) mod adopt;
mod backfill;
pub(crate) mod check;
mod history;
pub(crate) mod judge;
mod learning;
mod missing;
mod missing_auth;
mod missing_state;
mod order;
pub(crate) mod outliers;
mod place;
mod redactions;

use std::{collections::HashMap, sync::Arc};

use gatehouse_events::{Event, Pdu, RoomVersion};
use gatehouse_store::{Batch, Position, StoreError};
use ruma::{OwnedEventId, OwnedServerName, RoomId, ServerName, events::TimelineEventType};
use serde_json::value::RawValue;

use self::missing::Fetching;
use crate::{Rooms, WriteError, graph::delta::Delta, tables::Standing};

/// What came of one event of another server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Received {
    /// It is part of the room.
    Accepted,
    /// It was before.
    AlreadyHere,
    /// Allowed where it stands in the graph, but not by the room as it is now: nobody is shown it.
    SoftFailed,
    /// The room's rules do not allow it, for good. Names the rule.
    Rejected(String),
    /// Nothing of it was kept. Says why.
    Dropped(String),
}

/// What goes with an event that is taken in.
#[derive(Debug, Clone, Default)]
pub(crate) struct Accepting {
    /// The state before the event, as another server gives it, where this server does not know it.
    pub(crate) state_before: Option<HashMap<(String, String), OwnedEventId>>,
    /// The event came about while we joined a room whose members are missing: what it follows and is not here has the state
    /// just after this position, the one that we joined.
    pub(crate) ground: Option<Position>,
    /// For invites of our users: what they are shown of the room, as a JSON array.
    pub(crate) stripped_state: Option<String>,
    /// Who sent it.
    pub(crate) origin: Option<OwnedServerName>,
    /// It was handed to us for all the servers in the room, which hear of it from us.
    pub(crate) hand_on: bool,
    /// To be committed with it.
    pub(crate) beside: Batch,
}

impl From<&ServerName> for Accepting {
    fn from(origin: &ServerName) -> Self {
        Self {
            origin: Some(origin.to_owned()),
            ..Self::default()
        }
    }
}

/// The state before an event: how it differs from the room's state now, and what of it is to be written down.
#[derive(Debug, Clone, Default)]
pub(crate) struct Before {
    pub(crate) delta: Delta,
    /// `None`: the event stands on the line.
    pub(crate) row: Option<crate::tables::StateBeforeRow>,
    /// Members that were not known, and are what the event's own auth events say.
    pub(crate) learned: Vec<Arc<Event>>,
}

impl Rooms {
    /// Events of a room that another server sent, in its order. One such request at a time for each room; others are not
    /// held up. What is missing of the graph is asked from that server, with bounds (limits.md, "missing ancestors").
    pub async fn receive(
        &self,
        origin: &ServerName,
        room_id: &RoomId,
        pdus: &[Box<RawValue>],
    ) -> Result<Vec<(Option<OwnedEventId>, Received)>, StoreError> {
        let slot = self.shared.turns.slot(room_id);
        let _one_at_a_time = slot.receiving.lock().await;
        let head = self.head(room_id).await?;
        let Some(head) = head.filter(|head| head.has_server(self.server_name())) else {
            return Ok(self.receive_outside(origin, room_id, pdus).await);
        };
        if !self.server_is_allowed(&head, origin).await? {
            let reason = "the room's server ACL denies the sending server";
            return Ok(all_dropped(pdus, room_id, head.version, reason));
        }
        let version = head.version;
        let mut outcomes = Vec::with_capacity(pdus.len());
        let mut fetching = Fetching::new(origin, room_id, version);
        for checked in self.check_pdus(version, room_id, pdus).await {
            outcomes.push(match checked {
                Ok(pdu) => {
                    let event_id = pdu.event.event_id.clone();
                    (Some(event_id), self.receive_one(&mut fetching, pdu).await?)
                }
                Err(refusal) => {
                    tracing::info!(room = %room_id, event = ?refusal.event_id, step = "signatures",
                        rule = %refusal, "an event was dropped");
                    (refusal.event_id.clone(), Received::Dropped(refusal.to_string()))
                }
            });
        }
        Ok(outcomes)
    }

    async fn receive_one(&self, fetching: &mut Fetching, pdu: Pdu) -> Result<Received, StoreError> {
        let event_id = pdu.event.event_id.clone();
        let known = self
            .placed(&fetching.room_id, std::slice::from_ref(&event_id))
            .await?;
        match known.get(&event_id).map(|placed| placed.row.standing) {
            None | Some(Standing::Outlier) => {}
            Some(Standing::Rejected) => return Ok(Received::Rejected("it was rejected before".to_owned())),
            Some(_) => return Ok(Received::AlreadyHere),
        }
        let changes_guests = pdu.event.kind == TimelineEventType::RoomGuestAccess;
        let received = match self.take_in_with_ancestors(fetching, pdu).await {
            Ok(received) => received,
            Err(WriteError::Store(error)) => return Err(error),
            Err(error) => Received::Dropped(error.to_string()),
        };
        if changes_guests && received == Received::Accepted {
            self.send_away_after(&fetching.room_id).await;
        }
        if let Received::Dropped(rule) = &received {
            tracing::info!(room = %fetching.room_id, event = %event_id, step = "ancestors", rule, "an event was dropped");
        }
        Ok(received)
    }
}

impl Rooms {
    /// Our guests leave where they are not welcome any more, whoever says so.
    async fn send_away_after(&self, room_id: &RoomId) {
        if let Err(error) = self.send_guests_away(room_id).await {
            tracing::warn!(room = %room_id, %error, "guests are still in a room that does not let them in");
        }
    }
}

fn all_dropped(
    pdus: &[Box<RawValue>],
    room_id: &RoomId,
    version: RoomVersion,
    reason: &str,
) -> Vec<(Option<OwnedEventId>, Received)> {
    let id = |raw: &RawValue| Some(Pdu::parse(raw.get(), room_id, version).ok()?.event.event_id);
    pdus.iter()
        .map(|raw| (id(raw), Received::Dropped(reason.to_owned())))
        .collect()
}
