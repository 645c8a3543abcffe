//! A walk over an auth chain, of which only the ids are kept.

use std::collections::{HashMap, HashSet};

use gatehouse_store::StoreError;
use ruma::OwnedEventId;

/// How many events of an auth chain are handed out. The chains of the largest rooms have some hundred thousand.
const MAX_CHAIN: usize = 500_000;

/// Events that are reached from others, with what each cites.
#[derive(Debug, Default)]
pub(super) struct AuthChainWalk {
    /// Handed out elsewhere: they are no part of it.
    left_out: HashSet<OwnedEventId>,
    places: HashMap<OwnedEventId, usize>,
    cites: Vec<Vec<usize>>,
    /// Those that have yet to be read.
    next: Vec<OwnedEventId>,
}

impl AuthChainWalk {
    /// One that leaves these out.
    pub(super) fn without(left_out: impl IntoIterator<Item = OwnedEventId>) -> Self {
        Self {
            left_out: left_out.into_iter().collect(),
            ..Self::default()
        }
    }

    /// These are in the chain.
    pub(super) fn reach(&mut self, ids: impl IntoIterator<Item = OwnedEventId>) -> Result<(), StoreError> {
        for id in ids {
            self.place(id)?;
        }
        Ok(())
    }

    /// These are, as what an event of the chain cites.
    pub(super) fn reach_from(
        &mut self,
        citing: &OwnedEventId,
        ids: impl IntoIterator<Item = OwnedEventId>,
    ) -> Result<(), StoreError> {
        let mut cites = Vec::new();
        for id in ids {
            cites.extend(self.place(id)?);
        }
        if let Some(place) = self.places.get(citing)
            && let Some(of_citing) = self.cites.get_mut(*place)
        {
            *of_citing = cites;
        }
        Ok(())
    }

    fn place(&mut self, id: OwnedEventId) -> Result<Option<usize>, StoreError> {
        if self.left_out.contains(&id) {
            return Ok(None);
        }
        if let Some(place) = self.places.get(&id) {
            return Ok(Some(*place));
        }
        let place = self.cites.len();
        if place == MAX_CHAIN {
            let why = "an auth chain is too long to be handed out";
            return Err(StoreError::Unavailable(why.to_owned()));
        }
        self.next.push(id.clone());
        self.places.insert(id, place);
        self.cites.push(Vec::new());
        Ok(Some(place))
    }

    /// Some that have yet to be read; `None` when all are.
    pub(super) fn take(&mut self, count: usize) -> Option<Vec<OwnedEventId>> {
        let from = self.next.len().saturating_sub(count);
        Some(self.next.split_off(from)).filter(|ids| !ids.is_empty())
    }

    /// All of the chain; each event comes after those that it cites. The same events give the same order.
    pub(super) fn into_order(self) -> Vec<OwnedEventId> {
        let mut ids: Vec<(OwnedEventId, usize)> = self.places.into_iter().collect();
        ids.sort_unstable();
        let mut placed: Vec<Option<OwnedEventId>> = vec![None; ids.len()];
        let starts: Vec<usize> = ids.iter().map(|(_, place)| *place).collect();
        for (id, place) in ids {
            if let Some(slot) = placed.get_mut(place) {
                *slot = Some(id);
            }
        }
        let mut order = Vec::with_capacity(placed.len());
        let mut entered = vec![false; placed.len()];
        for start in starts {
            // Each stands in the list twice: to be entered, and to be left when all that it cites has been.
            let mut steps = vec![(start, false)];
            while let Some((place, leaves)) = steps.pop() {
                if leaves {
                    order.extend(placed.get_mut(place).and_then(Option::take));
                } else if let Some(entered) = entered.get_mut(place)
                    && !std::mem::replace(entered, true)
                {
                    steps.push((place, true));
                    let cites = self.cites.get(place).into_iter().flatten();
                    steps.extend(cites.map(|cited| (*cited, false)));
                }
            }
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(name: &str) -> OwnedEventId {
        format!("${name}").try_into().unwrap()
    }

    fn ids(names: &[&str]) -> Vec<OwnedEventId> {
        names.iter().map(|name| id(name)).collect()
    }

    /// Walks a chain in which each event cites others, from some of them.
    fn walked(walk: &mut AuthChainWalk, chain: &[(&str, &[&str])], from: &[&str]) {
        walk.reach(ids(from)).unwrap();
        while let Some(read) = walk.take(2) {
            for read in read {
                let cites = chain.iter().find(|(name, _)| id(name) == read);
                walk.reach_from(&read, ids(cites.unwrap().1)).unwrap();
            }
        }
    }

    #[test]
    fn what_authorises_an_event_comes_before_it() {
        let chain: [(&str, &[&str]); 6] = [
            ("create", &[]),
            ("join", &["create"]),
            ("levels1", &["create", "join"]),
            ("levels0", &["levels1", "join", "create"]),
            ("rules", &["levels0", "create"]),
            ("later", &["rules", "levels1"]),
        ];
        let mut walk = AuthChainWalk::default();
        walked(&mut walk, &chain, &["later", "join"]);
        let order = walk.into_order();
        assert_eq!(
            order,
            ids(&["create", "join", "levels1", "levels0", "rules", "later"])
        );

        let mut walk = AuthChainWalk::without(ids(&["levels1"]));
        walked(&mut walk, &chain, &["rules"]);
        assert_eq!(walk.into_order(), ids(&["create", "join", "levels0", "rules"]));
    }

    #[test]
    fn a_chain_that_bites_its_tail_has_an_end() {
        let mut walk = AuthChainWalk::default();
        walked(&mut walk, &[("a", &["b"]), ("b", &["a", "b"])], &["a"]);
        assert_eq!(walk.into_order().len(), 2);
    }

    #[test]
    fn x18_a_chain_without_end_is_given_up() {
        let mut walk = AuthChainWalk::default();
        let all = (0..MAX_CHAIN).map(|number| id(&number.to_string()));
        walk.reach(all).unwrap();
        assert!(walk.reach([id("7")]).is_ok(), "it is there");
        assert!(walk.reach([id("one more")]).is_err());
    }
}
