//! A state and its auth chain on their way to another server. Read part by part, so that it is never in memory as a whole:
//! with fifty thousand members it is some dozen megabytes.

use std::{collections::HashSet, vec};

use gatehouse_events::{RoomVersion, auth_events_of};
use gatehouse_store::StoreError;
use ruma::{OwnedEventId, OwnedRoomId};

use crate::{RoomHead, Rooms, peer_error::PeerError, tables::Standing};

/// Events read at once: the longest are 13 megabytes then.
const BATCH: usize = 200;
/// How many events of an auth chain are handed out. The chains of the largest rooms have some hundred thousand.
const MAX_CHAIN: usize = 500_000;

/// A part of a state or of its auth chain: PDUs as they are stored, which is as they are sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OutgoingPart {
    /// Of the state.
    State(Vec<String>),
    /// Of its auth chain.
    AuthChain(Vec<String>),
}

/// A state and its auth chain, read part by part.
#[derive(Debug)]
pub struct OutgoingState {
    rooms: Rooms,
    room_id: OwnedRoomId,
    version: RoomVersion,
    state: vec::IntoIter<OwnedEventId>,
    chain: AuthChainWalk,
}

impl OutgoingState {
    /// The next part: first the state, then its auth chain; `None` after the last.
    pub async fn next(&mut self) -> Result<Option<OutgoingPart>, PeerError> {
        while !self.state.as_slice().is_empty() {
            let ids: Vec<OwnedEventId> = self.state.by_ref().take(BATCH).collect();
            let pdus = self.read(&ids).await?;
            if !pdus.is_empty() {
                return Ok(Some(OutgoingPart::State(pdus)));
            }
        }
        while let Some(ids) = self.chain.take() {
            let pdus = self.read(&ids).await?;
            if !pdus.is_empty() {
                return Ok(Some(OutgoingPart::AuthChain(pdus)));
            }
        }
        Ok(None)
    }

    /// Reads events, and notes what authorises them. Those that are not there or were rejected are left out.
    async fn read(&mut self, ids: &[OwnedEventId]) -> Result<Vec<String>, PeerError> {
        let mut placed = self.rooms.placed(&self.room_id, ids).await?;
        let mut pdus = Vec::with_capacity(placed.len());
        for id in ids {
            let Some(placed) = placed.remove(id) else {
                continue;
            };
            if placed.row.standing != Standing::Rejected
                && let Ok(cited) = auth_events_of(&placed.row.pdu, self.version)
            {
                self.chain.reach(cited)?;
                pdus.push(placed.row.pdu);
            }
        }
        Ok(pdus)
    }
}

/// A walk over an auth chain, of which only the ids are kept.
#[derive(Debug, Default)]
struct AuthChainWalk {
    /// Handed out elsewhere.
    left_out: HashSet<OwnedEventId>,
    reached: HashSet<OwnedEventId>,
    next: Vec<OwnedEventId>,
}

impl AuthChainWalk {
    fn reach(&mut self, ids: impl IntoIterator<Item = OwnedEventId>) -> Result<(), PeerError> {
        for id in ids {
            if self.left_out.contains(&id) || self.reached.contains(&id) {
                continue;
            }
            if self.reached.len() == MAX_CHAIN {
                return Err(
                    StoreError::Unavailable("an auth chain is too long to hand out".to_owned()).into(),
                );
            }
            self.reached.insert(id.clone());
            self.next.push(id);
        }
        Ok(())
    }

    fn take(&mut self) -> Option<Vec<OwnedEventId>> {
        let from = self.next.len().saturating_sub(BATCH);
        Some(self.next.split_off(from)).filter(|ids| !ids.is_empty())
    }
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
        let mut chain = AuthChainWalk::default();
        if part == ChainPart::BesidesState {
            chain.left_out = state.iter().cloned().collect();
        }
        chain.reach(besides.iter().cloned())?;
        Ok(OutgoingState {
            rooms: self.clone(),
            room_id: head.room_id.clone(),
            version: head.version,
            state: state.into_iter(),
            chain,
        })
    }

    /// The ids in the auth chain of events of the room, without those themselves.
    pub(crate) async fn auth_chain_ids(
        &self,
        head: &RoomHead,
        of: Vec<OwnedEventId>,
    ) -> Result<Vec<OwnedEventId>, PeerError> {
        let mut outgoing = self.outgoing_state(head, of, &[], ChainPart::BesidesState)?;
        while outgoing.next().await?.is_some() {}
        Ok(outgoing.chain.reached.into_iter().collect())
    }
}
