//! Writing the index of relations, in the commit of the relating event.

use gatehouse_events::Event;
use gatehouse_store::{Batch, Position};
use ruma::OwnedEventId;
use serde::Deserialize;

use crate::tables::{RELATED, RELATIONS, RelationRow, THREAD_ACTIVITY};

/// A `rel_type` longer than this is not indexed (limits: as long as a type).
const MAX_REL_TYPE_BYTES: usize = 255;
/// No event has a longer id (client-server API, size limits), though its form allows any length.
const MAX_EVENT_ID_BYTES: usize = 255;

#[derive(Deserialize)]
struct Content {
    #[serde(rename = "m.relates_to")]
    relates_to: RelatesTo,
}

#[derive(Deserialize)]
struct RelatesTo {
    rel_type: String,
    event_id: OwnedEventId,
}

fn relation_of(event: &Event) -> Option<RelatesTo> {
    if event.is_state() {
        return None;
    }
    let content: Content = event.content_as()?;
    Some(content.relates_to).filter(|relation| {
        relation.rel_type.len() <= MAX_REL_TYPE_BYTES
            && relation.event_id.as_str().len() <= MAX_EVENT_ID_BYTES
    })
}

/// Indexes the event that the batch writes at this position, when it relates to another.
pub(crate) fn index_relation(batch: &mut Batch, position: Position, event: &Event) {
    let Some(relation) = relation_of(event) else {
        return;
    };
    let room_id = event.room_id.clone();
    let parent = relation.event_id;
    if relation.rel_type == "m.thread" {
        batch.put(&THREAD_ACTIVITY, &(room_id.clone(), position), &(parent.clone(),));
    }
    batch.put(&RELATED, &(room_id.clone(), parent.clone()), &());
    batch.put(
        &RELATIONS,
        &(room_id, parent, position),
        &RelationRow {
            rel_type: relation.rel_type,
            kind: event.kind.to_string(),
            event_id: event.event_id.clone(),
            sender: event.sender.clone(),
        },
    );
}

/// Takes the index of an event back, when it is redacted. `event` is as it was before.
pub(crate) fn unindex_relation(batch: &mut Batch, position: Position, event: &Event) {
    let Some(relation) = relation_of(event) else {
        return;
    };
    let room_id = event.room_id.clone();
    batch.delete(&THREAD_ACTIVITY, &(room_id.clone(), position));
    batch.delete(&RELATIONS, &(room_id, relation.event_id, position));
}
