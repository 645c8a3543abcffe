//! Account data: what clients keep about themselves, for all rooms or for one.
//!
//! Each value carries the position of its last change, and a stream by position holds just the last change of each,
//! so that `/sync` reads what is new and nothing else.

use gatehouse_store::{Batch, Commit, Position, Range, Topic};
use ruma::{OwnedRoomId, RoomId, UserId};
use serde_json::{Value, value::RawValue};
use thiserror::Error;

use crate::{
    Accounts, Unavailable,
    accounts::ATTEMPTS,
    tables::{ACCOUNT_DATA, ACCOUNT_DATA_SIZE, ACCOUNT_DATA_STREAM},
};

/// The largest value (limits.md §2).
pub const MAX_ACCOUNT_DATA_BYTES: usize = 1024 * 1024;

/// The most that a user may keep in all (limits.md §2).
pub const MAX_ACCOUNT_DATA_BYTES_PER_USER: u64 = 16 * 1024 * 1024;

/// The longest type, in bytes: as of an event's.
pub const MAX_ACCOUNT_DATA_TYPE_BYTES: usize = 255;

/// One value.
#[derive(Debug, Clone)]
pub struct AccountData {
    /// `None`: it concerns no room.
    pub room_id: Option<OwnedRoomId>,
    /// Its type, such as `m.direct`.
    pub kind: String,
    /// A JSON object.
    pub content: Box<RawValue>,
    /// Where it was last changed.
    pub position: Position,
}

/// Why account data was not changed.
#[derive(Debug, Clone, Error)]
pub enum AccountDataError {
    /// The server makes this one itself. `M_BAD_JSON` with 405.
    #[error("Account data of this type is set by other requests.")]
    ReadOnly,
    /// The content is not a JSON object. `M_BAD_JSON`.
    #[error("Account data must be a JSON object.")]
    NotAnObject,
    /// A number is so large that others cannot read it. `M_BAD_JSON`.
    #[error("A number in this account data is too large to be kept. Write it as a string.")]
    Number,
    /// The type is empty or too long. `M_INVALID_PARAM`.
    #[error("The type of account data must have 1 to {MAX_ACCOUNT_DATA_TYPE_BYTES} bytes.")]
    InvalidType,
    /// The value is too large, or all values together. `M_TOO_LARGE`.
    #[error("Account data may have 1 MiB in each value, and 16 MiB in all.")]
    TooLarge,
    /// The server cannot.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

impl Accounts {
    /// One value of the user's account data.
    pub async fn account_data(
        &self,
        user_id: &UserId,
        room_id: Option<&RoomId>,
        kind: &str,
    ) -> Result<Option<AccountData>, Unavailable> {
        let key = data_key(user_id, room_id, kind);
        let row = self.get(&ACCOUNT_DATA, &key).await?;
        Ok(row.and_then(|row| decode(&key.1, key.2.clone(), row)))
    }

    /// All of the user's account data, at every room.
    pub async fn all_account_data(&self, user_id: &UserId) -> Result<Vec<AccountData>, Unavailable> {
        let range = Range::prefix(&(user_id.to_owned(),));
        let rows = self.scan(&ACCOUNT_DATA, &range, usize::MAX).await?;
        Ok(rows
            .into_iter()
            .filter_map(|((_, room, kind), row)| decode(&room, kind, row))
            .collect())
    }

    /// The user's account data for one room.
    pub async fn room_account_data(
        &self,
        user_id: &UserId,
        room_id: &RoomId,
    ) -> Result<Vec<AccountData>, Unavailable> {
        let range = Range::prefix(&(user_id.to_owned(), room_id.to_string()));
        let rows = self.scan(&ACCOUNT_DATA, &range, usize::MAX).await?;
        Ok(rows
            .into_iter()
            .filter_map(|((_, room, kind), row)| decode(&room, kind, row))
            .collect())
    }

    /// What changed after one position, up to and including another, in order. A value changed several times comes
    /// once, as it is now; one that changes again while this reads may come a position early, and comes again then.
    pub async fn account_data_since(
        &self,
        user_id: &UserId,
        after: Position,
        through: Position,
    ) -> Result<Vec<AccountData>, Unavailable> {
        if after >= through {
            return Ok(Vec::new());
        }
        let range = Range::all()
            .after(&(user_id.to_owned(), after))
            .through(&(user_id.to_owned(), through));
        let changes = self.scan(&ACCOUNT_DATA_STREAM, &range, usize::MAX).await?;
        let keys: Vec<_> = changes
            .into_iter()
            .map(|(_, (room, kind))| (user_id.to_owned(), room, kind))
            .collect();
        let rows = self.store().get_many(&ACCOUNT_DATA, &keys).await?;
        Ok(keys
            .into_iter()
            .zip(rows)
            .filter_map(|((_, room, kind), row)| decode(&room, kind, row?))
            .collect())
    }

    /// Sets a value as a client asks to.
    pub async fn set_account_data(
        &self,
        user_id: &UserId,
        room_id: Option<&RoomId>,
        kind: &str,
        content: &RawValue,
    ) -> Result<Position, AccountDataError> {
        if matches!(kind, "m.push_rules" | "m.fully_read") {
            return Err(AccountDataError::ReadOnly);
        }
        if kind.is_empty() || kind.len() > MAX_ACCOUNT_DATA_TYPE_BYTES {
            return Err(AccountDataError::InvalidType);
        }
        self.put_account_data(user_id, room_id, kind, |_| content.get().to_owned())
            .await
    }

    /// Sets a value from what it was, whatever its type. For the server's own kinds.
    pub async fn put_account_data(
        &self,
        user_id: &UserId,
        room_id: Option<&RoomId>,
        kind: &str,
        change: impl Fn(Option<&str>) -> String,
    ) -> Result<Position, AccountDataError> {
        let key = data_key(user_id, room_id, kind);
        let _turn = self.turns().turn(user_id).await;
        for _ in 0..ATTEMPTS {
            let stored = self.get(&ACCOUNT_DATA, &key).await?;
            let content = change(stored.as_ref().map(|(_, content)| content.as_str()));
            check_content(&content)?;
            if let Some(position) = self.try_put(&key, stored, content).await? {
                return Ok(position);
            }
        }
        Err(Unavailable::Contended.into())
    }

    /// Adds to the batch that all of the user's account data goes.
    pub(crate) async fn put_account_data_deletion(
        &self,
        batch: &mut Batch,
        user_id: &UserId,
    ) -> Result<(), Unavailable> {
        let user = (user_id.to_owned(),);
        let size = self.get(&ACCOUNT_DATA_SIZE, &user).await?;
        // Each change moves the size, so that none slips in between.
        batch.expect(&ACCOUNT_DATA_SIZE, &user, size.as_ref());
        batch.delete(&ACCOUNT_DATA_SIZE, &user);
        let range = Range::prefix(&user);
        for (key, (position, _)) in self.scan(&ACCOUNT_DATA, &range, usize::MAX).await? {
            batch.delete(&ACCOUNT_DATA_STREAM, &(user_id.to_owned(), position));
            batch.delete(&ACCOUNT_DATA, &key);
        }
        Ok(())
    }

    async fn try_put(
        &self,
        key: &DataKey,
        stored: Option<(Position, String)>,
        content: String,
    ) -> Result<Option<Position>, AccountDataError> {
        let user = (key.0.clone(),);
        let size = self.get(&ACCOUNT_DATA_SIZE, &user).await?;
        let row_bytes = |content: &str| (key.1.len() + key.2.len() + content.len()) as u64;
        let before = stored.as_ref().map_or(0, |(_, content)| row_bytes(content));
        let total = size.map_or(0, |(size,)| size).saturating_sub(before) + row_bytes(&content);
        if total > MAX_ACCOUNT_DATA_BYTES_PER_USER && row_bytes(&content) > before {
            return Err(AccountDataError::TooLarge);
        }
        let mut batch = Batch::new();
        let position = batch.next_position();
        batch.expect(&ACCOUNT_DATA, key, stored.as_ref());
        batch.expect(&ACCOUNT_DATA_SIZE, &user, size.as_ref());
        if let Some((former, _)) = stored {
            batch.delete(&ACCOUNT_DATA_STREAM, &(key.0.clone(), former));
        }
        batch.put(&ACCOUNT_DATA, key, &(position, content));
        batch.put(
            &ACCOUNT_DATA_STREAM,
            &(key.0.clone(), position),
            &(key.1.clone(), key.2.clone()),
        );
        batch.put(&ACCOUNT_DATA_SIZE, &user, &(total,));
        batch.touch(Topic::User(key.0.clone()));
        let committed = self.commit(batch).await?;
        Ok(committed.map(|commit: Commit| commit.resolve(position)))
    }
}

type DataKey = (ruma::OwnedUserId, String, String);

fn data_key(user_id: &UserId, room_id: Option<&RoomId>, kind: &str) -> DataKey {
    let room = room_id.map_or_else(String::new, ToString::to_string);
    (user_id.to_owned(), room, kind.to_owned())
}

fn decode(room: &str, kind: String, (position, content): (Position, String)) -> Option<AccountData> {
    let room_id = match room {
        "" => None,
        room => Some(RoomId::parse(room).ok()?),
    };
    Some(AccountData {
        room_id,
        kind,
        content: RawValue::from_string(content).ok()?,
        position,
    })
}

fn check_content(content: &str) -> Result<(), AccountDataError> {
    if content.len() > MAX_ACCOUNT_DATA_BYTES {
        return Err(AccountDataError::TooLarge);
    }
    match serde_json::from_str(content) {
        Ok(Value::Object(_)) => Ok(()),
        Ok(_) => Err(AccountDataError::NotAnObject),
        Err(_) => Err(AccountDataError::Number),
    }
}
