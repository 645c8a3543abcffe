//! The backend in memory against the suite.

use gatehouse_store::{Store, conformance::Fixture};

struct Memory;

impl Fixture for Memory {
    async fn open(&self) -> Store {
        Store::in_memory()
    }
}

gatehouse_store::conformance_tests!(Memory);
