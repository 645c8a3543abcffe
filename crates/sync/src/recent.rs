//! Where each room and user last changed, for as long as memory allows.

use std::{borrow::Borrow, collections::HashMap, hash::Hash};

use gatehouse_store::Position;

/// How many keys one generation remembers; two are kept. A key costs about 150 bytes, so this bounds each map to
/// some 15 MB on a server where a hundred thousand rooms are active at once.
const GENERATION: usize = 50_000;

/// What is known of a key since a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Changed {
    /// It changed.
    Yes,
    /// It did not.
    No,
    /// Too long ago to remember: ask the store.
    Unknown,
}

/// The last change of each key. Everything after `floor` is remembered, the rest forgotten a generation at a time.
#[derive(Debug)]
pub(crate) struct Recent<K> {
    floor: Position,
    /// When `newer` began: what is in `older` only lies at or before it.
    turned: Position,
    newer: HashMap<K, Position>,
    older: HashMap<K, Position>,
}

impl<K: Eq + Hash> Recent<K> {
    /// Knows nothing of what was up to `floor`.
    pub(crate) fn after(floor: Position) -> Self {
        Self {
            floor,
            turned: floor,
            newer: HashMap::new(),
            older: HashMap::new(),
        }
    }

    /// Forgets everything up to `floor`.
    pub(crate) fn restart(&mut self, floor: Position) {
        *self = Self::after(floor);
    }

    /// The key changed at this position. To be called in the order of positions.
    pub(crate) fn record(&mut self, key: K, position: Position) {
        if self.newer.len() >= GENERATION && !self.newer.contains_key(&key) {
            self.older = std::mem::take(&mut self.newer);
            self.floor = self.turned;
            self.turned = position.previous();
        }
        self.newer.insert(key, position);
    }

    /// Whether the key changed after `since`.
    pub(crate) fn changed<Q>(&self, key: &Q, since: Position) -> Changed
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        match self.newer.get(key).or_else(|| self.older.get(key)) {
            Some(last) if *last > since => Changed::Yes,
            _ if since < self.floor => Changed::Unknown,
            _ => Changed::No,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(number: u64) -> Position {
        Position::new(number).unwrap()
    }

    #[test]
    fn before_the_floor_nothing_is_known() {
        let mut recent = Recent::after(at(10));
        assert_eq!(recent.changed("a", at(9)), Changed::Unknown);
        assert_eq!(recent.changed("a", at(10)), Changed::No);
        recent.record("a", at(12));
        assert_eq!(recent.changed("a", at(9)), Changed::Yes);
        assert_eq!(recent.changed("a", at(11)), Changed::Yes);
        assert_eq!(recent.changed("a", at(12)), Changed::No);
        assert_eq!(recent.changed("b", at(12)), Changed::No);
    }

    #[test]
    fn a_full_memory_forgets_the_oldest_and_says_so() {
        let mut recent = Recent::after(Position::ZERO);
        let count = 2 * GENERATION as u64 + 1;
        for number in 1..=count {
            recent.record(number, at(number));
        }
        // The first generation is gone: what happened in it is unknown, not unchanged.
        assert_eq!(recent.changed(&1, Position::ZERO), Changed::Unknown);
        assert_eq!(recent.changed(&count, at(count - 1)), Changed::Yes);
        let middle = GENERATION as u64 + 1;
        assert_eq!(recent.changed(&middle, at(middle - 1)), Changed::Yes);
        assert_eq!(recent.changed(&middle, at(middle)), Changed::No);
        for number in 1..=count {
            assert_ne!(recent.changed(&number, at(number - 1)), Changed::No, "{number}");
        }
    }

    #[test]
    fn after_a_restart_only_what_follows_is_known() {
        let mut recent = Recent::after(Position::ZERO);
        recent.record("a", at(1));
        recent.restart(at(5));
        assert_eq!(recent.changed("a", Position::ZERO), Changed::Unknown);
        assert_eq!(recent.changed("a", at(5)), Changed::No);
    }
}
