//! Telling homeservers of the invitations that wait for an address which one of their users has bound.
//!
//! A row says "this address is now this user's"; what waits for it is read when it is delivered. No invitation is
//! missed: one that is being stored while the address is bound expects in its commit that it is nobody's.
//!
//! One node works on the queue at a time, under a lease. Each homeserver is told at least once: when the machine stops
//! between its answer and our commit, it is told again, and finds the invitations used.

use std::{collections::BTreeSet, time::Duration};

use futures_util::{StreamExt, stream};
use gatehouse_mail::Threepid;
use gatehouse_store::{Batch, Range, json_value};
use parking_lot::Mutex;
use ruma::{OwnedServerName, OwnedUserId, UserId};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::{
    HomeserverError, Identity, Unavailable,
    association_row::AssociationRow,
    associations::key,
    invitations::{InvitationRow, Progress},
    tables::{INVITATIONS, INVITATIONS_BY_ADDRESS, ONBIND_QUEUE},
};

/// The name of the lease.
const LEASE: &str = "identity.onbind";

/// How long until a failed delivery is tried again for the first time; doubled each time.
const FIRST_RETRY_MS: u64 = 5_000;

/// The longest time between tries: a homeserver that comes back hears of its invitations within the hour.
const LONGEST_RETRY_MS: u64 = 3_600 * 1_000;

/// How long a homeserver is tried: one that was away for a month is not coming back.
const GIVE_UP_AFTER_MS: u64 = 30 * 24 * 3_600 * 1_000;

/// Deliveries under way at once: a homeserver that does not answer holds up one of them.
const AT_ONCE: usize = 8;

/// Invitations told in one request; homeservers take at most 100 (security.md T18).
const INVITATIONS_PER_REQUEST: usize = 50;

/// Deliveries read at once.
const PAGE: usize = 64;

/// How often the queue is looked at when nobody wakes its worker: another node may have written to it.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// What is stored of a delivery; its key has when it is due, and the address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OnbindRow {
    threepid: Threepid,
    mxid: OwnedUserId,
    queued_ms: u64,
    tries: u32,
}
json_value!(OnbindRow);

/// When a delivery is due, and for which address.
type OnbindKey = (u64, String, String);

/// Homeservers that did not answer just now: the rest of what is due for them does not wait for them again, so that
/// one that hangs does not hold up the others.
type Away = Mutex<BTreeSet<OwnedServerName>>;

/// What became of a request to a homeserver.
enum Told {
    All,
    Later,
    Refused,
}

impl Identity {
    /// Adds to the batch that what is stored for the address goes to this user's homeserver.
    pub(crate) fn put_onbind(&self, batch: &mut Batch, threepid: &Threepid, mxid: &UserId) {
        let now_ms = self.now_ms();
        let (medium, address) = key(threepid);
        let row = OnbindRow {
            threepid: threepid.clone(),
            mxid: mxid.to_owned(),
            queued_ms: now_ms,
            tries: 0,
        };
        batch.put(&ONBIND_QUEUE, &(now_ms, medium, address), &row);
    }

    /// Works on the queue until it is told to stop, on one node at a time.
    pub async fn run_onbind_queue(&self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let wait = match self.store().lease(LEASE).await {
                Ok(Some(lease)) => tokio::select! {
                    () = self.work_on_onbind_queue(&stop) => Duration::ZERO,
                    () = lease.lost() => Duration::ZERO,
                },
                Ok(None) => LOOK_EVERY,
                Err(error) => {
                    tracing::warn!(%error, "the invitations to deliver cannot be read; trying again");
                    LOOK_EVERY
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(wait) => (),
            }
        }
    }

    async fn work_on_onbind_queue(&self, stop: &CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                outcome = self.deliver_due() => if let Err(error) = outcome {
                    tracing::warn!(%error, "the invitations to deliver cannot be read; trying again");
                },
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.onbind_added().notified() => (),
                () = tokio::time::sleep(LOOK_EVERY) => (),
            }
        }
    }

    /// Delivers what is due, once; how many deliveries that were.
    pub(crate) async fn deliver_due(&self) -> Result<usize, Unavailable> {
        let mut delivered = 0;
        let away = Away::default();
        loop {
            let due = Range::all().through(&(self.now_ms(),));
            let rows = self.scan(&ONBIND_QUEUE, &due, PAGE).await?;
            delivered += rows.len();
            if rows.is_empty() {
                return Ok(delivered);
            }
            let outcomes: Vec<_> = stream::iter(rows)
                .map(|(key, row)| self.deliver(key, row, &away))
                .buffer_unordered(AT_ONCE)
                .collect()
                .await;
            outcomes.into_iter().collect::<Result<(), Unavailable>>()?;
        }
    }

    /// One delivery: all its invitations, or as many as the homeserver takes before it fails.
    async fn deliver(&self, due: OnbindKey, row: OnbindRow, away: &Away) -> Result<(), Unavailable> {
        let threepid = row.threepid.clone();
        loop {
            let association = self.association(&threepid).await?;
            let Some(association) = association.filter(|it| it.mxid == row.mxid) else {
                // Taken back, or somebody else's by now: another row is theirs.
                return self.finish(&due, Batch::new()).await;
            };
            let waiting = self.waiting_invitations(&threepid).await?;
            if waiting.is_empty() {
                return self.finish(&due, Batch::new()).await;
            }
            if away.lock().contains(row.mxid.server_name()) {
                return self.postpone(due, row).await;
            }
            let progress = match self.tell(&threepid, &association, &waiting).await? {
                Told::Later => {
                    away.lock().insert(row.mxid.server_name().to_owned());
                    return self.postpone(due, row).await;
                }
                Told::All => Progress::Delivered,
                Told::Refused => Progress::Refused,
            };
            self.note_progress(&waiting, &association.mxid, progress).await?;
        }
    }

    /// The first of the invitations that wait for the address.
    async fn waiting_invitations(
        &self,
        threepid: &Threepid,
    ) -> Result<Vec<(String, InvitationRow)>, Unavailable> {
        let range = Range::prefix(&key(threepid));
        let rows = self
            .scan(&INVITATIONS_BY_ADDRESS, &range, INVITATIONS_PER_REQUEST)
            .await?;
        let mut waiting = Vec::with_capacity(rows.len());
        for ((_, _, token), ()) in rows {
            if let Some(row) = self.get(&INVITATIONS, &(token.clone(),)).await? {
                waiting.push((token, row));
            }
        }
        Ok(waiting)
    }

    async fn tell(
        &self,
        threepid: &Threepid,
        association: &AssociationRow,
        waiting: &[(String, InvitationRow)],
    ) -> Result<Told, Unavailable> {
        let mut invites = Vec::with_capacity(waiting.len());
        for (token, row) in waiting {
            invites.push(self.signed_invite(token, row, &association.mxid).await?);
        }
        let body = self.signed_association(threepid, association, invites).await?;
        let server = association.mxid.server_name();
        Ok(match self.homeservers().onbind(server, &body).await {
            Ok(()) => Told::All,
            Err(HomeserverError::Later(_)) => Told::Later,
            Err(HomeserverError::Never(_)) => {
                tracing::warn!(%server, invitations = waiting.len(), "a homeserver refuses invitations for one of its users");
                Told::Refused
            }
        })
    }

    /// An invitation as homeservers get it, signed with the long-lived key that it names.
    async fn signed_invite(
        &self,
        token: &str,
        row: &InvitationRow,
        mxid: &UserId,
    ) -> Result<Value, Unavailable> {
        let block = json!({ "mxid": mxid, "token": token });
        Ok(json!({
            "medium": row.threepid.medium().as_str(),
            "address": row.threepid.address(),
            "mxid": mxid,
            "room_id": row.room_id,
            "sender": row.sender,
            "token": token,
            "signed": self.sign_by(&row.signing_key, block).await?,
        }))
    }

    /// Writes down what became of invitations; they wait no more.
    async fn note_progress(
        &self,
        invitations: &[(String, InvitationRow)],
        mxid: &UserId,
        progress: Progress,
    ) -> Result<(), Unavailable> {
        let mut batch = Batch::new();
        for (token, row) in invitations {
            batch.expect(&INVITATIONS, &(token.clone(),), Some(row));
            let mut changed = row.clone();
            changed.progress = progress;
            changed.accepted_by = Some(mxid.to_owned());
            batch.put(&INVITATIONS, &(token.clone(),), &changed);
            let (medium, address) = key(&row.threepid);
            batch.delete(&INVITATIONS_BY_ADDRESS, &(medium, address, token.clone()));
        }
        // When one of them has changed meanwhile, all are told once more, which does no harm.
        self.commit(batch).await?;
        Ok(())
    }

    async fn finish(&self, due: &OnbindKey, mut batch: Batch) -> Result<(), Unavailable> {
        batch.delete(&ONBIND_QUEUE, due);
        self.commit(batch).await?;
        Ok(())
    }

    /// Puts the delivery off, each time for longer; ends it when the homeserver has been away for too long.
    async fn postpone(&self, due: OnbindKey, mut row: OnbindRow) -> Result<(), Unavailable> {
        let now_ms = self.now_ms();
        if now_ms.saturating_sub(row.queued_ms) >= GIVE_UP_AFTER_MS {
            tracing::warn!(server = %row.mxid.server_name(), "invitations were not delivered in 30 days and are given up");
            return self.finish(&due, Batch::new()).await;
        }
        let wait_ms = FIRST_RETRY_MS
            .saturating_mul(1_u64.checked_shl(row.tries).unwrap_or(u64::MAX))
            .min(LONGEST_RETRY_MS);
        row.tries = row.tries.saturating_add(1);
        let (_, medium, address) = due.clone();
        let mut batch = Batch::new();
        batch.put(
            &ONBIND_QUEUE,
            &(now_ms.saturating_add(wait_ms), medium, address),
            &row,
        );
        self.finish(&due, batch).await
    }
}
