//! Filters that clients store, to name them in `/sync`.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use gatehouse_store::Batch;
use ruma::{RoomId, UserId};
use serde_json::{Map, Value};
use thiserror::Error;

use crate::{
    Accounts, Unavailable, access_token,
    accounts::ATTEMPTS,
    tables::{FILTER_COUNTS, FILTERS},
};

/// The largest filter (limits.md §2).
pub const MAX_FILTER_BYTES: usize = 64 * 1024;

/// How many filters a user may store (limits.md §2).
pub const MAX_FILTERS_PER_USER: u64 = 1_000;

/// Why a filter was not stored.
#[derive(Debug, Clone, Error)]
pub enum FilterError {
    /// A field has a wrong type, or an id is none. `M_BAD_JSON`.
    #[error("The filter's `{0}` is not of the type that it should have.")]
    Invalid(&'static str),
    /// It is too large. `M_TOO_LARGE`.
    #[error("A filter may have at most 64 KiB.")]
    TooLarge,
    /// The user has stored as many as one may. `M_RESOURCE_LIMIT_EXCEEDED`.
    #[error(
        "You have stored {MAX_FILTERS_PER_USER} filters already; use one of those, or send the filter inline."
    )]
    TooMany,
    /// The server cannot.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

impl Accounts {
    /// Stores a filter and gives its id; the same filter again has the same id.
    pub async fn define_filter(
        &self,
        user_id: &UserId,
        filter: &Map<String, Value>,
    ) -> Result<String, FilterError> {
        check_filter(filter)?;
        let text = Value::Object(filter.clone()).to_string();
        if text.len() > MAX_FILTER_BYTES {
            return Err(FilterError::TooLarge);
        }
        // 128 bits of the digest. It never begins with `{`, by which an inline filter is known.
        let digest = access_token::digest(&text);
        let (half, _) = digest.split_at(16);
        let key = (user_id.to_owned(), URL_SAFE_NO_PAD.encode(half));
        let user = (user_id.to_owned(),);
        let _turn = self.turns().turn(user_id).await;
        for _ in 0..ATTEMPTS {
            if self.get(&FILTERS, &key).await?.is_some() {
                return Ok(key.1);
            }
            let stored = self.get(&FILTER_COUNTS, &user).await?;
            let count = stored.map_or(0, |(count,)| count);
            if count >= MAX_FILTERS_PER_USER {
                return Err(FilterError::TooMany);
            }
            let mut batch = Batch::new();
            batch.expect(&FILTER_COUNTS, &user, stored.as_ref());
            batch.expect(&FILTERS, &key, None);
            batch.put(&FILTER_COUNTS, &user, &(count + 1,));
            batch.put(&FILTERS, &key, &(text.clone(),));
            if self.commit(batch).await?.is_some() {
                return Ok(key.1);
            }
        }
        Err(Unavailable::Contended.into())
    }

    /// A stored filter, as JSON.
    pub async fn filter(&self, user_id: &UserId, filter_id: &str) -> Result<Option<String>, Unavailable> {
        let row = self
            .get(&FILTERS, &(user_id.to_owned(), filter_id.to_owned()))
            .await?;
        Ok(row.map(|(text,)| text))
    }
}

/// Whether all fields that the specification defines have their types. Others may be anything.
pub fn check_filter(filter: &Map<String, Value>) -> Result<(), FilterError> {
    strings(filter, "event_fields")?;
    match filter.get("event_format") {
        None | Some(Value::Null) => {}
        Some(Value::String(format)) if matches!(format.as_str(), "client" | "federation") => {}
        Some(_) => return Err(FilterError::Invalid("event_format")),
    }
    for part in ["presence", "account_data"] {
        if let Some(part) = object(filter, part)? {
            check_event_filter(part)?;
        }
    }
    let Some(room) = object(filter, "room")? else {
        return Ok(());
    };
    rooms(room, "rooms")?;
    rooms(room, "not_rooms")?;
    flag(room, "include_leave")?;
    for part in ["ephemeral", "state", "timeline", "account_data"] {
        if let Some(part) = object(room, part)? {
            check_room_event_filter(part)?;
        }
    }
    Ok(())
}

/// The filter of one kind of event in rooms; also what `/messages` and `/context` take.
pub fn check_room_event_filter(filter: &Map<String, Value>) -> Result<(), FilterError> {
    check_event_filter(filter)?;
    rooms(filter, "rooms")?;
    rooms(filter, "not_rooms")?;
    for key in [
        "contains_url",
        "include_redundant_members",
        "lazy_load_members",
        "unread_thread_notifications",
    ] {
        flag(filter, key)?;
    }
    Ok(())
}

fn check_event_filter(filter: &Map<String, Value>) -> Result<(), FilterError> {
    match filter.get("limit") {
        None | Some(Value::Null) => {}
        Some(limit) if limit.as_u64().is_some() => {}
        Some(_) => return Err(FilterError::Invalid("limit")),
    }
    strings(filter, "types")?;
    strings(filter, "not_types")?;
    users(filter, "senders")?;
    users(filter, "not_senders")
}

fn object<'a>(
    filter: &'a Map<String, Value>,
    key: &'static str,
) -> Result<Option<&'a Map<String, Value>>, FilterError> {
    match filter.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(object)) => Ok(Some(object)),
        Some(_) => Err(FilterError::Invalid(key)),
    }
}

fn flag(filter: &Map<String, Value>, key: &'static str) -> Result<(), FilterError> {
    match filter.get(key) {
        None | Some(Value::Null | Value::Bool(_)) => Ok(()),
        Some(_) => Err(FilterError::Invalid(key)),
    }
}

fn strings(filter: &Map<String, Value>, key: &'static str) -> Result<(), FilterError> {
    list(filter, key, |_| true)
}

fn rooms(filter: &Map<String, Value>, key: &'static str) -> Result<(), FilterError> {
    list(filter, key, |id| RoomId::parse(id).is_ok())
}

fn users(filter: &Map<String, Value>, key: &'static str) -> Result<(), FilterError> {
    list(filter, key, |id| UserId::parse(id).is_ok())
}

fn list(
    filter: &Map<String, Value>,
    key: &'static str,
    holds: impl Fn(&str) -> bool,
) -> Result<(), FilterError> {
    match filter.get(key) {
        None | Some(Value::Null) => Ok(()),
        Some(Value::Array(items)) if items.iter().all(|item| item.as_str().is_some_and(&holds)) => Ok(()),
        Some(_) => Err(FilterError::Invalid(key)),
    }
}
