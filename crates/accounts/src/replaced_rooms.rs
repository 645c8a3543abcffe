//! What a user's data says of a room goes to the room that replaces it (client-server API, "Room upgrades").

use ruma::{RoomId, UserId};
use serde_json::{Map, Value, json};

use crate::{Accounts, Unavailable, account_data::AccountDataError};

const DIRECT: &str = "m.direct";
const TAG: &str = "m.tag";

impl Accounts {
    /// Gives the new room the old one's tags, unless it has tags already, and its place among direct chats.
    pub async fn follow_room(
        &self,
        user_id: &UserId,
        old: &RoomId,
        new: &RoomId,
    ) -> Result<(), AccountDataError> {
        self.copy_tags(user_id, old, new).await?;
        if self.is_direct_but(user_id, old, new).await? {
            self.put_account_data(user_id, None, DIRECT, |stored| {
                with_replacement(object(stored), old, new).to_string()
            })
            .await?;
        }
        Ok(())
    }

    async fn copy_tags(&self, user_id: &UserId, old: &RoomId, new: &RoomId) -> Result<(), AccountDataError> {
        let tags = self.tags(user_id, old).await?;
        if tags.is_empty() || self.account_data(user_id, Some(new), TAG).await?.is_some() {
            return Ok(());
        }
        let tags = json!({ "tags": tags }).to_string();
        self.put_account_data(user_id, Some(new), TAG, |stored| {
            stored.map_or_else(|| tags.clone(), ToOwned::to_owned)
        })
        .await?;
        Ok(())
    }

    /// Whether somebody's direct chats have the old room and not the new one.
    async fn is_direct_but(&self, user_id: &UserId, old: &RoomId, new: &RoomId) -> Result<bool, Unavailable> {
        let data = self.account_data(user_id, None, DIRECT).await?;
        let chats = object(data.as_ref().map(|data| data.content.get()));
        Ok(chats.values().any(|rooms| lacks(rooms, old, new)))
    }
}

/// A client can store anything: what is no object has nothing in it.
fn object(content: Option<&str>) -> Map<String, Value> {
    content
        .and_then(|content| serde_json::from_str(content).ok())
        .unwrap_or_default()
}

fn lacks(rooms: &Value, old: &RoomId, new: &RoomId) -> bool {
    let holds = |room: &RoomId| {
        let rooms = rooms.as_array().into_iter().flatten();
        rooms.into_iter().any(|entry| entry == room.as_str())
    };
    holds(old) && !holds(new)
}

fn with_replacement(mut chats: Map<String, Value>, old: &RoomId, new: &RoomId) -> Value {
    for rooms in chats.values_mut() {
        if lacks(rooms, old, new)
            && let Some(rooms) = rooms.as_array_mut()
        {
            rooms.push(new.as_str().into());
        }
    }
    Value::Object(chats)
}
