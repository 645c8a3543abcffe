//! Listing, setting and deleting pushers.

use gatehouse_store::Batch;
use ruma::UserId;

use super::{
    MAX_PUSHERS, MAX_USERS_OF_PUSHKEY, Pusher, PusherError, PusherRow, PushkeyRow, check_key, row::PusherKey,
};
use crate::{
    Accounts, Session, Unavailable,
    accounts::ATTEMPTS,
    tables::{ACCESS_TOKENS, DEVICES, PUSHERS, PUSHKEYS},
};

impl Accounts {
    /// The user's pushers.
    pub async fn pushers(&self, user_id: &UserId) -> Result<Vec<Pusher>, Unavailable> {
        let [holding, _] = self.pusher_rows(user_id).await?;
        Ok(holding.into_iter().map(|(_, row)| row.pusher).collect())
    }

    /// Sets a pusher, in place of the user's one of the same app and pushkey. Unless it is to be appended, those of
    /// other users go: the device has changed hands.
    pub async fn set_pusher(
        &self,
        session: &Session,
        pusher: &Pusher,
        append: bool,
    ) -> Result<(), PusherError> {
        pusher.check()?;
        let _turn = self.turns().turn(&session.user_id).await;
        for _ in 0..ATTEMPTS {
            let batch = self.setting(session, pusher, append).await?;
            if self.commit(batch).await?.is_some() {
                return Ok(());
            }
        }
        Err(Unavailable::Contended.into())
    }

    /// Deletes the user's pusher of this app and pushkey, if there is one.
    pub async fn delete_pusher(
        &self,
        user_id: &UserId,
        app_id: &str,
        pushkey: &str,
    ) -> Result<(), PusherError> {
        check_key(app_id, pushkey)?;
        let key = (user_id.to_owned(), app_id.to_owned(), pushkey.to_owned());
        for _ in 0..ATTEMPTS {
            let Some(row) = self.get(&PUSHERS, &key).await? else {
                return Ok(());
            };
            let mut batch = Batch::new();
            self.put_pusher_deletion(&mut batch, &key, &row).await?;
            if self.commit(batch).await?.is_some() {
                return Ok(());
            }
        }
        Err(Unavailable::Contended.into())
    }

    /// The commit that sets the pusher. It holds only while the session does.
    async fn setting(&self, session: &Session, pusher: &Pusher, append: bool) -> Result<Batch, PusherError> {
        let user_id = &session.user_id;
        let mut batch = Batch::new();
        let token = (session.digest,);
        let token_row = self.get(&ACCESS_TOKENS, &token).await?;
        let device = (user_id.clone(), session.device_id.clone());
        let device_row = self.get(&DEVICES, &device).await?;
        let (Some(token_row), Some(device_row)) = (token_row, device_row) else {
            return Err(PusherError::LoggedOut);
        };
        batch.expect(&ACCESS_TOKENS, &token, Some(&token_row));
        batch.expect(&DEVICES, &device, Some(&device_row));
        let key = (user_id.clone(), pusher.app_id.clone(), pusher.pushkey.clone());
        self.check_room(&key).await?;
        self.put_share(&mut batch, &key, append).await?;
        let row = PusherRow {
            pusher: pusher.clone(),
            device_id: session.device_id.clone(),
            login: device_row.login().to_owned(),
        };
        batch.put(&PUSHERS, &key, &row);
        Ok(batch)
    }

    async fn check_room(&self, key: &PusherKey) -> Result<(), PusherError> {
        let [holding, _] = self.pusher_rows(&key.0).await?;
        let is_new = holding.iter().all(|(other, _)| other != key);
        if is_new && holding.len() >= MAX_PUSHERS {
            return Err(PusherError::TooMany);
        }
        Ok(())
    }

    /// Adds to the batch that the user has this pushkey, alone or with others.
    async fn put_share(&self, batch: &mut Batch, key: &PusherKey, append: bool) -> Result<(), PusherError> {
        let (user_id, app_id, pushkey) = key.clone();
        let shared = (app_id, pushkey);
        let old = self.get(&PUSHKEYS, &shared).await?;
        batch.expect(&PUSHKEYS, &shared, old.as_ref());
        let PushkeyRow { mut users } = old.unwrap_or_default();
        users.retain(|other| *other != user_id);
        if !append {
            for other in users.drain(..) {
                batch.delete(&PUSHERS, &(other, shared.0.clone(), shared.1.clone()));
            }
        }
        if users.len() >= MAX_USERS_OF_PUSHKEY {
            return Err(PusherError::TooMany);
        }
        users.push(user_id);
        batch.put(&PUSHKEYS, &shared, &PushkeyRow { users });
        Ok(())
    }
}
