//! The simulated disk keeps to the storage contract, when it is good and when it is slow.

use std::sync::{Arc, atomic::AtomicBool};

use gatehouse_simulation::{
    dice::Dice,
    disk::{Disk, Mount, Temper},
};
use gatehouse_store::{Store, conformance::Fixture};
use tokio_util::sync::CancellationToken;

struct Slow(Arc<Disk>);

impl Fixture for Slow {
    async fn open(&self) -> Store {
        let temper = Temper {
            slow: 300,
            refuses: 0,
            yields: 300,
            is_shared: false,
        };
        let is_good = Arc::new(AtomicBool::new(false));
        Store::new(Mount::new(
            Arc::clone(&self.0),
            temper,
            Dice::new(7),
            is_good,
            CancellationToken::new(),
        ))
    }
}

gatehouse_store::conformance_tests!(Slow(Arc::default()));
