//! Where messages wait.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use gatehouse_events::Clock;
use gatehouse_store::{Batch, Direction, Range, Store, StoreError};
use thiserror::Error;
use tokio::sync::Notify;

use crate::{
    Letter, Medium, Templates, Threepid,
    carrier::Carrier,
    tables::{QUEUE, QueuedRow},
};

/// Messages read at once to count them.
const PAGE: usize = 512;

/// Random bytes in a message's id.
const ID_BYTES: usize = 16;

/// What is said in messages.
#[derive(Debug, Clone)]
pub struct OutboxConfig {
    /// As whom the server speaks.
    pub server_name: String,
}

/// Those who carry, by medium; a medium without one cannot be used.
#[derive(Default, Clone)]
pub struct Carriers {
    /// For e-mail.
    pub email: Option<Arc<dyn Carrier>>,
    /// For text messages.
    pub sms: Option<Arc<dyn Carrier>>,
}

/// Why nothing can be sent.
#[derive(Debug, Error)]
pub enum CannotSend {
    /// The operator has not set it up.
    #[error("This server cannot send e-mail. Ask its administrators.")]
    NoEmail,
    /// The operator has not set it up.
    #[error("This server cannot send text messages. Ask its administrators.")]
    NoSms,
    /// The templates are broken, the letter is not for this medium, or there is no randomness.
    #[error("This message cannot be written. Tell the server's administrators.")]
    Unwritable,
}

/// How it has gone since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Messages that were taken.
    pub sent: u64,
    /// Tries that failed and will be made again.
    pub retried: u64,
    /// Messages that nobody will take.
    pub given_up: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) sent: AtomicU64,
    pub(crate) retried: AtomicU64,
    pub(crate) given_up: AtomicU64,
}

/// Where messages wait until they are sent. Cheap to clone.
#[derive(Clone)]
pub struct Outbox {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) store: Store,
    pub(crate) clock: Clock,
    pub(crate) carriers: Carriers,
    config: OutboxConfig,
    templates: Templates,
    pub(crate) counters: Counters,
    /// Something was added to a batch, which will be committed in a moment: e-mails, and text messages.
    added: [Notify; 2],
}

impl Outbox {
    /// An outbox over this store. Nothing is sent until [`Self::run`] runs.
    pub fn new(
        store: Store,
        clock: Clock,
        carriers: Carriers,
        config: OutboxConfig,
        templates: Templates,
    ) -> Self {
        Self {
            inner: Arc::new(Inner {
                store,
                clock,
                carriers,
                config,
                templates,
                counters: Counters::default(),
                added: [Notify::new(), Notify::new()],
            }),
        }
    }

    /// Whether anything can be sent by this medium.
    pub fn can_send(&self, medium: Medium) -> bool {
        self.inner.carrier(medium).is_some()
    }

    /// Adds to the batch that this is sent: durable with the commit, sent after it.
    pub fn enqueue(&self, batch: &mut Batch, to: &Threepid, letter: &Letter) -> Result<(), CannotSend> {
        if !self.can_send(to.medium()) {
            return Err(match to.medium() {
                Medium::Email => CannotSend::NoEmail,
                Medium::Msisdn => CannotSend::NoSms,
            });
        }
        let server_name = &self.inner.config.server_name;
        let written = self.inner.templates.render(letter, to.medium(), server_name);
        let written = written.map_err(|error| {
            tracing::error!(%error, "a mail template is broken");
            CannotSend::Unwritable
        })?;
        let written = written.ok_or(CannotSend::Unwritable)?;
        let now_ms = self.inner.clock.now_ms();
        let row = QueuedRow {
            to: to.clone(),
            subject: written.subject,
            text: written.text,
            html: written.html,
            created_ms: now_ms,
            attempts: 0,
        };
        let id = new_id().ok_or(CannotSend::Unwritable)?;
        batch.put(&QUEUE, &(to.medium().as_str().to_owned(), now_ms, id), &row);
        self.inner.added(to.medium()).notify_one();
        Ok(())
    }

    /// How many messages wait, on all nodes.
    pub async fn waiting(&self) -> Result<u64, StoreError> {
        let mut count: u64 = 0;
        let mut range = Range::all();
        loop {
            let rows = self
                .inner
                .store
                .scan(&QUEUE, &range, Direction::Forward, PAGE)
                .await?;
            count += rows.len() as u64;
            match rows.last() {
                Some((last, _)) if rows.len() == PAGE => range = Range::all().after(last),
                _ => return Ok(count),
            }
        }
    }

    /// How it has gone since the start.
    pub fn counts(&self) -> Counts {
        let counters = &self.inner.counters;
        Counts {
            sent: counters.sent.load(Ordering::Relaxed),
            retried: counters.retried.load(Ordering::Relaxed),
            given_up: counters.given_up.load(Ordering::Relaxed),
        }
    }
}

impl Inner {
    pub(crate) fn carrier(&self, medium: Medium) -> Option<&Arc<dyn Carrier>> {
        match medium {
            Medium::Email => self.carriers.email.as_ref(),
            Medium::Msisdn => self.carriers.sms.as_ref(),
        }
    }

    pub(crate) fn added(&self, medium: Medium) -> &Notify {
        let [email, sms] = &self.added;
        match medium {
            Medium::Email => email,
            Medium::Msisdn => sms,
        }
    }
}

impl std::fmt::Debug for Outbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outbox").finish_non_exhaustive()
    }
}

fn new_id() -> Option<String> {
    let mut bytes = [0; ID_BYTES];
    getrandom::fill(&mut bytes).ok()?;
    Some(format!("{:032x}", u128::from_be_bytes(bytes)))
}
