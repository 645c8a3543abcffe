//! One try to commit a group: two round trips, the first of which takes the lock of the sequence.

use std::collections::{BTreeSet, HashMap};

use bytes::Bytes;
use deadpool_postgres::ClientWrapper;
use futures_util::future;
use gatehouse_store::{
    Batch, CommitError, Position,
    group::{Group, GroupWrites},
};
use tokio_postgres::Row;

use crate::{
    failure::Fault,
    payload,
    shared::{Shared, TableNumber, number_of, position_of},
};

/// `ON CONFLICT` in place of a look first: two nodes may meet a table at the same time.
const ADD_TABLES: &str = "
    INSERT INTO gatehouse_tables (name)
    SELECT name FROM unnest($1::text[]) AS n (name)
    WHERE NOT EXISTS (SELECT FROM gatehouse_tables t WHERE t.name = n.name)
    ON CONFLICT DO NOTHING";

const TABLES: &str = "SELECT name, number FROM gatehouse_tables WHERE name = ANY ($1::text[])";

const LOCK: &str = "SELECT position FROM gatehouse_sequence FOR UPDATE";

const FETCH: &str = "
    SELECT r.table_number, r.key, r.value FROM unnest($1::smallint[], $2::bytea[]) AS e (table_number, key)
    JOIN gatehouse_rows r ON r.table_number = e.table_number AND r.key = e.key";

const PUT: &str = "
    INSERT INTO gatehouse_rows (table_number, key, value)
    SELECT * FROM unnest($1::smallint[], $2::bytea[], $3::bytea[])
    ON CONFLICT (table_number, key) DO UPDATE SET value = EXCLUDED.value";

const DELETE: &str = "
    DELETE FROM gatehouse_rows r USING unnest($1::smallint[], $2::bytea[]) AS d (table_number, key)
    WHERE r.table_number = d.table_number AND r.key = d.key";

/// The node notes the group, so that it can find out later whether it was committed. The transaction's own id would
/// not do: after a crash the database gives the ids of lost transactions to new ones.
const ADVANCE: &str = "
    WITH noted AS (
        INSERT INTO gatehouse_nodes (node, last_group) VALUES ($2, $3)
        ON CONFLICT (node) DO UPDATE SET last_group = EXCLUDED.last_group, seen = EXCLUDED.seen
    )
    UPDATE gatehouse_sequence SET position = $1";

const NOTIFY: &str = "SELECT pg_notify($1, payload) FROM unnest($2::text[]) AS p (payload)";

const NOTED: &str = "SELECT last_group FROM gatehouse_nodes WHERE node = $1";

/// A group on its way.
pub(crate) struct Attempt<'a> {
    pub(crate) batches: &'a [Batch],
    /// Never used before by this node.
    pub(crate) number: i64,
}

/// How the batches of a group end when its transaction commits.
pub(crate) struct Decided {
    pub(crate) outcomes: Vec<Result<Position, CommitError>>,
    pub(crate) last: Position,
}

/// Makes the tables that the batches name known to this node, and to the database.
pub(crate) async fn learn_tables(
    client: &ClientWrapper,
    shared: &Shared,
    batches: &[Batch],
) -> Result<(), Fault> {
    let unknown: BTreeSet<_> = batches
        .iter()
        .flat_map(|batch| {
            let expected = batch.expectations().iter().map(|expectation| expectation.table);
            expected.chain(batch.writes().iter().map(|write| write.table))
        })
        .filter(|table| shared.table(table).is_none())
        .collect();
    if unknown.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = unknown.into_iter().collect();
    client.execute(ADD_TABLES, &[&names]).await?;
    for row in client.query(TABLES, &[&names]).await? {
        shared.learn_table(row.try_get(0)?, row.try_get(1)?);
    }
    Ok(())
}

/// Decides the batches under the lock, and commits. Before `COMMIT` is sent, `decided` is filled: when an error
/// comes after that, its transaction may have been committed all the same.
pub(crate) async fn commit(
    client: &ClientWrapper,
    shared: &Shared,
    attempt: &Attempt<'_>,
    decided: &mut Option<Decided>,
) -> Result<(), Fault> {
    learn_tables(client, shared, attempt.batches).await?;
    let (position, stored) = lock_and_fetch(client, shared, attempt.batches).await?;
    let mut group = Group::after(position);
    let outcomes = attempt
        .batches
        .iter()
        .map(|batch| {
            group.add(batch.clone(), |table, key| {
                Ok(shared
                    .table(table)
                    .and_then(|table| stored.get(&table)?.get(key))
                    .cloned())
            })
        })
        .collect();
    *decided = Some(Decided {
        outcomes,
        last: group.last(),
    });
    if group.is_empty() {
        Ok(client.batch_execute("ROLLBACK").await?)
    } else {
        write(client, shared, &group, attempt.number).await
    }
}

type Stored = HashMap<TableNumber, HashMap<Vec<u8>, Bytes>>;

/// Begins the transaction, takes the lock, and reads what the batches expect; in one round trip.
async fn lock_and_fetch(
    client: &ClientWrapper,
    shared: &Shared,
    batches: &[Batch],
) -> Result<(Position, Stored), Fault> {
    let lock = client.prepare_cached(LOCK).await?;
    let fetch = client.prepare_cached(FETCH).await?;
    let (tables, keys): (Vec<_>, Vec<_>) = batches
        .iter()
        .flat_map(Batch::expectations)
        .filter_map(|expectation| Some((shared.table(expectation.table)?, expectation.key.as_slice())))
        .collect::<BTreeSet<_>>()
        .into_iter()
        .unzip();
    let fetched = async {
        // The statement runs after the lock is held, and sees what its holders before have committed.
        if keys.is_empty() {
            Ok(Vec::new())
        } else {
            client.query(&fetch, &[&tables, &keys]).await
        }
    };
    let ((), locked, fetched) = future::try_join3(
        client.batch_execute("BEGIN"),
        client.query_one(&lock, &[]),
        fetched,
    )
    .await?;
    let position = position_of(locked.try_get(0)?).ok_or(Fault::Foreign("a position"))?;
    let mut stored = Stored::new();
    for row in &fetched {
        let (table, key, value) = stored_row(row)?;
        stored.entry(table).or_default().insert(key, value);
    }
    Ok((position, stored))
}

fn stored_row(row: &Row) -> Result<(TableNumber, Vec<u8>, Bytes), tokio_postgres::Error> {
    Ok((
        row.try_get(0)?,
        row.try_get(1)?,
        Bytes::copy_from_slice(row.try_get(2)?),
    ))
}

/// Writes the group and commits; in one round trip.
async fn write(client: &ClientWrapper, shared: &Shared, group: &Group, number: i64) -> Result<(), Fault> {
    let put = client.prepare_cached(PUT).await?;
    let delete = client.prepare_cached(DELETE).await?;
    let advance = client.prepare_cached(ADVANCE).await?;
    let notify = client.prepare_cached(NOTIFY).await?;
    let columns = Columns::of(group.writes(), shared);
    let last = number_of(group.last());
    let payloads = payload::encode(group.last(), group.notices());
    let puts = async {
        let (tables, keys, values) = &columns.puts;
        if keys.is_empty() {
            Ok(0)
        } else {
            client.execute(&put, &[tables, keys, values]).await
        }
    };
    let deletes = async {
        let (tables, keys) = &columns.deletes;
        if keys.is_empty() {
            Ok(0)
        } else {
            client.execute(&delete, &[tables, keys]).await
        }
    };
    let advanced = async { client.execute(&advance, &[&last, &shared.node, &number]).await };
    let told = async { client.execute(&notify, &[&shared.channel, &payloads]).await };
    future::try_join5(puts, deletes, advanced, told, client.batch_execute("COMMIT")).await?;
    Ok(())
}

#[derive(Default)]
struct Columns<'a> {
    puts: (Vec<TableNumber>, Vec<&'a [u8]>, Vec<&'a [u8]>),
    deletes: (Vec<TableNumber>, Vec<&'a [u8]>),
}

impl<'a> Columns<'a> {
    fn of(writes: &'a GroupWrites, shared: &Shared) -> Self {
        let mut columns = Self::default();
        for (table, rows) in writes {
            // `learn_tables` has seen to it that all are known.
            let Some(table) = shared.table(table) else {
                continue;
            };
            for (key, value) in rows {
                if let Some(value) = value {
                    columns.puts.0.push(table);
                    columns.puts.1.push(key);
                    columns.puts.2.push(value);
                } else {
                    columns.deletes.0.push(table);
                    columns.deletes.1.push(key);
                }
            }
        }
        columns
    }
}

/// Whether the group was committed whose answer was lost. Waits until its transaction has ended: that holds the lock.
pub(crate) async fn was_committed(
    client: &ClientWrapper,
    shared: &Shared,
    number: i64,
) -> Result<bool, Fault> {
    client.batch_execute("BEGIN").await?;
    client.query_one(LOCK, &[]).await?;
    let noted = client.query_opt(NOTED, &[&shared.node]).await?;
    client.batch_execute("ROLLBACK").await?;
    Ok(match noted {
        Some(row) => row.try_get::<_, i64>(0)? == number,
        None => false,
    })
}
