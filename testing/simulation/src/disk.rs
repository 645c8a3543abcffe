//! A disk that can be slow, refuse, fail and lose power. It keeps to the storage contract: the conformance suite passes.

use std::{
    collections::{BTreeMap, HashSet, VecDeque},
    ops::Bound,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::{
    FutureExt as _,
    future::{BoxFuture, pending, ready},
};
use gatehouse_store::{
    Backend, Batch, CommitError, Direction, Notice, Position, StoreError, Watch,
    backend::{Lease, Row},
    group::Group,
    watch::Notifier,
};
use parking_lot::{Mutex, RwLock};
use tokio::sync::{Notify, oneshot};
use tokio_util::sync::CancellationToken;

use crate::dice::Dice;

type Rows = BTreeMap<Vec<u8>, Bytes>;
type Outcome = Result<Position, CommitError>;

/// What is on the platter: this alone survives.
#[derive(Debug, Default)]
pub struct Disk(RwLock<Platter>);

#[derive(Debug, Default)]
struct Platter {
    tables: BTreeMap<&'static str, Rows>,
    position: Position,
}

impl Platter {
    /// Writes a batch, or refuses it, and says what watchers are to be told.
    fn write(&mut self, batch: Batch) -> Result<(Position, Vec<gatehouse_store::Changes>), CommitError> {
        let mut group = Group::after(self.position);
        let first = group.add(batch, |table, key| {
            Ok(self.tables.get(table).and_then(|rows| rows.get(key)).cloned())
        })?;
        self.position = group.last();
        let (writes, notices) = group.into_parts();
        for (table, rows) in writes {
            let stored = self.tables.entry(table).or_default();
            for (key, value) in rows {
                match value {
                    Some(value) => stored.insert(key, value),
                    None => stored.remove(&key),
                };
            }
        }
        Ok((first, notices))
    }
}

/// How bad a disk is.
#[derive(Debug, Clone, Copy, Default)]
pub struct Temper {
    /// Of a thousand commits so many take longer than no time.
    pub slow: u64,
    /// Of a thousand commits so many are refused, and nothing of them is written.
    pub refuses: u64,
    /// Of a thousand reads so many let others go first.
    pub yields: u64,
    /// Others may commit to the same data, as far as the server knows.
    pub is_shared: bool,
}

/// A disk in a running server. When the power is cut, nothing that was asked of it is ever answered.
pub struct Mount {
    disk: Arc<Disk>,
    temper: Temper,
    dice: Mutex<Dice>,
    waiting: Mutex<VecDeque<(Batch, oneshot::Sender<Outcome>)>>,
    arrived: Notify,
    is_good: Arc<AtomicBool>,
    has_failed: AtomicBool,
    is_closed: AtomicBool,
    gone: CancellationToken,
    notifier: Notifier,
    leases: Arc<Mutex<HashSet<String>>>,
}

impl Mount {
    /// Puts the disk into a server. `is_good`: from now on the disk does as it should. Cancelling `gone` cuts the power.
    pub fn new(
        disk: Arc<Disk>,
        temper: Temper,
        dice: Dice,
        is_good: Arc<AtomicBool>,
        gone: CancellationToken,
    ) -> Arc<Self> {
        let mount = Arc::new(Self {
            disk,
            temper,
            dice: Mutex::new(dice),
            waiting: Mutex::default(),
            arrived: Notify::new(),
            is_good,
            has_failed: AtomicBool::new(false),
            is_closed: AtomicBool::new(false),
            gone,
            notifier: Notifier::default(),
            leases: Arc::default(),
        });
        let worker = Arc::clone(&mount);
        tokio::spawn(async move {
            tokio::select! {
                biased;
                () = worker.gone.cancelled() => {}
                () = worker.work() => {}
            }
        });
        mount
    }

    /// Cuts the power. Of what was written and not synced some is on the platter, in order.
    pub fn cut_power(&self) {
        self.gone.cancel();
        for (batch, _) in self.torn() {
            // What the batch expected may not hold any more: then it was never written.
            _ = self.disk.0.write().write(batch);
        }
    }

    /// The disk fails: what waits is told so, though some of it is on the platter; nothing is taken any more.
    pub fn fail(&self) {
        self.has_failed.store(true, Ordering::Relaxed);
        let mut failed: Vec<_> = self.waiting.lock().drain(..).collect();
        let kept = self.dice.lock().below(failed.len() + 1);
        for (batch, _) in failed.iter_mut().take(kept) {
            _ = self.disk.0.write().write(std::mem::take(batch));
        }
        for (_, reply) in failed {
            _ = reply.send(Err(Self::failure().into()));
        }
    }

    /// Whether it has failed.
    pub fn has_failed(&self) -> bool {
        self.has_failed.load(Ordering::Relaxed)
    }

    fn torn(&self) -> Vec<(Batch, oneshot::Sender<Outcome>)> {
        let mut waiting = self.waiting.lock();
        let kept = self.dice.lock().below(waiting.len() + 1);
        waiting.drain(..).take(kept).collect()
    }

    fn failure() -> StoreError {
        StoreError::Failed("the simulated disk has failed".to_owned())
    }

    async fn work(&self) {
        loop {
            if self.waiting.lock().is_empty() {
                self.arrived.notified().await;
            }
            let pause = self.pause_ms();
            if pause > 0 {
                tokio::time::sleep(Duration::from_millis(pause)).await;
            }
            let waiting: Vec<_> = self.waiting.lock().drain(..).collect();
            for (batch, reply) in waiting {
                let outcome = self.write(batch);
                // An error means that nobody waits for the outcome.
                _ = reply.send(outcome);
            }
        }
    }

    fn pause_ms(&self) -> u64 {
        let mut dice = self.dice.lock();
        if self.is_good.load(Ordering::Relaxed) || !dice.happens(self.temper.slow) {
            0
        } else if dice.happens(20) {
            dice.between(100, 3_000)
        } else {
            dice.between(1, 8)
        }
    }

    fn write(&self, batch: Batch) -> Outcome {
        if !self.is_good.load(Ordering::Relaxed) && self.dice.lock().happens(self.temper.refuses) {
            return Err(StoreError::Unavailable("the simulated disk is full".to_owned()).into());
        }
        let mut platter = self.disk.0.write();
        let (first, notices) = platter.write(batch)?;
        // Under the lock, so that notices go out in the order of positions.
        for changes in notices {
            self.notifier.notify(Notice::Changes(changes));
        }
        Ok(first)
    }

    /// What is read, unless the power is gone.
    fn read<'a, T: Send + 'a>(
        &'a self,
        read: impl Fn(&Platter) -> T + Send + 'a,
    ) -> BoxFuture<'a, Result<T, StoreError>> {
        if self.gone.is_cancelled() {
            return pending().boxed();
        }
        if !self.dice.lock().happens(self.temper.yields) {
            return ready(Ok(read(&self.disk.0.read()))).boxed();
        }
        async move {
            tokio::task::yield_now().await;
            if self.gone.is_cancelled() {
                pending::<()>().await;
            }
            Ok(read(&self.disk.0.read()))
        }
        .boxed()
    }
}

impl Backend for Mount {
    fn get<'a>(
        &'a self,
        table: &'static str,
        key: &'a [u8],
    ) -> BoxFuture<'a, Result<Option<Bytes>, StoreError>> {
        self.read(move |platter| platter.tables.get(table).and_then(|rows| rows.get(key)).cloned())
    }

    fn get_many<'a>(
        &'a self,
        table: &'static str,
        keys: &'a [Vec<u8>],
    ) -> BoxFuture<'a, Result<Vec<Option<Bytes>>, StoreError>> {
        self.read(move |platter| {
            let rows = platter.tables.get(table);
            keys.iter()
                .map(|key| rows.and_then(|rows| rows.get(key)).cloned())
                .collect()
        })
    }

    fn scan<'a>(
        &'a self,
        table: &'static str,
        start: &'a [u8],
        end: Option<&'a [u8]>,
        direction: Direction,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Row>, StoreError>> {
        self.read(move |platter| {
            let rows = platter.tables.get(table);
            let Some(rows) = rows.filter(|_| end.is_none_or(|end| start < end)) else {
                return Vec::new();
            };
            let end = end.map_or(Bound::Unbounded, Bound::Excluded);
            let range = rows.range::<[u8], _>((Bound::Included(start), end));
            let copy = |(key, value): (&Vec<u8>, &Bytes)| (Bytes::from(key.clone()), value.clone());
            match direction {
                Direction::Forward => range.take(limit).map(copy).collect(),
                Direction::Backward => range.rev().take(limit).map(copy).collect(),
            }
        })
    }

    fn commit(&self, batch: Batch) -> BoxFuture<'static, Outcome> {
        if self.gone.is_cancelled() {
            return pending().boxed();
        }
        if self.has_failed.load(Ordering::Relaxed) {
            return ready(Err(Self::failure().into())).boxed();
        }
        if self.is_closed.load(Ordering::Relaxed) {
            let closed = StoreError::Unavailable("the store is closed".to_owned());
            return ready(Err(closed.into())).boxed();
        }
        let (reply, outcome) = oneshot::channel();
        self.waiting.lock().push_back((batch, reply));
        self.arrived.notify_one();
        async move {
            match outcome.await {
                Ok(outcome) => outcome,
                Err(_) => pending().await,
            }
        }
        .boxed()
    }

    fn position(&self) -> Position {
        self.disk.0.read().position
    }

    fn watch(&self) -> Watch {
        self.notifier.watch()
    }

    fn lease<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Lease>, StoreError>> {
        ready(Ok(Lease::local(&self.leases, name))).boxed()
    }

    fn is_shared(&self) -> bool {
        self.temper.is_shared
    }

    fn close(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        self.is_closed.store(true, Ordering::Relaxed);
        async {
            while !self.waiting.lock().is_empty() {
                tokio::task::yield_now().await;
            }
            self.notifier.close();
            Ok(())
        }
        .boxed()
    }
}
