//! The SQL schema, made and migrated by the node that comes first.

use deadpool_postgres::ClientWrapper;

use crate::failure::{OpenError, describe};

/// Each entry leads from the version of its index to the next. Entries are never changed, only added.
const MIGRATIONS: [&str; 1] = ["
    CREATE TABLE gatehouse_tables (
        number smallint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        name text NOT NULL UNIQUE
    );
    CREATE TABLE gatehouse_rows (
        table_number smallint NOT NULL,
        key bytea NOT NULL,
        value bytea NOT NULL,
        PRIMARY KEY (table_number, key)
    );
    CREATE TABLE gatehouse_sequence (
        single boolean PRIMARY KEY DEFAULT true CHECK (single),
        position bigint NOT NULL
    ) WITH (fillfactor = 10);
    INSERT INTO gatehouse_sequence (position) VALUES (0);
    CREATE TABLE gatehouse_nodes (
        node text PRIMARY KEY,
        last_group bigint NOT NULL,
        seen timestamptz NOT NULL DEFAULT now()
    ) WITH (fillfactor = 10);
"];

/// The lock that nodes take while they look at the version. Any number that others are unlikely to use.
const MIGRATION_LOCK: i64 = 0x6761_7465_686F_7573;

/// A node needs its row for seconds after a commit; this is long after.
const FORGET_NODES: &str = "DELETE FROM gatehouse_nodes WHERE seen < now() - interval '7 days'";

/// What is known after opening.
pub(crate) struct Opened {
    /// The schema within the database, which tells deployments in one database apart.
    pub(crate) schema: String,
    pub(crate) position: i64,
    /// A new name, under which this node notes its commits.
    pub(crate) node: String,
}

/// Brings the schema to this program's version.
pub(crate) async fn migrate(client: &ClientWrapper) -> Result<Opened, OpenError> {
    let prepare = |error: tokio_postgres::Error| OpenError::Prepare(describe(&error));
    // The lock ends with the transaction.
    client.batch_execute("BEGIN").await.map_err(prepare)?;
    client
        .execute("SELECT pg_advisory_xact_lock($1)", &[&MIGRATION_LOCK])
        .await
        .map_err(prepare)?;
    client
        .batch_execute("CREATE TABLE IF NOT EXISTS gatehouse_schema (version integer NOT NULL)")
        .await
        .map_err(prepare)?;
    let row = client
        .query_opt("SELECT version FROM gatehouse_schema", &[])
        .await
        .map_err(prepare)?;
    let found = row
        .map_or(Ok(0), |row| row.try_get::<_, i32>(0))
        .map_err(prepare)?;
    let known = i32::try_from(MIGRATIONS.len()).unwrap_or(i32::MAX);
    if found > known {
        return Err(OpenError::Schema { found, known });
    }
    for migration in MIGRATIONS.iter().skip(usize::try_from(found).unwrap_or(0)) {
        client.batch_execute(migration).await.map_err(prepare)?;
    }
    if found < known {
        let record = format!("DELETE FROM gatehouse_schema; INSERT INTO gatehouse_schema VALUES ({known})");
        client.batch_execute(&record).await.map_err(prepare)?;
    }
    client.batch_execute(FORGET_NODES).await.map_err(prepare)?;
    let row = client
        .query_one(
            "SELECT current_schema()::text, position, gen_random_uuid()::text FROM gatehouse_sequence",
            &[],
        )
        .await
        .map_err(prepare)?;
    let opened = Opened {
        schema: row.try_get(0).map_err(prepare)?,
        position: row.try_get(1).map_err(prepare)?,
        node: row.try_get(2).map_err(prepare)?,
    };
    client.batch_execute("COMMIT").await.map_err(prepare)?;
    Ok(opened)
}
