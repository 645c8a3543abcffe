//! Events of a room that wait for those that authorise them. They are held as text: as objects they would take many times
//! as much memory.

use std::collections::{BTreeMap, BTreeSet};

use ruma::OwnedEventId;
use serde_json::value::RawValue;

use crate::remote_servers::RawPdu;

/// The most bytes of text that are held. The largest rooms have some 300,000 members; what does not fit in is fetched again
/// when what authorises it is here.
const MAX_BYTES: usize = 100 << 20;

/// Events that are wanted, of which some wait for others. In order, so that a simulation is the same twice.
#[derive(Debug, Default)]
pub(super) struct Held {
    /// The events that are not here.
    missing: BTreeSet<OwnedEventId>,
    texts: BTreeMap<OwnedEventId, Waiting>,
    /// By what they wait for.
    waiting: BTreeMap<OwnedEventId, Vec<OwnedEventId>>,
    /// Those that wait for nothing, in order.
    ready: Vec<RawPdu>,
    bytes: usize,
    /// Events for which there was no room.
    pub(super) left_out: usize,
}

#[derive(Debug)]
struct Waiting {
    raw: RawPdu,
    /// For how many others it waits.
    count: usize,
}

impl Held {
    pub(super) fn new(missing: BTreeSet<OwnedEventId>) -> Self {
        Self {
            missing,
            ..Self::default()
        }
    }

    /// How many events are missing.
    pub(super) fn missing(&self) -> usize {
        self.missing.len()
    }

    /// Which.
    pub(super) fn missing_ids(&self) -> impl Iterator<Item = &OwnedEventId> {
        self.missing.iter()
    }

    /// Whether the event is wanted, and not held yet.
    pub(super) fn wants(&self, event_id: &OwnedEventId) -> bool {
        self.missing.contains(event_id) && !self.texts.contains_key(event_id)
    }

    /// Takes in one that is wanted, and is authorised by these events.
    pub(super) fn offer(&mut self, event_id: OwnedEventId, auth_events: &[OwnedEventId], raw: &RawValue) {
        let needed: BTreeSet<&OwnedEventId> = auth_events
            .iter()
            .filter(|id| self.missing.contains(*id) && **id != event_id)
            .collect();
        if needed.is_empty() {
            self.release(event_id, raw.to_owned());
            return;
        }
        let length = raw.get().len();
        if self.bytes + length > MAX_BYTES {
            self.left_out += 1;
            return;
        }
        self.bytes += length;
        let count = needed.len();
        for id in needed {
            self.waiting.entry(id.clone()).or_default().push(event_id.clone());
        }
        let raw = raw.to_owned();
        self.texts.insert(event_id, Waiting { raw, count });
    }

    /// Events that wait for nothing but those before them.
    pub(super) fn take_ready(&mut self, at_least: usize) -> Vec<RawPdu> {
        if self.ready.len() < at_least {
            return Vec::new();
        }
        std::mem::take(&mut self.ready)
    }

    fn release(&mut self, event_id: OwnedEventId, raw: RawPdu) {
        let mut released = vec![(event_id, raw)];
        while let Some((event_id, raw)) = released.pop() {
            self.missing.remove(&event_id);
            self.ready.push(raw);
            for id in self.waiting.remove(&event_id).unwrap_or_default() {
                let Some(waiting) = self.texts.get_mut(&id) else {
                    continue;
                };
                waiting.count = waiting.count.saturating_sub(1);
                if waiting.count == 0
                    && let Some(waiting) = self.texts.remove(&id)
                {
                    self.bytes = self.bytes.saturating_sub(waiting.raw.get().len());
                    released.push((id, waiting.raw));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(name: &str) -> OwnedEventId {
        format!("${name}").try_into().unwrap()
    }

    fn text(name: &str) -> RawPdu {
        RawValue::from_string(format!("\"{name}\"")).unwrap()
    }

    #[test]
    fn events_come_out_after_those_that_authorise_them() {
        let wanted = ["a", "b", "c", "d"].map(id);
        let mut held = Held::new(wanted.into_iter().collect());
        held.offer(id("c"), &[id("a"), id("b"), id("x")], &text("c"));
        held.offer(id("d"), &[id("c")], &text("d"));
        assert!(held.take_ready(0).is_empty());
        assert!(!held.wants(&id("c")) && held.wants(&id("a")) && !held.wants(&id("x")));
        held.offer(id("a"), &[], &text("a"));
        held.offer(id("b"), &[id("a")], &text("b"));
        let order: Vec<_> = held
            .take_ready(0)
            .iter()
            .map(|raw| raw.get().to_owned())
            .collect();
        assert_eq!(order, ["\"a\"", "\"b\"", "\"c\"", "\"d\""]);
        assert_eq!((held.missing(), held.bytes), (0, 0));
    }

    #[test]
    fn what_waits_for_itself_or_in_a_circle_never_comes_out_or_does_no_harm() {
        let mut held = Held::new(["a", "b", "c"].map(id).into_iter().collect());
        held.offer(id("a"), &[id("b")], &text("a"));
        held.offer(id("b"), &[id("a")], &text("b"));
        held.offer(id("c"), &[id("c")], &text("c"));
        assert_eq!(held.take_ready(0).len(), 1);
        assert_eq!(held.missing(), 2);
    }
}
