//! The PostgreSQL store against the suite, and against `kill -9` of its node.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use gatehouse_store::{
    Store,
    conformance::{Durable, Fixture},
};
use gatehouse_store_postgres::{PostgresBackend, PostgresConfig};
use gatehouse_test_postgres::Cluster;

struct Database {
    url: String,
    /// Stops the server when the last test that made a database in it ends.
    _cluster: Option<Arc<Cluster>>,
}

impl Database {
    async fn new() -> Self {
        let cluster = tokio::task::spawn_blocking(Cluster::shared)
            .await
            .unwrap()
            .unwrap();
        Self {
            url: cluster.database().await.unwrap(),
            _cluster: Some(cluster),
        }
    }
}

impl Fixture for Database {
    async fn open(&self) -> Store {
        let config = PostgresConfig { pool_size: 4 };
        Store::new(Arc::new(
            PostgresBackend::connect(&self.url, &config).await.unwrap(),
        ))
    }
}

impl Durable for Database {
    fn address(&self) -> String {
        self.url.clone()
    }

    fn at(address: &str) -> Self {
        Self {
            url: address.to_owned(),
            _cluster: None,
        }
    }
}

gatehouse_store::conformance_tests!(Database::new().await);
gatehouse_store::durability_tests!(Database::new().await, Database);
