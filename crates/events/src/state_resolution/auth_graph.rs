//! Events and their auth chains as a graph of numbers, so that walks over it cost little.

use std::collections::{HashMap, HashSet};

use ruma::OwnedEventId;

use super::state_map::Fetch;

/// Some events, the roots, and everything in their auth chains, in an order in which each stands behind what it cites.
pub(crate) struct AuthGraph {
    ids: Vec<OwnedEventId>,
    places: HashMap<OwnedEventId, usize>,
    /// For each, the places of what it cites, all lower than its own.
    cites: Vec<Vec<usize>>,
    /// For each, whether it is a root.
    is_root: Vec<bool>,
}

/// An event being walked: its id, what it cites, how many of these are done.
struct Walked {
    id: OwnedEventId,
    cites: Vec<OwnedEventId>,
    done: usize,
}

impl AuthGraph {
    /// Walks the auth chains of these events. Events that are not to be fetched cite nothing. `None` when an event
    /// is in its own chain.
    pub(crate) fn of(roots: Vec<OwnedEventId>, fetch: Fetch<'_>) -> Option<Self> {
        let mut graph = Self {
            ids: Vec::new(),
            places: HashMap::new(),
            cites: Vec::new(),
            is_root: Vec::new(),
        };
        for root in roots {
            graph.walk(&root, fetch)?;
            let place = *graph.places.get(&root)?;
            *graph.is_root.get_mut(place)? = true;
        }
        Some(graph)
    }

    /// Depth first and without recursion: a chain may be as long as a room is old.
    fn walk(&mut self, root: &OwnedEventId, fetch: Fetch<'_>) -> Option<()> {
        let begin = |id: OwnedEventId| Walked {
            cites: fetch(&id)
                .map(|event| event.auth_events.clone())
                .unwrap_or_default(),
            id,
            done: 0,
        };
        if self.places.contains_key(root) {
            return Some(());
        }
        let mut path = HashSet::from([root.clone()]);
        let mut stack = vec![begin(root.clone())];
        while let Some(top) = stack.last_mut() {
            if let Some(next) = top.cites.get(top.done) {
                top.done += 1;
                if self.places.contains_key(next) {
                    continue;
                }
                if !path.insert(next.clone()) {
                    return None;
                }
                let next = next.clone();
                stack.push(begin(next));
            } else if let Some(done) = stack.pop() {
                path.remove(&done.id);
                let cites = done.cites.iter().filter_map(|id| self.places.get(id).copied());
                self.cites.push(cites.collect());
                self.places.insert(done.id.clone(), self.ids.len());
                self.ids.push(done.id);
                self.is_root.push(false);
            }
        }
        Some(())
    }

    pub(crate) fn len(&self) -> usize {
        self.ids.len()
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = &OwnedEventId> {
        self.ids.iter()
    }

    /// Which are in the auth chain of one of these roots. An event is not in its own.
    pub(crate) fn chains_of<'a>(&self, of: impl Iterator<Item = &'a OwnedEventId>) -> Vec<bool> {
        let mut is_in_chain = vec![false; self.len()];
        let mut is_walked = vec![false; self.len()];
        for place in of.filter_map(|id| self.places.get(id)) {
            if let Some(walked) = is_walked.get_mut(*place) {
                *walked = true;
            }
        }
        // What cites stands behind what it cites, so that one pass from behind reaches everything.
        for (place, cites) in self.cites.iter().enumerate().rev() {
            let reached = |all: &[bool]| all.get(place).copied().unwrap_or_default();
            if reached(&is_walked) || reached(&is_in_chain) {
                for cited in cites {
                    if let Some(cited) = is_in_chain.get_mut(*cited) {
                        *cited = true;
                    }
                }
            }
        }
        is_in_chain
    }

    /// The events on the ways from one root to another, both ends included: the conflicted state subgraph.
    pub(crate) fn between_roots(&self) -> HashSet<OwnedEventId> {
        let roots = self.ids.iter().zip(&self.is_root);
        let is_below = self.chains_of(roots.filter(|(_, is_root)| **is_root).map(|(id, _)| id));
        // Whether a root is in the chain of each.
        let mut reaches_root = vec![false; self.len()];
        for (place, cites) in self.cites.iter().enumerate() {
            let is_way = |cited: &usize| {
                self.is_root.get(*cited).copied().unwrap_or_default()
                    || reaches_root.get(*cited).copied().unwrap_or_default()
            };
            let reaches = cites.iter().any(is_way);
            if let Some(entry) = reaches_root.get_mut(place) {
                *entry = reaches;
            }
        }
        let places = self.ids.iter().zip(&self.is_root).zip(is_below).zip(reaches_root);
        places
            .filter(|(((_, is_root), is_below), reaches_root)| {
                (*is_below && *reaches_root) || (**is_root && (*is_below || *reaches_root))
            })
            .map(|(((id, _), _), _)| id.clone())
            .collect()
    }
}
