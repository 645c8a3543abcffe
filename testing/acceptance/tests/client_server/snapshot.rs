//! What a room holds, to see that nothing was written.

use gatehouse_testkit::{User, user::escaped};
use serde_json::Value;

/// The whole state and the last event of a room, as somebody in it sees them.
pub(crate) async fn of(member: &User<'_>, room: &str) -> (Value, Value) {
    let path = format!("/rooms/{}/messages?dir=b&limit=1", escaped(room));
    let page = member.get(&path).await.ok();
    (member.whole_state(room).await, page["chunk"].clone())
}
