//! Tags: what a user sorts rooms by. They are the room's account data of type `m.tag`.

use gatehouse_store::Position;
use ruma::{RoomId, UserId};
use serde_json::{Map, Value, json};
use thiserror::Error;

use crate::{Accounts, Unavailable, account_data::AccountDataError};

/// The longest tag, in bytes (specification).
pub const MAX_TAG_BYTES: usize = 255;

const TAG: &str = "m.tag";

/// Why a tag was not changed.
#[derive(Debug, Clone, Error)]
pub enum TagError {
    /// The tag is empty or too long. `M_INVALID_PARAM`.
    #[error("A tag must have 1 to {MAX_TAG_BYTES} bytes.")]
    InvalidTag,
    /// There would be too much account data.
    #[error(transparent)]
    AccountData(#[from] AccountDataError),
}

impl Accounts {
    /// The user's tags of a room, with what belongs to each.
    pub async fn tags(&self, user_id: &UserId, room_id: &RoomId) -> Result<Map<String, Value>, Unavailable> {
        let data = self.account_data(user_id, Some(room_id), TAG).await?;
        Ok(tags_of(data.as_ref().map(|data| data.content.get())))
    }

    /// Sets a tag.
    pub async fn set_tag(
        &self,
        user_id: &UserId,
        room_id: &RoomId,
        tag: &str,
        content: &Map<String, Value>,
    ) -> Result<Position, TagError> {
        if tag.is_empty() || tag.len() > MAX_TAG_BYTES {
            return Err(TagError::InvalidTag);
        }
        let change = |tags: &mut Map<String, Value>| {
            tags.insert(tag.to_owned(), Value::Object(content.clone()));
        };
        self.change_tags(user_id, room_id, change).await
    }

    /// Takes a tag away, if it is there.
    pub async fn remove_tag(&self, user_id: &UserId, room_id: &RoomId, tag: &str) -> Result<(), TagError> {
        if self
            .tags(user_id, room_id)
            .await
            .map_err(AccountDataError::from)?
            .contains_key(tag)
        {
            let change = |tags: &mut Map<String, Value>| {
                tags.remove(tag);
            };
            self.change_tags(user_id, room_id, change).await?;
        }
        Ok(())
    }

    async fn change_tags(
        &self,
        user_id: &UserId,
        room_id: &RoomId,
        change: impl Fn(&mut Map<String, Value>),
    ) -> Result<Position, TagError> {
        let changed = |stored: Option<&str>| {
            let mut tags = tags_of(stored);
            change(&mut tags);
            json!({ "tags": tags }).to_string()
        };
        Ok(self
            .put_account_data(user_id, Some(room_id), TAG, changed)
            .await?)
    }
}

/// The tags in a stored value. A client can set that by hand: what is no object has no tags.
fn tags_of(content: Option<&str>) -> Map<String, Value> {
    let content = content.and_then(|content| serde_json::from_str::<Value>(content).ok());
    match content {
        Some(Value::Object(mut content)) => match content.remove("tags") {
            Some(Value::Object(tags)) => tags,
            _ => Map::new(),
        },
        _ => Map::new(),
    }
}
