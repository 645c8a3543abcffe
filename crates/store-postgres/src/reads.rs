//! Reads: one statement each, tried again while the database is away.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use deadpool_postgres::{Hook, HookError, Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime};
use gatehouse_store::{Direction, StoreError, backend::Row};
use tokio::time::{Instant, sleep, timeout_at};
use tokio_postgres::{NoTls, types::ToSql};

use crate::{
    connect::{self, Connector},
    failure::{Fault, OpenError},
    shared::{Shared, TableNumber},
};

/// How long a read waits for a database that is away.
const READ_TIMEOUT: Duration = Duration::from_secs(10);

/// The first pause before another try; it doubles up to [`LAST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LAST_PAUSE: Duration = Duration::from_millis(500);

const GET: &str = "SELECT value FROM gatehouse_rows WHERE table_number = $1 AND key = $2";

const GET_MANY: &str = "
    SELECT r.value FROM unnest($2::bytea[]) WITH ORDINALITY AS k (key, n)
    LEFT JOIN gatehouse_rows r ON r.table_number = $1 AND r.key = k.key ORDER BY k.n";

const TABLE: &str = "SELECT number FROM gatehouse_tables WHERE name = $1";

const FORWARD: &str =
    "SELECT key, value FROM gatehouse_rows WHERE table_number = $1 AND key >= $2 ORDER BY key LIMIT $3";

const FORWARD_TO: &str = "
    SELECT key, value FROM gatehouse_rows WHERE table_number = $1 AND key >= $2 AND key < $4 ORDER BY key LIMIT $3";

const BACKWARD: &str = "
    SELECT key, value FROM gatehouse_rows WHERE table_number = $1 AND key >= $2 ORDER BY key DESC LIMIT $3";

const BACKWARD_TO: &str = "
    SELECT key, value FROM gatehouse_rows WHERE table_number = $1 AND key >= $2 AND key < $4
    ORDER BY key DESC LIMIT $3";

/// Reads through a pool of connections.
pub(crate) struct Reader {
    pool: Pool,
    shared: Arc<Shared>,
}

impl Reader {
    pub(crate) fn new(
        connector: &Connector,
        pool_size: usize,
        shared: Arc<Shared>,
    ) -> Result<Self, OpenError> {
        let recycling = ManagerConfig {
            recycling_method: RecyclingMethod::Fast,
        };
        let manager = Manager::from_config(connector.config(), NoTls, recycling);
        let set_up = Hook::async_fn(|client, _| {
            Box::pin(async move { connect::set_up(client).await.map_err(HookError::Backend) })
        });
        let pool = Pool::builder(manager)
            .max_size(pool_size.max(1))
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(READ_TIMEOUT))
            .create_timeout(Some(READ_TIMEOUT))
            .recycle_timeout(Some(READ_TIMEOUT))
            .post_create(set_up)
            .build()
            .map_err(|error| OpenError::Connect(error.to_string()))?;
        Ok(Self { pool, shared })
    }

    pub(crate) fn close(&self) {
        self.pool.close();
    }

    /// The table's number; `None` when nobody ever wrote to it.
    async fn table(&self, name: &'static str) -> Result<Option<TableNumber>, StoreError> {
        if let Some(number) = self.shared.table(name) {
            return Ok(Some(number));
        }
        let rows = self.query(TABLE, &[&name]).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let number = row
            .try_get(0)
            .map_err(|error| Fault::from(error).into_store_error())?;
        self.shared.learn_table(name, number);
        Ok(Some(number))
    }

    pub(crate) async fn get(&self, table: &'static str, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        let Some(table) = self.table(table).await? else {
            return Ok(None);
        };
        let rows = self.query(GET, &[&table, &key]).await?;
        rows.first().map(|row| bytes(row, 0)).transpose()
    }

    pub(crate) async fn get_many(
        &self,
        table: &'static str,
        keys: &[Vec<u8>],
    ) -> Result<Vec<Option<Bytes>>, StoreError> {
        let Some(table) = self.table(table).await? else {
            return Ok(vec![None; keys.len()]);
        };
        let rows = self.query(GET_MANY, &[&table, &keys]).await?;
        rows.iter()
            .map(|row| match row.try_get::<_, Option<&[u8]>>(0) {
                Ok(value) => Ok(value.map(Bytes::copy_from_slice)),
                Err(error) => Err(Fault::from(error).into_store_error()),
            })
            .collect()
    }

    pub(crate) async fn scan(
        &self,
        table: &'static str,
        start: &[u8],
        end: Option<&[u8]>,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError> {
        let Some(table) = self.table(table).await? else {
            return Ok(Vec::new());
        };
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = match (direction, &end) {
            (Direction::Forward, None) => self.query(FORWARD, &[&table, &start, &limit]).await,
            (Direction::Backward, None) => self.query(BACKWARD, &[&table, &start, &limit]).await,
            (Direction::Forward, Some(end)) => self.query(FORWARD_TO, &[&table, &start, &limit, end]).await,
            (Direction::Backward, Some(end)) => self.query(BACKWARD_TO, &[&table, &start, &limit, end]).await,
        }?;
        rows.iter()
            .map(|row| Ok((bytes(row, 0)?, bytes(row, 1)?)))
            .collect()
    }

    /// Runs the statement, again and again while the database is away, for ten seconds.
    async fn query(
        &self,
        statement: &'static str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<tokio_postgres::Row>, StoreError> {
        let deadline = Instant::now() + READ_TIMEOUT;
        let mut pause = FIRST_PAUSE;
        loop {
            let outcome = timeout_at(deadline, self.try_query(statement, parameters)).await;
            let fault = match outcome {
                Ok(Ok(rows)) => return Ok(rows),
                Ok(Err(fault)) => fault,
                Err(_) => Fault::Timeout,
            };
            if self.pool.is_closed() || !fault.is_transient() || Instant::now() + pause >= deadline {
                return Err(fault.into_store_error());
            }
            tracing::debug!(%fault, "reading again");
            sleep(pause).await;
            pause = (pause * 2).min(LAST_PAUSE);
        }
    }

    async fn try_query(
        &self,
        statement: &'static str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<tokio_postgres::Row>, Fault> {
        let connection = self.pool.get().await.map_err(|error| match error {
            deadpool_postgres::PoolError::Backend(error) => Fault::Database(error),
            other => Fault::Pool(other.to_string()),
        })?;
        let connection = DiscardUnlessReturned(Some(connection));
        let rows = connection.query(statement, parameters).await?;
        connection.give_back();
        Ok(rows)
    }
}

/// A connection whose answer nobody waited for, or that gave an error, does not go back into the pool.
struct DiscardUnlessReturned(Option<Object>);

impl DiscardUnlessReturned {
    async fn query(
        &self,
        statement: &'static str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<tokio_postgres::Row>, Fault> {
        let connection = self.0.as_ref().ok_or(Fault::Timeout)?;
        let statement = connection.prepare_cached(statement).await?;
        Ok(connection.query(&statement, parameters).await?)
    }

    fn give_back(mut self) {
        drop(self.0.take());
    }
}

impl Drop for DiscardUnlessReturned {
    fn drop(&mut self) {
        if let Some(connection) = self.0.take() {
            drop(Object::take(connection));
        }
    }
}

fn bytes(row: &tokio_postgres::Row, column: usize) -> Result<Bytes, StoreError> {
    match row.try_get::<_, &[u8]>(column) {
        Ok(bytes) => Ok(Bytes::copy_from_slice(bytes)),
        Err(error) => Err(Fault::from(error).into_store_error()),
    }
}
