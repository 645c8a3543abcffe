//! Profiles: display name, avatar, and any other field.

use std::collections::BTreeMap;

use gatehouse_store::{Batch, Topic, json_value};
use ruma::UserId;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

use crate::{
    Accounts, Unavailable, UserError,
    accounts::ATTEMPTS,
    tables::{PROFILES, USERS},
};

/// The longest display name, in characters (limits.md §2).
pub const MAX_DISPLAYNAME_CHARS: usize = 256;

/// The longest avatar address, in bytes (limits.md §2).
pub const MAX_AVATAR_URL_BYTES: usize = 1_000;

/// The largest profile, as canonical JSON (specification, "Profiles").
pub const MAX_PROFILE_BYTES: usize = 65_536;

/// The longest name of a field (specification, "Profiles").
pub const MAX_PROFILE_KEY_BYTES: usize = 255;

/// What is stored of a profile.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct ProfileRow {
    fields: BTreeMap<String, Value>,
}
json_value!(ProfileRow);

/// A user's profile.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Profile {
    /// All fields, the two best known included.
    pub fields: BTreeMap<String, Value>,
}

impl Profile {
    /// What the user wants to be called.
    pub fn displayname(&self) -> Option<&str> {
        self.fields.get("displayname").and_then(Value::as_str)
    }

    /// The user's picture, as an `mxc:` address.
    pub fn avatar_url(&self) -> Option<&str> {
        self.fields.get("avatar_url").and_then(Value::as_str)
    }
}

/// Why a profile was not changed.
#[derive(Debug, Clone, Error)]
pub enum ProfileError {
    /// The field's name breaks the grammar. `M_INVALID_PARAM`.
    #[error(
        "A profile field is `displayname`, `avatar_url`, `m.tz`, or a name with a dot such as `org.example.pronouns`."
    )]
    InvalidKey,
    /// The field's name is too long. `M_KEY_TOO_LARGE`.
    #[error("The name of a profile field may have at most {MAX_PROFILE_KEY_BYTES} bytes.")]
    KeyTooLarge,
    /// The value is not of the field's type. `M_INVALID_PARAM`.
    #[error("The value of this profile field must be a string or null.")]
    NotAString,
    /// The display name is too long. `M_TOO_LARGE`.
    #[error("A display name may have at most {MAX_DISPLAYNAME_CHARS} characters.")]
    DisplaynameTooLong,
    /// The avatar's address is too long. `M_TOO_LARGE`.
    #[error("The address of an avatar may have at most {MAX_AVATAR_URL_BYTES} bytes.")]
    AvatarUrlTooLong,
    /// All together would be too much. `M_PROFILE_TOO_LARGE`.
    #[error("A profile may have at most {MAX_PROFILE_BYTES} bytes in all.")]
    TooLarge,
    /// There is no such user, or not any more.
    #[error(transparent)]
    User(#[from] UserError),
    /// The server cannot.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// Whether a write changed what others see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProfileChange {
    /// It is as it was.
    Unchanged,
    /// The user's rooms are to be told.
    Changed,
}

impl Accounts {
    /// The user's profile; empty when nothing is set. `None`: no such user, or not any more.
    pub async fn profile(&self, user_id: &UserId) -> Result<Option<Profile>, Unavailable> {
        if let Some(row) = self.get(&PROFILES, &(user_id.to_owned(),)).await? {
            return Ok(Some(Profile { fields: row.fields }));
        }
        let user = self.user_row(user_id).await?;
        Ok(user.filter(|row| !row.deactivated).map(|_| Profile::default()))
    }

    /// Sets a field. For `displayname`, `avatar_url` and `m.tz`, `null` and empty text take it away, as clients of
    /// all ages send either.
    pub async fn set_profile_field(
        &self,
        user_id: &UserId,
        key: &str,
        value: Value,
    ) -> Result<ProfileChange, ProfileError> {
        check_key(key)?;
        let value = check_value(key, value)?;
        self.change_profile(user_id, key, value).await
    }

    /// Takes a field away, if it is there.
    pub async fn delete_profile_field(
        &self,
        user_id: &UserId,
        key: &str,
    ) -> Result<ProfileChange, ProfileError> {
        check_key(key)?;
        self.change_profile(user_id, key, None).await
    }

    async fn change_profile(
        &self,
        user_id: &UserId,
        key: &str,
        value: Option<Value>,
    ) -> Result<ProfileChange, ProfileError> {
        let _turn = self.turns().turn(user_id).await;
        let row_key = (user_id.to_owned(),);
        for _ in 0..ATTEMPTS {
            let user = self.active_user_row(user_id).await?;
            let row = self.get(&PROFILES, &row_key).await?;
            let mut changed = row.clone().unwrap_or_default();
            match &value {
                Some(value) => changed.fields.insert(key.to_owned(), value.clone()),
                None => changed.fields.remove(key),
            };
            if changed == row.clone().unwrap_or_default() {
                return Ok(ProfileChange::Unchanged);
            }
            if value.is_some() && changed.size() > MAX_PROFILE_BYTES {
                return Err(ProfileError::TooLarge);
            }
            let mut batch = Batch::new();
            // Nothing may be left of whoever is deactivated meanwhile.
            batch.expect(&USERS, &row_key, Some(&user));
            batch.expect(&PROFILES, &row_key, row.as_ref());
            batch.put(&PROFILES, &row_key, &changed);
            batch.touch(Topic::User(user_id.to_owned()));
            if self.commit(batch).await?.is_some() {
                return Ok(ProfileChange::Changed);
            }
        }
        Err(Unavailable::Contended.into())
    }
}

impl ProfileRow {
    fn size(&self) -> usize {
        serde_json::to_string(&self.fields).map_or(usize::MAX, |text| text.len())
    }
}

/// The grammar of the specification; the common namespaced identifier grammar for all but the defined names.
fn check_key(key: &str) -> Result<(), ProfileError> {
    if key.len() > MAX_PROFILE_KEY_BYTES {
        return Err(ProfileError::KeyTooLarge);
    }
    if matches!(key, "displayname" | "avatar_url" | "m.tz") {
        return Ok(());
    }
    let is_part = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-'))
    };
    let starts_with_letter = key.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
    if starts_with_letter && key.contains('.') && key.split('.').all(is_part) {
        Ok(())
    } else {
        Err(ProfileError::InvalidKey)
    }
}

fn check_value(key: &str, value: Value) -> Result<Option<Value>, ProfileError> {
    if !matches!(key, "displayname" | "avatar_url" | "m.tz") {
        return Ok(Some(value));
    }
    if value.is_null() {
        return Ok(None);
    }
    let text = value.as_str().ok_or(ProfileError::NotAString)?;
    if key == "displayname" && text.chars().count() > MAX_DISPLAYNAME_CHARS {
        return Err(ProfileError::DisplaynameTooLong);
    }
    if key == "avatar_url" && text.len() > MAX_AVATAR_URL_BYTES {
        return Err(ProfileError::AvatarUrlTooLong);
    }
    Ok((!text.is_empty()).then_some(value))
}
