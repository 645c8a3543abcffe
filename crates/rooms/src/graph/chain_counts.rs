//! Auth chains, counted.

use std::collections::HashMap;

use gatehouse_store::Position;
use ruma::OwnedEventId;

/// For each event in an auth chain, how many cite it: members' events, and others that are cited themselves.
#[derive(Debug, Default)]
pub(crate) struct MemberChains {
    pub(super) counts: HashMap<OwnedEventId, u32>,
    /// All changes of members up to here are in it.
    pub(super) through: Position,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Add,
    Remove,
}

impl MemberChains {
    #[cfg(test)]
    pub(crate) fn counts(&self) -> &HashMap<OwnedEventId, u32> {
        &self.counts
    }

    pub(super) fn has(&self, event_id: &OwnedEventId) -> bool {
        self.counts.contains_key(event_id)
    }

    /// Says whether the event came in or fell out, so that what it cites does, too.
    pub(super) fn count(&mut self, cited: &OwnedEventId, step: Step) -> bool {
        match step {
            Step::Add => {
                let count = self.counts.entry(cited.clone()).or_default();
                *count += 1;
                *count == 1
            }
            Step::Remove => match self.counts.get_mut(cited) {
                Some(count) if *count > 1 => {
                    *count -= 1;
                    false
                }
                Some(_) => self.counts.remove(cited).is_some(),
                None => false,
            },
        }
    }
}
