//! Devices: one for each login.

use std::collections::HashMap;

use gatehouse_store::{Batch, Range, Topic, json_value};
use ruma::{DeviceId, OwnedDeviceId, OwnedUserId, UserId};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    Accounts, Secret, Unavailable,
    access_token::Digest,
    accounts::ATTEMPTS,
    random,
    refresh_token::REFRESHABLE_LIFETIME_MS,
    seen_devices::LastSeenRow,
    tables::{DEVICES, LAST_SEEN},
};

/// The longest display name of a device, in characters (limits.md §2).
pub const MAX_DEVICE_NAME_CHARS: usize = 100;

/// The longest device id, in bytes: as of any opaque identifier.
pub const MAX_DEVICE_ID_BYTES: usize = 255;

/// Ten letters: 47 bits, and unique among one user's.
const DEVICE_ID_CHARS: usize = 10;

/// 11 characters of 5.95 bits: 65 bits. Tells logins of one device apart, and is no secret.
const LOGIN_CHARS: usize = 11;

/// What is stored of a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DeviceRow {
    display_name: Option<String>,
    created_ms: u64,
    /// Another one for each login. What belongs to a login ends with it, though the device is used again.
    #[serde(default)]
    login: String,
}
json_value!(DeviceRow);

impl DeviceRow {
    pub(crate) fn login(&self) -> &str {
        &self.login
    }
}

/// A device, as its owner sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Unique among the user's devices.
    pub device_id: OwnedDeviceId,
    /// What the user calls it.
    pub display_name: Option<String>,
    /// When it was last used, in milliseconds since 1970, to a minute.
    pub last_seen_ts_ms: Option<u64>,
    /// The address that it was last used from.
    pub last_seen_ip: Option<String>,
}

/// Why nothing was done to a device.
#[derive(Debug, Clone, Error)]
pub enum DeviceError {
    /// The user has no such device.
    #[error("You have no such device.")]
    NotFound,
    /// The new name is too long.
    #[error("A device's name may have at most {MAX_DEVICE_NAME_CHARS} characters.")]
    NameTooLong,
    /// The server cannot.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// Why a device cannot be logged in.
#[derive(Debug, Clone, Error)]
pub enum NewDeviceError {
    /// The device id is empty or too long.
    #[error("A device ID must have 1 to {MAX_DEVICE_ID_BYTES} bytes.")]
    InvalidDeviceId,
    /// The user has as many devices as a user may have.
    #[error("This account is logged in on too many devices; log out one of them first.")]
    TooManyDevices,
    /// The server cannot.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// How a login wants its device and tokens.
#[derive(Debug, Clone, Default)]
pub struct DeviceRequest {
    /// The device to use again; a new one is made when there is none of this id.
    pub device_id: Option<OwnedDeviceId>,
    /// The name of a new device; cut at [`MAX_DEVICE_NAME_CHARS`].
    pub initial_display_name: Option<String>,
    /// Whether the client can refresh: then its access token expires.
    pub refresh_token: bool,
}

/// A device with new tokens.
#[derive(Debug)]
pub struct LoggedIn {
    /// Whose it is.
    pub user_id: OwnedUserId,
    /// The device.
    pub device_id: OwnedDeviceId,
    /// Its access token.
    pub access_token: Secret,
    /// Its refresh token, when the client can refresh.
    pub refresh_token: Option<Secret>,
    /// How long the access token holds, in milliseconds; `None`: until it is revoked.
    pub expires_in_ms: Option<u64>,
}

impl Accounts {
    /// The user's devices, by id.
    pub async fn devices(&self, user_id: &UserId) -> Result<Vec<Device>, Unavailable> {
        let range = Range::prefix(&(user_id.to_owned(),));
        let rows = self.scan(&DEVICES, &range, usize::MAX).await?;
        let keys: Vec<_> = rows.iter().map(|(key, _)| key.clone()).collect();
        let seen = self.store().get_many(&LAST_SEEN, &keys).await?;
        Ok(rows
            .into_iter()
            .zip(seen)
            .map(|((key, row), seen)| {
                let seen = self.last_seen().get(&key).or(seen);
                describe(key.1, row, seen)
            })
            .collect())
    }

    /// One of the user's devices.
    pub async fn device(&self, user_id: &UserId, device_id: &DeviceId) -> Result<Device, DeviceError> {
        let key = (user_id.to_owned(), device_id.to_owned());
        let row = self.get(&DEVICES, &key).await?.ok_or(DeviceError::NotFound)?;
        let seen = match self.last_seen().get(&key) {
            Some(seen) => Some(seen),
            None => self.get(&LAST_SEEN, &key).await?,
        };
        Ok(describe(key.1, row, seen))
    }

    /// Renames a device. `None` leaves its name as it is.
    pub async fn rename_device(
        &self,
        user_id: &UserId,
        device_id: &DeviceId,
        display_name: Option<String>,
    ) -> Result<(), DeviceError> {
        let key = (user_id.to_owned(), device_id.to_owned());
        for _ in 0..ATTEMPTS {
            let row = self.get(&DEVICES, &key).await?.ok_or(DeviceError::NotFound)?;
            let Some(display_name) = display_name.clone() else {
                return Ok(());
            };
            if display_name.chars().count() > MAX_DEVICE_NAME_CHARS {
                return Err(DeviceError::NameTooLong);
            }
            let mut batch = Batch::new();
            batch.expect(&DEVICES, &key, Some(&row));
            let renamed = DeviceRow {
                display_name: Some(display_name),
                ..row
            };
            batch.put(&DEVICES, &key, &renamed);
            batch.touch(Topic::User(user_id.to_owned()));
            if self.commit(batch).await?.is_some() {
                return Ok(());
            }
        }
        Err(Unavailable::Contended.into())
    }

    /// Deletes devices and revokes their tokens. Ids that are not there are passed over.
    pub async fn delete_devices(
        &self,
        user_id: &UserId,
        device_ids: &[OwnedDeviceId],
    ) -> Result<(), Unavailable> {
        let mut batch = Batch::new();
        let mut revoked = Vec::new();
        for device_id in device_ids {
            revoked.extend(self.put_device_deletion(&mut batch, user_id, device_id).await?);
        }
        if batch.is_empty() {
            return Ok(());
        }
        batch.touch(Topic::User(user_id.to_owned()));
        // Sessions that came into being meanwhile are looked up again, and found without a device.
        self.commit_revocation(batch, revoked, Some(user_id)).await?;
        for device_id in device_ids {
            self.last_seen().forget(&(user_id.to_owned(), device_id.clone()));
        }
        Ok(())
    }

    /// Deletes all devices of a user but one.
    pub async fn delete_other_devices(
        &self,
        user_id: &UserId,
        keep: Option<&DeviceId>,
    ) -> Result<(), Unavailable> {
        let mut others = self.device_ids(user_id).await?;
        others.retain(|device_id| Some(&**device_id) != keep);
        self.delete_devices(user_id, &others).await
    }

    pub(crate) async fn device_ids(&self, user_id: &UserId) -> Result<Vec<OwnedDeviceId>, Unavailable> {
        let range = Range::prefix(&(user_id.to_owned(),));
        let rows = self.scan(&DEVICES, &range, usize::MAX).await?;
        Ok(rows.into_iter().map(|((_, device_id), _)| device_id).collect())
    }

    /// The login of each of the user's devices.
    pub(crate) async fn logins(
        &self,
        user_id: &UserId,
    ) -> Result<HashMap<OwnedDeviceId, String>, Unavailable> {
        let range = Range::prefix(&(user_id.to_owned(),));
        let rows = self.scan(&DEVICES, &range, usize::MAX).await?;
        Ok(rows
            .into_iter()
            .map(|((_, device_id), row)| (device_id, row.login))
            .collect())
    }

    /// Adds to the batch that the device and its tokens go.
    pub(crate) async fn put_device_deletion(
        &self,
        batch: &mut Batch,
        user_id: &UserId,
        device_id: &DeviceId,
    ) -> Result<Vec<Digest>, Unavailable> {
        let key = (user_id.to_owned(), device_id.to_owned());
        if self.get(&DEVICES, &key).await?.is_none() {
            return Ok(Vec::new());
        }
        batch.delete(&DEVICES, &key);
        batch.delete(&LAST_SEEN, &key);
        self.revoke_families(batch, user_id, device_id).await?;
        self.revoke_access_tokens(batch, user_id, device_id).await
    }

    /// Adds a login to the batch: the device, new or used again, and its tokens in place of its former ones, whose
    /// digests are to be forgotten after the commit.
    pub(crate) async fn put_login(
        &self,
        batch: &mut Batch,
        user_id: &UserId,
        request: &DeviceRequest,
    ) -> Result<(LoggedIn, Vec<Digest>), NewDeviceError> {
        let device_id = match &request.device_id {
            Some(id) if id.as_str().is_empty() || id.as_str().len() > MAX_DEVICE_ID_BYTES => {
                return Err(NewDeviceError::InvalidDeviceId);
            }
            Some(id) => id.clone(),
            None => random::capitals(DEVICE_ID_CHARS)
                .map_err(Unavailable::from)?
                .into(),
        };
        let key = (user_id.to_owned(), device_id.clone());
        let existing = self.get(&DEVICES, &key).await?;
        batch.expect(&DEVICES, &key, existing.as_ref());
        batch.touch(Topic::User(user_id.to_owned()));
        // Also of a device that is new: it may have been deleted while it logged in.
        self.revoke_families(batch, user_id, &device_id).await?;
        let replaced = self.revoke_access_tokens(batch, user_id, &device_id).await?;
        let login = random::base62(LOGIN_CHARS).map_err(Unavailable::from)?;
        let row = if let Some(row) = existing {
            DeviceRow { login, ..row }
        } else {
            if self.device_ids(user_id).await?.len() >= self.config().max_devices {
                return Err(NewDeviceError::TooManyDevices);
            }
            DeviceRow {
                display_name: request.initial_display_name.as_deref().map(cut),
                created_ms: self.now_ms(),
                login,
            }
        };
        batch.put(&DEVICES, &key, &row);
        let expires_in_ms = request.refresh_token.then_some(REFRESHABLE_LIFETIME_MS);
        let expires_ms = expires_in_ms.map(|lifetime_ms| self.now_ms().saturating_add(lifetime_ms));
        let access_token = Self::put_access_token(batch, user_id, &device_id, expires_ms)?;
        let refresh_token = if request.refresh_token {
            Some(Self::put_refresh_token(batch, user_id, &device_id)?)
        } else {
            None
        };
        let logged_in = LoggedIn {
            user_id: user_id.to_owned(),
            device_id,
            access_token,
            refresh_token,
            expires_in_ms,
        };
        Ok((logged_in, replaced))
    }
}

fn describe(device_id: OwnedDeviceId, row: DeviceRow, seen: Option<LastSeenRow>) -> Device {
    let (last_seen_ts_ms, last_seen_ip) = seen.map_or((None, None), |seen| (Some(seen.ts_ms), seen.address));
    Device {
        device_id,
        display_name: row.display_name,
        last_seen_ts_ms,
        last_seen_ip,
    }
}

fn cut(name: &str) -> String {
    name.chars().take(MAX_DEVICE_NAME_CHARS).collect()
}
