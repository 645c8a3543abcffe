//! An identity server in memory.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::{FutureExt, future::BoxFuture, future::ready};
use gatehouse_events::SigningKey;
use gatehouse_mail::Threepid;
use gatehouse_store::Batch;
use parking_lot::Mutex;
use ruma::{CanonicalJsonObject, OwnedUserId, RoomId, signatures::sign_json};
use serde_json::Value;

use super::super::house::content;
use crate::identity_servers::{
    Asker, IdentityServerError, IdentityServers, InviteFacts, InviteKey, StoreOutcome, StoredInvite,
};

/// Knows one address, and signs with one key.
pub(super) struct TestIdentityServer {
    key: SigningKey,
    /// The last two characters of the base64 in which it writes its key.
    pub(super) alphabet: Mutex<[&'static str; 2]>,
    pub(super) owner: Mutex<Option<OwnedUserId>>,
    pub(super) display_name: Mutex<String>,
    /// What it says of its key: in force, or why there is no word.
    pub(super) validity: Mutex<Result<bool, IdentityServerError>>,
    /// What it makes of its answers to `store-invite`.
    pub(super) spoil: Mutex<Option<fn(&mut StoredInvite)>>,
    /// Who has the address as soon as the next invitation is kept.
    pub(super) then_owned_by: Mutex<Option<OwnedUserId>>,
    pub(super) facts: Mutex<Option<InviteFacts>>,
    tokens: AtomicUsize,
    asked: AtomicUsize,
}

impl Default for TestIdentityServer {
    fn default() -> Self {
        Self {
            key: SigningKey::from_seed([9; 32], "0").unwrap(),
            alphabet: Mutex::new(["+", "/"]),
            owner: Mutex::default(),
            display_name: Mutex::new("b...@m...".to_owned()),
            validity: Mutex::new(Ok(true)),
            spoil: Mutex::default(),
            then_owned_by: Mutex::default(),
            facts: Mutex::default(),
            tokens: AtomicUsize::new(0),
            asked: AtomicUsize::new(0),
        }
    }
}

impl TestIdentityServer {
    pub(super) fn public_key(&self) -> String {
        let [plus, slash] = *self.alphabet.lock();
        let key = self.key.public_key_base64();
        key.replace('+', plus).replace('/', slash)
    }

    /// How often anything was asked.
    pub(super) fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }

    /// How many invitations it keeps.
    pub(super) fn tokens(&self) -> usize {
        self.tokens.load(Ordering::Relaxed)
    }

    pub(super) fn last_token(&self) -> String {
        format!("token{}", self.tokens.load(Ordering::Relaxed))
    }

    pub(super) fn sign(&self, block: &Value) -> Value {
        sign_with(&self.key, block)
    }
}

/// The block, signed by whoever has the key.
pub(super) fn sign_with(key: &SigningKey, block: &Value) -> Value {
    let mut object: CanonicalJsonObject = content(&block.to_string());
    sign_json("id.example", key, &mut object).unwrap();
    serde_json::to_value(object).unwrap()
}

impl IdentityServers for TestIdentityServer {
    fn lookup<'a>(
        &'a self,
        _: Asker<'a>,
        _: &'a Threepid,
    ) -> BoxFuture<'a, Result<Option<OwnedUserId>, IdentityServerError>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        ready(Ok(self.owner.lock().clone())).boxed()
    }

    fn store_invite<'a>(
        &'a self,
        _: Asker<'a>,
        _: &'a Threepid,
        _: &'a RoomId,
        facts: InviteFacts,
    ) -> BoxFuture<'a, Result<StoreOutcome, IdentityServerError>> {
        *self.facts.lock() = Some(facts);
        let number = self.tokens.fetch_add(1, Ordering::Relaxed) + 1;
        let mut stored = StoredInvite {
            token: format!("token{number}"),
            display_name: self.display_name.lock().clone(),
            public_keys: vec![InviteKey {
                public_key: self.public_key(),
                key_validity_url: "https://id.example/isvalid".to_owned(),
            }],
            beside: Batch::new(),
        };
        if let Some(owner) = self.then_owned_by.lock().take() {
            *self.owner.lock() = Some(owner);
        }
        if let Some(spoil) = *self.spoil.lock() {
            spoil(&mut stored);
        }
        ready(Ok(StoreOutcome::Stored(stored))).boxed()
    }

    fn is_key_valid<'a>(
        &'a self,
        _: &'a str,
        _: &'a str,
    ) -> BoxFuture<'a, Result<bool, IdentityServerError>> {
        ready(self.validity.lock().clone()).boxed()
    }
}
