//! What is written of relations.

use gatehouse_store::{Direction, Range, Store};

use super::house::{content, room, rooms, user};
use crate::{create::Preset, send::Message, tables::RELATED};

/// An id of the newer form may have any length, as far as its form goes, and a key of the store may not.
#[tokio::test]
async fn an_event_may_name_a_parent_whose_id_is_too_long_but_is_not_found_by_it() {
    let store = Store::in_memory();
    let rooms = rooms(&store);
    let alice = user("alice");
    let room = room(&rooms, &alice, "12".parse().unwrap(), Preset::PublicChat).await;
    for (length, indexed) in [(256, 0), (255, 1)] {
        let parent = format!("${}", "a".repeat(length - 1));
        let relation = format!(r#"{{"m.relates_to":{{"rel_type":"m.thread","event_id":"{parent}"}}}}"#);
        let message = Message {
            kind: "m.room.message".into(),
            content: content(&relation),
            transaction: None,
        };
        rooms.send(&alice, &room, &message).await.unwrap();
        let rows = store.scan(&RELATED, &Range::all(), Direction::Forward, 10).await;
        assert_eq!(rows.unwrap().len(), indexed, "{length} bytes");
    }
}
