//! Access tokens in the store: who has one, giving one out, revoking it.

use std::sync::{Arc, atomic::AtomicU64};

use gatehouse_store::{Batch, Notice, Range, Topic};
use ruma::{DeviceId, UserId};

use crate::{
    Accounts, Secret, Unavailable,
    access_token::{self, Digest},
    session::{AccessTokenRow, AuthError, Session},
    tables::{ACCESS_TOKENS, DEVICE_TOKENS, DEVICES},
};

/// How many access tokens a device may have at once: one, and those that a refresh has replaced but that have not
/// expired yet.
const MAX_TOKENS_PER_DEVICE: usize = 8;

/// Tokens looked up at once.
const TOKENS_AT_ONCE: usize = 1_000;

impl Accounts {
    /// Whose access token this is. Nearly always answered from memory.
    pub async fn authenticate(&self, token: &str) -> Result<Arc<Session>, AuthError> {
        if !access_token::is_access_token(token) {
            return Err(AuthError::UnknownToken);
        }
        let digest = access_token::digest(token);
        let session = match self.sessions().get(&digest) {
            Some(session) => session,
            None => self.load_session(digest).await?,
        };
        if session
            .expires_ms
            .is_some_and(|expires_ms| expires_ms <= self.now_ms())
        {
            return Err(AuthError::Expired);
        }
        if session.is_locked {
            return Err(AuthError::Locked(session));
        }
        Ok(session)
    }

    async fn load_session(&self, digest: Digest) -> Result<Arc<Session>, AuthError> {
        let end = self.sessions().ends.of(digest);
        let revocations = self.sessions().revocations();
        let token = self
            .get(&ACCESS_TOKENS, &(digest,))
            .await?
            .ok_or(AuthError::UnknownToken)?;
        let user = self
            .user_row(&token.user_id)
            .await?
            .ok_or(AuthError::UnknownToken)?;
        // A token made while its device was being deleted is left over.
        let device = (token.user_id.clone(), token.device_id.clone());
        if user.deactivated || self.get(&DEVICES, &device).await?.is_none() {
            return Err(AuthError::UnknownToken);
        }
        let session = Arc::new(Session {
            user_id: token.user_id,
            device_id: token.device_id,
            is_guest: user.guest,
            is_admin: user.admin,
            is_suspended: user.suspended,
            digest,
            is_locked: user.locked,
            expires_ms: token.expires_ms,
            noted_ms: AtomicU64::new(0),
            end,
        });
        self.sessions().ends.belongs(digest, &session.user_id);
        self.sessions().insert(digest, &session, revocations);
        Ok(session)
    }

    /// Forgets what other nodes on the same database have changed, until the store closes. Only where there are
    /// other nodes: this one's own changes are known at once.
    pub async fn follow_other_nodes(&self) {
        let mut watch = self.store().watch();
        // What changed before the watch began would be missed.
        self.sessions().forget_all();
        while let Some(notice) = watch.next().await {
            match notice {
                Notice::Everything => {
                    self.sessions().forget_all();
                    self.end_revoked(None).await;
                }
                Notice::Changes(changes) => {
                    for topic in changes.topics.iter() {
                        if let Topic::User(user_id) = topic {
                            self.sessions().forget_user(user_id);
                            self.end_revoked(Some(user_id)).await;
                        }
                    }
                }
            }
        }
    }

    /// Ends what waits on sessions of the user, or of everybody, whose tokens another node has revoked.
    async fn end_revoked(&self, user_id: Option<&UserId>) {
        for digests in self.sessions().ends.in_use(user_id).chunks(TOKENS_AT_ONCE) {
            let keys: Vec<_> = digests.iter().map(|digest| (*digest,)).collect();
            // Where the store cannot tell, the sessions end with the requests that wait.
            let rows = self
                .store()
                .get_many(&ACCESS_TOKENS, &keys)
                .await
                .unwrap_or_default();
            let revoked = digests.iter().zip(rows).filter(|(_, row)| row.is_none());
            let revoked: Vec<_> = revoked.map(|(digest, _)| *digest).collect();
            if !revoked.is_empty() {
                self.sessions().forget(&revoked);
            }
        }
    }

    /// Adds a new access token for the device to the batch.
    pub(crate) fn put_access_token(
        batch: &mut Batch,
        user_id: &UserId,
        device_id: &DeviceId,
        expires_ms: Option<u64>,
    ) -> Result<Secret, Unavailable> {
        let token = access_token::new_access_token()?;
        let digest = access_token::digest(token.expose());
        let row = AccessTokenRow {
            user_id: user_id.to_owned(),
            device_id: device_id.to_owned(),
            expires_ms,
        };
        let index = (user_id.to_owned(), device_id.to_owned(), digest);
        batch.put(&ACCESS_TOKENS, &(digest,), &row);
        batch.put(&DEVICE_TOKENS, &index, &(expires_ms.unwrap_or(u64::MAX),));
        Ok(token)
    }

    /// Adds to the batch that all access tokens of the device are revoked. After the commit, the digests are to be
    /// forgotten by the cache.
    pub(crate) async fn revoke_access_tokens(
        &self,
        batch: &mut Batch,
        user_id: &UserId,
        device_id: &DeviceId,
    ) -> Result<Vec<Digest>, Unavailable> {
        let tokens = self.device_tokens(user_id, device_id).await?;
        Ok(tokens
            .into_iter()
            .map(|(digest, _)| Self::delete_access_token(batch, user_id, device_id, digest))
            .collect())
    }

    /// Adds to the batch that expired access tokens of the device go, and the ones that expire first when there
    /// are too many.
    pub(crate) async fn prune_access_tokens(
        &self,
        batch: &mut Batch,
        user_id: &UserId,
        device_id: &DeviceId,
    ) -> Result<Vec<Digest>, Unavailable> {
        let now_ms = self.now_ms();
        let mut tokens = self.device_tokens(user_id, device_id).await?;
        tokens.sort_by_key(|(_, expires_ms)| *expires_ms);
        let surplus = (tokens.len() + 1).saturating_sub(MAX_TOKENS_PER_DEVICE);
        Ok(tokens
            .into_iter()
            .enumerate()
            .filter(|(index, (_, expires_ms))| *index < surplus || *expires_ms <= now_ms)
            .map(|(_, (digest, _))| Self::delete_access_token(batch, user_id, device_id, digest))
            .collect())
    }

    async fn device_tokens(
        &self,
        user_id: &UserId,
        device_id: &DeviceId,
    ) -> Result<Vec<(Digest, u64)>, Unavailable> {
        let range = Range::prefix(&(user_id.to_owned(), device_id.to_owned()));
        let rows = self.scan(&DEVICE_TOKENS, &range, usize::MAX).await?;
        Ok(rows
            .into_iter()
            .map(|((_, _, digest), (expires_ms,))| (digest, expires_ms))
            .collect())
    }

    fn delete_access_token(
        batch: &mut Batch,
        user_id: &UserId,
        device_id: &DeviceId,
        digest: Digest,
    ) -> Digest {
        batch.delete(&ACCESS_TOKENS, &(digest,));
        batch.delete(
            &DEVICE_TOKENS,
            &(user_id.to_owned(), device_id.to_owned(), digest),
        );
        digest
    }
}
