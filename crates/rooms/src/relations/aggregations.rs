//! What is bundled with an event: its last replacement, its thread, what refers to it.

use futures_util::future::try_join_all;
use gatehouse_events::ClientEvent;
use gatehouse_store::{Direction, Position, StoreError};
use ruma::OwnedEventId;
use serde::Serialize;

use super::Relation;
use crate::{
    Rooms,
    history_visibility::{Sight, VisibilityTimeline},
    present::Viewer,
    stored::StoredEvent,
    tables::{RELATED, RelationRow},
};

/// Events whose relations are read at the same time: bounds the memory of a page and its share of the store.
const AT_ONCE: usize = 20;
/// Relations of one event that are looked at, the latest first; a longer thread counts as this long.
const MAX_SCANNED: usize = 1_000;
/// Events that a bundle of references lists, the latest.
const MAX_REFERENCES: usize = 100;
/// Replacements that are looked at for one that is valid.
const MAX_REPLACEMENTS: usize = 5;

/// The value of `m.relations` in `unsigned`.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct BundledRelations {
    #[serde(rename = "m.replace", skip_serializing_if = "Option::is_none")]
    replace: Option<Box<ClientEvent>>,
    #[serde(rename = "m.thread", skip_serializing_if = "Option::is_none")]
    thread: Option<Thread>,
    #[serde(rename = "m.reference", skip_serializing_if = "Option::is_none")]
    reference: Option<References>,
}

#[derive(Debug, Clone, Serialize)]
struct Thread {
    latest_event: Box<ClientEvent>,
    count: usize,
    current_user_participated: bool,
}

#[derive(Debug, Clone, Serialize)]
struct References {
    chunk: Vec<Reference>,
}

#[derive(Debug, Clone, Serialize)]
struct Reference {
    event_id: OwnedEventId,
}

/// What the index says of one event's relations, before the events themselves are read.
#[derive(Debug, Default)]
struct Outline {
    replacements: Vec<Position>,
    thread: Option<ThreadOutline>,
    references: Vec<Reference>,
}

#[derive(Debug)]
struct ThreadOutline {
    latest: Position,
    count: usize,
    participated: bool,
}

impl Rooms {
    /// The bundles of these events, in their order. At most one round trip when nothing relates to any of them.
    pub(crate) async fn bundles(
        &self,
        viewer: Viewer<'_>,
        view: &VisibilityTimeline,
        events: &[StoredEvent],
    ) -> Result<Vec<Option<BundledRelations>>, StoreError> {
        let keys: Vec<_> = events
            .iter()
            .map(|event| (event.event.room_id.clone(), event.event_id().to_owned()))
            .collect();
        let related = self.store.get_many(&RELATED, &keys).await?;
        let outlines = events
            .iter()
            .zip(related)
            .map(async |(event, related)| match related {
                Some(()) if event.state_key().is_none() => self.outline(viewer, view, event).await.map(Some),
                _ => Ok(None),
            });
        let outlines: Vec<Option<Outline>> = a_few_at_once(outlines).await?;

        let mut bundles = Vec::with_capacity(events.len());
        for (event, outline) in events.iter().zip(outlines) {
            bundles.push(match outline {
                Some(outline) => self.bundle(viewer, view, event, outline).await?,
                None => None,
            });
        }
        Ok(bundles)
    }

    async fn outline(
        &self,
        viewer: Viewer<'_>,
        view: &VisibilityTimeline,
        event: &StoredEvent,
    ) -> Result<Outline, StoreError> {
        let everything = (Position::ZERO, Position::MAX);
        let rows = self
            .relations_of(
                &event.event.room_id,
                event.event_id(),
                everything,
                Direction::Backward,
                MAX_SCANNED,
            )
            .await?;
        let visible = rows.into_iter().filter(|(position, row)| {
            view.sees(Sight {
                position: *position,
                kind: &row.kind,
                state_key: None,
            })
        });
        Ok(Outline::of(viewer, event, visible))
    }

    async fn bundle(
        &self,
        viewer: Viewer<'_>,
        view: &VisibilityTimeline,
        event: &StoredEvent,
        outline: Outline,
    ) -> Result<Option<BundledRelations>, StoreError> {
        let room_id = &event.event.room_id;
        let replacement = self
            .timeline_rows(room_id, &outline.replacements)
            .await?
            .into_iter()
            .filter(has_new_content)
            .max_by_key(|replacement| (replacement.origin_server_ts(), replacement.event_id().to_owned()));
        let replace = match replacement {
            Some(replacement) => self.present_one(viewer, view, replacement).await?,
            None => None,
        };
        let thread = match outline.thread {
            Some(thread) => {
                let latest = self.timeline_rows(room_id, &[thread.latest]).await?;
                match latest.into_iter().next() {
                    Some(latest) => self
                        .present_one(viewer, view, latest)
                        .await?
                        .map(|latest| Thread {
                            latest_event: Box::new(latest),
                            count: thread.count,
                            current_user_participated: thread.participated,
                        }),
                    None => None,
                }
            }
            None => None,
        };
        let reference = (!outline.references.is_empty()).then_some(References {
            chunk: outline.references,
        });
        if replace.is_none() && thread.is_none() && reference.is_none() {
            return Ok(None);
        }
        Ok(Some(BundledRelations {
            replace: replace.map(Box::new),
            thread,
            reference,
        }))
    }
}

/// The results of these, in order.
async fn a_few_at_once<T, F: Future<Output = Result<T, StoreError>>>(
    mut reads: impl Iterator<Item = F>,
) -> Result<Vec<T>, StoreError> {
    let mut results = Vec::new();
    loop {
        let some: Vec<F> = reads.by_ref().take(AT_ONCE).collect();
        if some.is_empty() {
            return Ok(results);
        }
        results.extend(try_join_all(some).await?);
    }
}

impl Outline {
    /// From the relations that the viewer may see, the latest first.
    fn of(viewer: Viewer<'_>, event: &StoredEvent, relations: impl Iterator<Item = Relation>) -> Self {
        let mut outline = Self::default();
        for (position, row) in relations {
            match row.rel_type.as_str() {
                "m.replace" if outline.replacements.len() < MAX_REPLACEMENTS && may_replace(event, &row) => {
                    outline.replacements.push(position);
                }
                "m.thread" => {
                    let thread = outline.thread.get_or_insert(ThreadOutline {
                        latest: position,
                        count: 0,
                        participated: event.sender() == viewer.user,
                    });
                    thread.count += 1;
                    thread.participated |= row.sender == viewer.user;
                }
                "m.reference" if outline.references.len() < MAX_REFERENCES => {
                    outline.references.push(Reference {
                        event_id: row.event_id,
                    });
                }
                _ => {}
            }
        }
        outline
    }
}

/// An event is replaced by its own sender only, by one of its own type, and not when it is redacted or itself a
/// replacement (client-server API, "Validity of replacement events").
fn may_replace(event: &StoredEvent, row: &RelationRow) -> bool {
    row.sender == event.sender()
        && row.kind == event.kind()
        && event.redacted_by.is_none()
        && event.rel_type().as_deref() != Some("m.replace")
}

/// A replacement holds the new content; an encrypted one has it inside.
fn has_new_content(replacement: &StoredEvent) -> bool {
    replacement.kind() == "m.room.encrypted" || replacement.content_is_object("m.new_content")
}
