//! A state and its auth chain on their way to another server. Read part by part, so that it is never in memory as a whole:
//! with fifty thousand members it is some dozen megabytes.

use std::vec;

use gatehouse_events::{RoomVersion, auth_events_of};
use ruma::{OwnedEventId, OwnedRoomId};

use super::auth_chain_walk::AuthChainWalk;
use crate::{RoomHead, Rooms, peer_error::PeerError, tables::Standing};

/// Events read at once: the longest are 13 megabytes then.
const BATCH: usize = 200;

/// A part of a state or of its auth chain: PDUs as they are stored, which is as they are sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OutgoingPart {
    /// Of the state.
    State(Vec<String>),
    /// Of its auth chain: what authorises an event comes before it.
    AuthChain(Vec<String>),
}

/// A state and its auth chain, read part by part.
#[derive(Debug)]
pub struct OutgoingState {
    rooms: Rooms,
    room_id: OwnedRoomId,
    version: RoomVersion,
    state: vec::IntoIter<OwnedEventId>,
    walk: AuthChainWalk,
    /// What is left of the chain, once all of it is known.
    chain: Option<vec::IntoIter<OwnedEventId>>,
}

impl OutgoingState {
    /// The next part: first the state, then its auth chain; `None` after the last.
    pub async fn next(&mut self) -> Result<Option<OutgoingPart>, PeerError> {
        if let Some(pdus) = self.next_of_state().await? {
            return Ok(Some(OutgoingPart::State(pdus)));
        }
        if self.chain.is_none() {
            self.chain = Some(self.walk_chain().await?.into_iter());
        }
        loop {
            let chain = self.chain.iter_mut().flatten();
            let ids: Vec<OwnedEventId> = chain.take(BATCH).collect();
            if ids.is_empty() {
                return Ok(None);
            }
            let pdus: Vec<String> = self.read(&ids).await?.into_iter().map(|(_, pdu)| pdu).collect();
            if !pdus.is_empty() {
                return Ok(Some(OutgoingPart::AuthChain(pdus)));
            }
        }
    }

    async fn next_of_state(&mut self) -> Result<Option<Vec<String>>, PeerError> {
        loop {
            let ids: Vec<OwnedEventId> = self.state.by_ref().take(BATCH).collect();
            if ids.is_empty() {
                return Ok(None);
            }
            let mut pdus = Vec::with_capacity(ids.len());
            for (_, pdu) in self.read(&ids).await? {
                self.walk.reach(cited_by(&pdu, self.version))?;
                pdus.push(pdu);
            }
            if !pdus.is_empty() {
                return Ok(Some(pdus));
            }
        }
    }

    /// All of the chain, in its order.
    async fn walk_chain(&mut self) -> Result<Vec<OwnedEventId>, PeerError> {
        while let Some(ids) = self.walk.take(BATCH) {
            for (id, pdu) in self.read(&ids).await? {
                self.walk.reach_from(&id, cited_by(&pdu, self.version))?;
            }
        }
        Ok(std::mem::take(&mut self.walk).into_order())
    }

    /// Reads events in the order asked. Those that are not there or were rejected are left out.
    async fn read(&self, ids: &[OwnedEventId]) -> Result<Vec<(OwnedEventId, String)>, PeerError> {
        let mut placed = self.rooms.placed(&self.room_id, ids).await?;
        let found = ids.iter().filter_map(|id| placed.remove(id));
        let found = found.filter(|placed| placed.row.standing != Standing::Rejected);
        Ok(found
            .map(|placed| (placed.row.event_id, placed.row.pdu))
            .collect())
    }
}

/// What authorises an event. Of what is stored, that can always be read.
fn cited_by(pdu: &str, version: RoomVersion) -> Vec<OwnedEventId> {
    auth_events_of(pdu, version).unwrap_or_default()
}

/// Which events of the auth chain are handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ChainPart {
    /// All.
    Whole,
    /// Those that the state does not have.
    BesidesState,
}

impl Rooms {
    /// These events of the room, and their auth chain together with that of `besides`.
    pub(crate) fn outgoing_state(
        &self,
        head: &RoomHead,
        state: Vec<OwnedEventId>,
        besides: &[OwnedEventId],
        part: ChainPart,
    ) -> Result<OutgoingState, PeerError> {
        let mut walk = match part {
            ChainPart::Whole => AuthChainWalk::default(),
            ChainPart::BesidesState => AuthChainWalk::without(state.iter().cloned()),
        };
        walk.reach(besides.iter().cloned())?;
        Ok(OutgoingState {
            rooms: self.clone(),
            room_id: head.room_id.clone(),
            version: head.version,
            state: state.into_iter(),
            walk,
            chain: None,
        })
    }

    /// The ids in the auth chain of events of the room, without those themselves.
    pub(crate) async fn auth_chain_ids(
        &self,
        head: &RoomHead,
        of: Vec<OwnedEventId>,
    ) -> Result<Vec<OwnedEventId>, PeerError> {
        let mut outgoing = self.outgoing_state(head, of, &[], ChainPart::BesidesState)?;
        while outgoing.next_of_state().await?.is_some() {}
        outgoing.walk_chain().await
    }
}
