//! Making one state of several.

use std::collections::{HashMap, HashSet};

use gatehouse_events::state_resolution::{Dispute, StateKey};
use gatehouse_store::StoreError;
use ruma::{EventId, OwnedEventId};

use super::{
    delta::{Delta, normalise, value},
    loaded::LoadedEvents,
    resolution_error::ResolutionError,
};
use crate::{RoomHead, Rooms};

impl Rooms {
    /// Resolves states of a room that differ like this from the head's. `loaded` may hold events that are not stored yet.
    pub(crate) async fn resolve(
        &self,
        head: &RoomHead,
        states: &[Delta],
        loaded: &mut LoadedEvents,
    ) -> Result<Delta, ResolutionError> {
        let keys: HashSet<&StateKey> = states.iter().flat_map(Delta::keys).collect();
        let values: HashMap<StateKey, Vec<Option<OwnedEventId>>> = keys
            .iter()
            .map(|key| {
                let values = states.iter().map(|state| value(head, state, key));
                ((*key).clone(), values.collect())
            })
            .collect();
        let dispute = Dispute::new(head.version, values);
        let disputed: HashSet<StateKey> = dispute.keys().cloned().collect();
        // What all say, though the head says otherwise.
        let mut resolved: Delta = keys
            .into_iter()
            .filter(|key| !disputed.contains(*key))
            .filter_map(|key| Some((key.clone(), value(head, states.first()?, key))))
            .collect();
        if dispute.is_empty() {
            return Ok(resolved);
        }
        let agreed = resolved.clone();
        let agreed = |key: &StateKey| {
            let known = (!disputed.contains(key)).then(|| value(head, &agreed, key));
            known.flatten()
        };
        let create = head.hot_event("m.room.create");
        loaded.load(self, create.map(|create| &create.event_id)).await?;
        loaded.load_chains(self, &dispute.events()).await?;
        let around = dispute.keys_that_authorise(&|id| loaded.get(id))?;
        let around: Vec<OwnedEventId> = around.iter().filter_map(agreed).collect();
        loaded.load(self, &around).await?;
        let open = dispute.open_questions(&|id| loaded.get(id))?;
        let in_chains = self
            .in_agreed_chains(head, &resolved, &disputed, open, loaded)
            .await?;
        let decided = dispute.resolve(&agreed, &in_chains, &|id: &EventId| loaded.get(id))?;
        for key in disputed {
            resolved.insert(key, None);
        }
        resolved.extend(decided.into_iter().map(|(key, event_id)| (key, Some(event_id))));
        normalise(head, &mut resolved);
        Ok(resolved)
    }

    /// Which of these events are in the auth chains of what the states agree on. What is no membership, or is otherwise now,
    /// is walked: it is little, and nearly everything old is in its chains.
    async fn in_agreed_chains(
        &self,
        head: &RoomHead,
        agreed: &Delta,
        disputed: &HashSet<StateKey>,
        wanted: Vec<OwnedEventId>,
        loaded: &mut LoadedEvents,
    ) -> Result<HashSet<OwnedEventId>, StoreError> {
        let mut missing: HashSet<OwnedEventId> = wanted.into_iter().collect();
        let mut found = HashSet::new();
        if missing.is_empty() {
            return Ok(found);
        }
        let holds = |key: &StateKey| !disputed.contains(key) && !agreed.contains_key(key);
        let state = head.state.iter().filter(|(key, _)| holds(key));
        let changed = agreed.values().flatten();
        let first: Vec<OwnedEventId> = state.map(|(_, id)| id).chain(changed).cloned().collect();
        let mut walked = HashSet::new();
        self.find_in_chains(&first, (&mut missing, &mut found), &mut walked, loaded)
            .await?;
        if missing.is_empty() {
            return Ok(found);
        }
        let is_member = |key: &&StateKey| key.0 == "m.room.member";
        let otherwise = disputed.iter().chain(agreed.keys()).filter(is_member);
        let gone: Vec<OwnedEventId> = otherwise
            .filter_map(|key| head.state_event_id(&key.0, &key.1).cloned())
            .collect();
        let mut chains = self.member_chains(head).await?;
        chains.remove(self, &gone).await?;
        found.extend(missing.into_iter().filter(|id| chains.has(id)));
        chains.add(self, &gone).await?;
        self.keep_member_chains(head, chains);
        Ok(found)
    }

    async fn find_in_chains(
        &self,
        roots: &[OwnedEventId],
        (missing, found): (&mut HashSet<OwnedEventId>, &mut HashSet<OwnedEventId>),
        walked: &mut HashSet<OwnedEventId>,
        loaded: &mut LoadedEvents,
    ) -> Result<(), StoreError> {
        let mut level: Vec<OwnedEventId> = roots.to_vec();
        while !missing.is_empty() && !level.is_empty() {
            loaded.load(self, &level).await?;
            let mut next = Vec::new();
            for event in level.iter().filter_map(|id| loaded.get(id)) {
                for cited in &event.auth_events {
                    if missing.remove(cited) {
                        found.insert(cited.clone());
                    }
                    if walked.insert(cited.clone()) {
                        next.push(cited.clone());
                    }
                }
            }
            level = next;
        }
        Ok(())
    }
}
