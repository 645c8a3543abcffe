//! At which identity servers the addresses of users are bound through us, and where that is still to be undone.
//!
//! An address that is removed and an account that is closed leave bindings behind on servers that may not answer just
//! then. They are kept here until somebody reports that they are gone.

use gatehouse_mail::Threepid;
use gatehouse_store::{Batch, Range, json_value};
use ruma::{OwnedUserId, UserId};
use serde::{Deserialize, Serialize};

use crate::{
    Accounts, Unavailable,
    accounts::ATTEMPTS,
    tables::{BINDINGS, UNBINDING},
};

/// Bindings remembered for a user: each of their addresses at ten servers.
const MAX_BINDINGS: usize = 200;

/// How long to wait after the first failure, in milliseconds; twice as long after each further one.
const FIRST_PAUSE_MS: u64 = 60_000;

/// How long to wait at most, in milliseconds.
const LONGEST_PAUSE_MS: u64 = 24 * 3_600 * 1_000;

/// After so many failures, about a month, the server is taken to be gone.
const MAX_FAILURES: u32 = 40;

/// What is stored of a binding.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct BindingRow {
    /// When it is to be undone, in milliseconds since 1970.
    unbind_ms: Option<u64>,
    failures: u32,
}
json_value!(BindingRow);

/// An address that is bound to a user at an identity server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// To whom.
    pub user_id: OwnedUserId,
    /// The address.
    pub threepid: Threepid,
    /// The server, as it was named when it was bound.
    pub id_server: String,
}

type BindingKey = (OwnedUserId, String, String, String);

impl Accounts {
    /// Remembers that the address is bound to the user at this server.
    pub async fn note_binding(
        &self,
        user_id: &UserId,
        threepid: &Threepid,
        id_server: &str,
    ) -> Result<(), Unavailable> {
        let binding = Binding {
            user_id: user_id.to_owned(),
            threepid: threepid.clone(),
            id_server: id_server.to_owned(),
        };
        let key = key(&binding);
        for _ in 0..ATTEMPTS {
            let mut batch = Batch::new();
            self.put_change_of_threepids(&mut batch, user_id).await?;
            let is_active = self.expect_active(&mut batch, user_id).await?;
            let before = self.get(&BINDINGS, &key).await?;
            batch.expect(&BINDINGS, &key, before.as_ref());
            if let Some(due_ms) = before.as_ref().and_then(|row| row.unbind_ms) {
                batch.delete(&UNBINDING, &due(due_ms, &key));
            }
            if before.is_none() && self.bindings(user_id).await?.len() >= MAX_BINDINGS {
                // Whoever has so many does not expect us to undo them all.
                return Ok(());
            }
            // Bound while the account was being closed: undone at once.
            let unbind_ms = (!is_active).then(|| self.now_ms());
            if let Some(due_ms) = unbind_ms {
                batch.put(&UNBINDING, &due(due_ms, &key), &());
            }
            batch.put(
                &BINDINGS,
                &key,
                &BindingRow {
                    unbind_ms,
                    failures: 0,
                },
            );
            if self.commit(batch).await?.is_some() {
                return Ok(());
            }
        }
        Err(Unavailable::Contended)
    }

    /// Where addresses of the user are bound, those that are being unbound included.
    pub async fn bindings(&self, user_id: &UserId) -> Result<Vec<Binding>, Unavailable> {
        let range = Range::prefix(&(user_id.to_owned(),));
        let rows = self.scan(&BINDINGS, &range, MAX_BINDINGS).await?;
        Ok(rows
            .into_iter()
            .filter_map(|((user_id, medium, address, id_server), _)| {
                binding(user_id, &medium, &address, id_server)
            })
            .collect())
    }

    /// Bindings that are to be undone now; so many at most. Each is to be answered with [`Self::unbound`] or
    /// [`Self::postpone_unbinding`].
    pub async fn pending_unbindings(&self, limit: usize) -> Result<Vec<Binding>, Unavailable> {
        let now = Range::all().before(&(self.now_ms().saturating_add(1),));
        let rows = self.scan(&UNBINDING, &now, limit).await?;
        Ok(rows
            .into_iter()
            .filter_map(|((_, user_id, medium, address, id_server), ())| {
                binding(user_id, &medium, &address, id_server)
            })
            .collect())
    }

    /// The address is bound to the user at this server no more.
    pub async fn unbound(
        &self,
        user_id: &UserId,
        threepid: &Threepid,
        id_server: &str,
    ) -> Result<(), Unavailable> {
        let key = key(&Binding {
            user_id: user_id.to_owned(),
            threepid: threepid.clone(),
            id_server: id_server.to_owned(),
        });
        for _ in 0..ATTEMPTS {
            let Some(row) = self.get(&BINDINGS, &key).await? else {
                return Ok(());
            };
            let mut batch = Batch::new();
            batch.expect(&BINDINGS, &key, Some(&row));
            batch.delete(&BINDINGS, &key);
            if let Some(due_ms) = row.unbind_ms {
                batch.delete(&UNBINDING, &due(due_ms, &key));
            }
            if self.commit(batch).await?.is_some() {
                return Ok(());
            }
        }
        Err(Unavailable::Contended)
    }

    /// The server did not answer. It is asked again later, and given up after about a month: `false`.
    pub async fn postpone_unbinding(&self, pending: &Binding) -> Result<bool, Unavailable> {
        let key = key(pending);
        for _ in 0..ATTEMPTS {
            let Some(row) = self.get(&BINDINGS, &key).await? else {
                return Ok(true);
            };
            let Some(due_ms) = row.unbind_ms else {
                return Ok(true);
            };
            let mut batch = Batch::new();
            batch.expect(&BINDINGS, &key, Some(&row));
            batch.delete(&UNBINDING, &due(due_ms, &key));
            let goes_on = row.failures.saturating_add(1) < MAX_FAILURES;
            if goes_on {
                let pause_ms = FIRST_PAUSE_MS.saturating_mul(2_u64.saturating_pow(row.failures));
                let next_ms = self.now_ms().saturating_add(pause_ms.min(LONGEST_PAUSE_MS));
                batch.put(&UNBINDING, &due(next_ms, &key), &());
                let failures = row.failures.saturating_add(1);
                let unbind_ms = Some(next_ms);
                batch.put(&BINDINGS, &key, &BindingRow { unbind_ms, failures });
            } else {
                batch.delete(&BINDINGS, &key);
            }
            if self.commit(batch).await?.is_some() {
                return Ok(goes_on);
            }
        }
        Err(Unavailable::Contended)
    }

    /// Adds to the batch that the binding is to be undone.
    pub(crate) async fn put_unbinding(
        &self,
        batch: &mut Batch,
        user_id: &UserId,
        binding: &Binding,
    ) -> Result<(), Unavailable> {
        debug_assert_eq!(binding.user_id, user_id, "a binding of this user");
        let key = key(binding);
        let row = self.get(&BINDINGS, &key).await?;
        if row.as_ref().is_none_or(|row| row.unbind_ms.is_some()) {
            return Ok(());
        }
        let now_ms = self.now_ms();
        batch.expect(&BINDINGS, &key, row.as_ref());
        let unbind_ms = Some(now_ms);
        batch.put(
            &BINDINGS,
            &key,
            &BindingRow {
                unbind_ms,
                failures: 0,
            },
        );
        batch.put(&UNBINDING, &due(now_ms, &key), &());
        Ok(())
    }
}

fn binding(user_id: OwnedUserId, medium: &str, address: &str, id_server: String) -> Option<Binding> {
    Some(Binding {
        user_id,
        threepid: Threepid::parse(medium, address).ok()?,
        id_server,
    })
}

fn key(binding: &Binding) -> BindingKey {
    let threepid = &binding.threepid;
    (
        binding.user_id.clone(),
        threepid.medium().as_str().to_owned(),
        threepid.address().to_owned(),
        binding.id_server.clone(),
    )
}

fn due(due_ms: u64, key: &BindingKey) -> (u64, OwnedUserId, String, String, String) {
    let (user_id, medium, address, id_server) = key.clone();
    (due_ms, user_id, medium, address, id_server)
}
