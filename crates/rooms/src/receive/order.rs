//! Events in an order in which each comes after what it builds on.

use std::collections::{HashMap, HashSet};

use gatehouse_events::{Event, Pdu};
use ruma::OwnedEventId;

/// Sorts events so that each comes after those of the others that `parents` names. Those of a circle, which only ids that
/// are no hashes can make, are left out.
pub(super) fn parents_first(pdus: Vec<Pdu>, parents: impl Fn(&Event) -> &[OwnedEventId]) -> Vec<Pdu> {
    let mut left: HashMap<OwnedEventId, usize> = HashMap::with_capacity(pdus.len());
    let mut children: HashMap<OwnedEventId, Vec<OwnedEventId>> = HashMap::new();
    let ids: HashSet<OwnedEventId> = pdus.iter().map(|pdu| pdu.event.event_id.clone()).collect();
    for pdu in &pdus {
        let here: HashSet<_> = parents(&pdu.event)
            .iter()
            .filter(|id| ids.contains(*id))
            .collect();
        left.insert(pdu.event.event_id.clone(), here.len());
        for parent in here {
            children
                .entry(parent.clone())
                .or_default()
                .push(pdu.event.event_id.clone());
        }
    }
    let mut ready: Vec<OwnedEventId> = pdus
        .iter()
        .map(|pdu| pdu.event.event_id.clone())
        .filter(|id| left.get(id) == Some(&0))
        .collect();
    ready.reverse();
    let mut by_id: HashMap<OwnedEventId, Pdu> = pdus
        .into_iter()
        .map(|pdu| (pdu.event.event_id.clone(), pdu))
        .collect();
    let mut sorted = Vec::with_capacity(by_id.len());
    while let Some(id) = ready.pop() {
        sorted.extend(by_id.remove(&id));
        for child in children.remove(&id).unwrap_or_default() {
            if let Some(count) = left.get_mut(&child) {
                *count = count.saturating_sub(1);
                if *count == 0 {
                    ready.push(child);
                }
            }
        }
    }
    sorted
}
