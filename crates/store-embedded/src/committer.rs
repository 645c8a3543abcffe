//! The one thread that writes: decide, write, sync, publish, notify, answer; in that order.

use std::{
    fs::File,
    path::PathBuf,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use fjall::{Database, Keyspace, PersistMode};
use gatehouse_store::{Notice, Position, StoreError, group::Group, watch::Notifier};
use parking_lot::{Mutex, RwLock};
use tokio::{
    sync::{oneshot, watch},
    time::sleep,
};

use crate::{
    failure, free_space,
    layout::{self, Tables},
    queue::{Outcome, Queue, Request},
};

/// A commit that takes longer than this may be held up by a failure in the background.
const STUCK_AFTER: Duration = Duration::from_secs(3);

/// What the committer and the readers share.
pub(crate) struct Shared {
    pub(crate) database: Database,
    pub(crate) rows: Keyspace,
    pub(crate) tables: RwLock<Arc<Tables>>,
    pub(crate) queue: Queue,
    pub(crate) notifier: Notifier,
    /// Why the store has failed, once it has.
    pub(crate) failure: watch::Sender<Option<String>>,
    pub(crate) position: AtomicU64,
    pub(crate) path: PathBuf,
    pub(crate) reserve_bytes: u64,
    pub(crate) look: Mutex<()>,
    /// Held while the store is open. The last field: unlocked after the tree is closed.
    pub(crate) _lock: File,
}

impl Shared {
    pub(crate) fn position(&self) -> Position {
        Position::new(self.position.load(Ordering::Acquire)).unwrap_or_default()
    }

    fn fail(&self, reason: &str) -> StoreError {
        let error = StoreError::Failed(reason.to_owned());
        self.queue.fail(&error);
        if self.failure.send_replace(Some(reason.to_owned())).is_none() {
            tracing::error!(reason, "the store has failed");
        }
        error
    }
}

/// Waits for a batch's outcome.
pub(crate) async fn outcome(shared: Arc<Shared>, mut answer: oneshot::Receiver<Outcome>) -> Outcome {
    let mut failure = shared.failure.subscribe();
    let mut failed = pin!(async move {
        failure
            .wait_for(Option::is_some)
            .await
            .ok()
            .and_then(|reason| reason.clone())
    });
    loop {
        tokio::select! {
            biased;
            // The committer answers everything that it takes, unless it crashes.
            outcome = &mut answer => return outcome.unwrap_or_else(|_| Err(crashed().into())),
            Some(reason) = &mut failed => return Err(StoreError::Failed(reason).into()),
            () = sleep(STUCK_AFTER) => look_for_failure(Arc::clone(&shared)).await,
        }
    }
}

/// When its own background work has failed, the tree may hold the committer up for ever, waiting for that work.
async fn look_for_failure(shared: Arc<Shared>) {
    let looked = tokio::task::spawn_blocking(move || {
        let Some(_one_at_a_time) = shared.look.try_lock() else {
            return;
        };
        // Writes nothing; it only tells whether anything has failed.
        if let Err(error) = shared.database.persist(PersistMode::Buffer) {
            shared.fail(&failure::of_write(&error));
        }
    });
    // An error means that the runtime is shutting down.
    _ = looked.await;
}

/// The committer is gone without a word.
pub(crate) fn crashed() -> StoreError {
    StoreError::Failed("the thread that writes has crashed; restart the server and report this".to_owned())
}

/// Commits groups until the queue is closed and empty.
pub(crate) fn run(shared: &Arc<Shared>) {
    let _guard = FailWhenUnwound(Arc::clone(shared));
    while let Some(requests) = shared.queue.take_group() {
        commit_group(shared, requests);
    }
    shared.notifier.close();
}

/// The tree panics on some of its broken invariants; then nobody must wait for ever.
struct FailWhenUnwound(Arc<Shared>);

impl Drop for FailWhenUnwound {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0
                .fail("the thread that writes has crashed; restart the server and report this");
        }
    }
}

fn commit_group(shared: &Shared, requests: Vec<Request>) {
    if let Some(refusal) = disk_full(shared, &requests) {
        for request in requests {
            answer(request.reply, Err(refusal.clone().into()));
        }
        return;
    }
    let mut group = Group::after(shared.position());
    let snapshot = shared.database.snapshot();
    let tables = Arc::clone(&shared.tables.read());
    let mut outcomes = Vec::with_capacity(requests.len());
    for request in requests {
        let outcome = group.add(request.batch, |table, key| match tables.number(table) {
            Some(number) => layout::read(&snapshot, &shared.rows, number, key)
                .map_err(|error| failure::of_read(table, &error)),
            None => Ok(None),
        });
        outcomes.push((request.reply, outcome));
    }
    drop(snapshot);
    let written = if group.is_empty() {
        Ok(())
    } else {
        write(shared, &tables, group)
    };
    for (reply, outcome) in outcomes {
        match &written {
            Ok(()) => answer(reply, outcome),
            Err(error) => answer(reply, outcome.and(Err(error.clone().into()))),
        }
    }
}

/// Makes the group durable, then visible, then known.
fn write(shared: &Shared, tables: &Tables, group: Group) -> Result<(), StoreError> {
    let position = group.last();
    let (writes, notices) = group.into_parts();
    let mut batch = shared.database.batch().durability(Some(PersistMode::SyncData));
    let grown = layout::stage(writes, position, tables, &shared.rows, &mut batch)
        .map_err(|layout::TooManyTables| StoreError::Unavailable("there are too many tables".to_owned()))?;
    batch
        .commit()
        .map_err(|error| shared.fail(&failure::of_write(&error)))?;
    if let Some(tables) = grown {
        *shared.tables.write() = Arc::new(tables);
    }
    shared.position.store(position.number(), Ordering::Release);
    for changes in notices {
        shared.notifier.notify(Notice::Changes(changes));
    }
    Ok(())
}

/// Refuses a group for which there may not be room, while nothing of it is written yet.
fn disk_full(shared: &Shared, requests: &[Request]) -> Option<StoreError> {
    let free = free_space::free_bytes(&shared.path)?;
    let wanted: usize = requests
        .iter()
        .flat_map(|request| request.batch.writes())
        .map(size_of_write)
        .sum();
    let needed = shared
        .reserve_bytes
        .saturating_add(u64::try_from(wanted).unwrap_or(u64::MAX));
    (free < needed).then(|| {
        StoreError::Unavailable(format!(
            "the disk of {} is full ({} MiB free, {} MiB are kept in reserve); free some space",
            shared.path.display(),
            free >> 20,
            shared.reserve_bytes >> 20
        ))
    })
}

fn size_of_write(write: &gatehouse_store::batch::Write) -> usize {
    write.key.len() + write.value.as_ref().map_or(0, Vec::len)
}

fn answer(reply: oneshot::Sender<Outcome>, outcome: Outcome) {
    // An error means that nobody waits for the outcome.
    _ = reply.send(outcome);
}
