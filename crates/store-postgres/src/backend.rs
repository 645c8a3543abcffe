use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{FutureExt, future::BoxFuture};
use gatehouse_store::{
    Backend, Batch, CommitError, Direction, Position, StoreError, Watch,
    backend::{Lease, Row},
};
use parking_lot::Mutex;
use tokio::{
    sync::{mpsc, oneshot},
    task::{AbortHandle, JoinHandle},
    time::{Instant, timeout},
};

use crate::{
    OpenError, PostgresConfig,
    committer::{self, Request},
    connect::Connector,
    failure::Fault,
    leases::LeaseKeeper,
    listener,
    reads::Reader,
    schema,
    shared::{Shared, position_of},
};

/// How long closing waits for accepted batches; longer than each of them may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(15);

/// How long closing waits until watchers have been told of the last commit.
const TELL_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a reader waits until watchers have been told. They are behind by about a millisecond.
const FOLLOW_TIMEOUT: Duration = Duration::from_millis(250);

/// The store in a PostgreSQL database, as one of its nodes. Must be made within a tokio runtime.
pub struct PostgresBackend {
    shared: Arc<Shared>,
    reader: Reader,
    /// `None` once closed.
    queue: Mutex<Option<mpsc::Sender<Request>>>,
    committer: Mutex<Option<JoinHandle<()>>>,
    listener: AbortHandle,
    leases: Mutex<Option<Arc<LeaseKeeper>>>,
}

impl std::fmt::Debug for PostgresBackend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresBackend")
            .field("position", &self.shared.position())
            .finish_non_exhaustive()
    }
}

impl PostgresBackend {
    /// Connects to the database of this URL, and makes or migrates its tables.
    pub async fn connect(url: &str, config: &PostgresConfig) -> Result<Self, OpenError> {
        let connect = |fault: Fault| OpenError::Connect(fault.to_string());
        let connector = Connector::parse(url)?;
        let opened = schema::migrate(&connector.connect().await.map_err(connect)?).await?;
        let position = position_of(opened.position).unwrap_or_default();
        let channel = format!("gatehouse_{}", opened.schema);
        let shared = Arc::new(Shared::new(position, channel.clone(), opened.node));
        let listening = listener::listen(&connector, &shared).await.map_err(connect)?;
        let reader = Reader::new(&connector, config.pool_size, Arc::clone(&shared))?;
        let (queue, waiting) = mpsc::channel(committer::WAITING_BATCHES);
        let committer = tokio::spawn(committer::run(connector.clone(), Arc::clone(&shared), waiting));
        let listener = tokio::spawn(listener::run(connector.clone(), Arc::clone(&shared), listening));
        let leases = LeaseKeeper::start(connector, channel);
        Ok(Self {
            shared,
            reader,
            queue: Mutex::new(Some(queue)),
            committer: Mutex::new(Some(committer)),
            listener: listener.abort_handle(),
            leases: Mutex::new(Some(Arc::new(leases))),
        })
    }

    fn submit(&self, batch: Batch) -> Result<oneshot::Receiver<committer::Outcome>, StoreError> {
        let (reply, outcome) = oneshot::channel();
        match &*self.queue.lock() {
            Some(queue) => {
                let request = Request {
                    batch,
                    submitted: Instant::now(),
                    reply,
                };
                queue
                    .try_send(request)
                    .map_err(|error| committer::refusal(&error))?;
                Ok(outcome)
            }
            None => Err(StoreError::Unavailable("the server is stopping".to_owned())),
        }
    }

    async fn close_down(&self, committer: Option<JoinHandle<()>>) -> Result<(), StoreError> {
        let Some(committer) = committer else { return Ok(()) };
        let ended = timeout(CLOSE_TIMEOUT, committer).await;
        let last = self.shared.position();
        let mut told = self.shared.told.subscribe();
        // Not having told everybody is no failure of the store: they will ask again elsewhere.
        _ = timeout(TELL_TIMEOUT, told.wait_for(|told| *told >= last)).await;
        self.listener.abort();
        self.shared.notifier.close();
        self.reader.close();
        match ended {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(StoreError::Failed("the task that writes has crashed".to_owned())),
            Err(_) => Err(Fault::Timeout.into_store_error()),
        }
    }
}

impl Drop for PostgresBackend {
    fn drop(&mut self) {
        // The committer goes on until the batches that it was given are committed.
        self.listener.abort();
    }
}

impl Backend for PostgresBackend {
    fn get<'a>(
        &'a self,
        table: &'static str,
        key: &'a [u8],
    ) -> BoxFuture<'a, Result<Option<Bytes>, StoreError>> {
        self.reader.get(table, key).boxed()
    }

    fn get_many<'a>(
        &'a self,
        table: &'static str,
        keys: &'a [Vec<u8>],
    ) -> BoxFuture<'a, Result<Vec<Option<Bytes>>, StoreError>> {
        self.reader.get_many(table, keys).boxed()
    }

    fn scan<'a>(
        &'a self,
        table: &'static str,
        start: &'a [u8],
        end: Option<&'a [u8]>,
        direction: Direction,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Row>, StoreError>> {
        self.reader.scan(table, start, end, direction, limit).boxed()
    }

    fn commit(&self, batch: Batch) -> BoxFuture<'static, Result<Position, CommitError>> {
        let submitted = self.submit(batch);
        async move {
            // The committer answers everything that it takes, unless it crashes.
            submitted?.await.unwrap_or_else(|_| {
                Err(StoreError::Failed("the task that writes has crashed".to_owned()).into())
            })
        }
        .boxed()
    }

    fn position(&self) -> Position {
        self.shared.position()
    }

    fn watch(&self) -> Watch {
        self.shared.notifier.watch()
    }

    fn watchers_told(&self) -> BoxFuture<'_, bool> {
        let last = self.shared.position();
        let mut told = self.shared.told.subscribe();
        async move {
            let reached = timeout(FOLLOW_TIMEOUT, told.wait_for(|told| *told >= last)).await;
            matches!(reached, Ok(Ok(_)))
        }
        .boxed()
    }

    fn lease<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Lease>, StoreError>> {
        let leases = self.leases.lock().clone();
        async move {
            match leases {
                Some(leases) => leases.take(name).await,
                None => Err(StoreError::Unavailable("the server is stopping".to_owned())),
            }
        }
        .boxed()
    }

    fn close(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        self.queue.lock().take();
        self.leases.lock().take();
        let committer = self.committer.lock().take();
        self.close_down(committer).boxed()
    }
}
