//! The embedded store against the suite, and against `kill -9`.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use gatehouse_store::{
    Store,
    conformance::{Durable, Fixture},
};
use gatehouse_store_embedded::{EmbeddedBackend, EmbeddedConfig};
use tempfile::TempDir;

struct Directory {
    path: PathBuf,
    /// Removes the directory when the test that made it ends.
    _owned: Option<TempDir>,
}

impl Directory {
    fn new() -> Self {
        let owned = TempDir::new().unwrap();
        Self {
            path: owned.path().to_owned(),
            _owned: Some(owned),
        }
    }
}

impl Fixture for Directory {
    async fn open(&self) -> Store {
        // Small tables, so that they are also written out and merged during the tests.
        let config = EmbeddedConfig {
            memtable_bytes: 256 << 10,
            ..EmbeddedConfig::default()
        };
        Store::new(Arc::new(EmbeddedBackend::open(&self.path, &config).unwrap()))
    }
}

impl Durable for Directory {
    fn address(&self) -> String {
        self.path.to_str().unwrap().to_owned()
    }

    fn at(address: &str) -> Self {
        Self {
            path: Path::new(address).to_owned(),
            _owned: None,
        }
    }
}

gatehouse_store::conformance_tests!(Directory::new());
gatehouse_store::durability_tests!(Directory::new(), Directory);
