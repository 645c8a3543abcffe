//! The suite that every backend passes.
//!
//! A backend's `tests/conformance.rs` describes how to open it ([`Fixture`]) and expands
//! [`conformance_tests!`](crate::conformance_tests); one that keeps data on disk also describes how to find it
//! again ([`Durable`]) and expands [`durability_tests!`](crate::durability_tests), whose tests kill child processes.
//! Cases are functions that panic with what is wrong.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::panic,
    reason = "a case fails by panicking"
)]

pub mod commits;
pub mod crash;
pub mod durability;
pub mod leases;
pub mod order;
pub mod rows;
pub mod watching;

use std::time::Duration;

use crate::{Position, Store, Table};

/// A row of text.
pub(crate) const TEXT: Table<(String,), (String,)> = Table::new("conformance.text");
/// A row of any bytes.
pub(crate) const BYTES: Table<(Vec<u8>,), (Vec<u8>,)> = Table::new("conformance.bytes");
/// The neighbour of [`BYTES`] that is made just after it.
pub(crate) const OTHER_BYTES: Table<(Vec<u8>,), (Vec<u8>,)> = Table::new("conformance.bytes_other");
/// A row under two parts.
pub(crate) const PAIRS: Table<(String, u64), (u64,)> = Table::new("conformance.pairs");
/// One row for each position: who wrote it, and which of the writer's it is.
pub(crate) const LOG: Table<(Position,), (u64, u64)> = Table::new("conformance.log");

/// How long one case may take; only a hang takes that long.
const CASE_TIMEOUT: Duration = Duration::from_mins(2);

/// One place with data of its own, empty at first.
pub trait Fixture: Send + Sync {
    /// Opens the store there; again after the one before has been closed and dropped.
    fn open(&self) -> impl Future<Output = Store> + Send;
}

/// A fixture whose data outlives the process.
pub trait Durable: Fixture {
    /// What another process needs to find the data.
    fn address(&self) -> String;
    /// The fixture with this address.
    fn at(address: &str) -> Self;
}

/// Runs a case, bounded in time.
/// Panics when the case does, or hangs.
pub async fn run(case: impl Future<Output = ()>) {
    assert!(
        tokio::time::timeout(CASE_TIMEOUT, case).await.is_ok(),
        "the case hangs"
    );
}

pub(crate) fn text(text: &str) -> (String,) {
    (text.to_owned(),)
}

/// One test for each case, over the fixture that the expression makes.
#[macro_export]
macro_rules! conformance_tests {
    ($fixture:expr) => {
        $crate::conformance_cases! { $fixture;
            rows: rows_round_trip;
            rows: get_many_answers_in_the_order_asked;
            rows: ranges_are_half_open_and_ordered_both_ways;
            rows: ranges_follow_the_parts_of_keys;
            rows: a_scan_stays_in_its_table;
            rows: large_values_are_kept;
            rows: random_batches_agree_with_a_model;
            commits: a_conflict_writes_nothing;
            commits: expectations_compare_the_whole_row;
            commits: the_last_write_of_a_row_wins;
            commits: pipelined_batches_see_each_other;
            commits: a_dropped_future_withdraws_nothing;
            commits: a_batch_without_positions_takes_none;
            commits: contended_counters_lose_no_increment;
            commits: a_closed_store_refuses_commits;
            order: positions_are_gap_free_and_unique;
            order: pending_positions_are_filled_into_keys_and_values;
            order: reserved_positions_lie_between_what_came_before_and_after;
            order: a_position_is_never_seen_before_its_rows;
            order: a_scan_never_sees_half_a_batch;
            watching: a_watcher_misses_nothing_and_sees_it_in_order;
            watching: who_waits_for_watchers_to_be_told_finds_the_notice;
            watching: a_slow_watcher_is_told_that_everything_changed;
            watching: a_watcher_sees_the_end_of_a_closed_store;
            leases: a_lease_is_exclusive_until_dropped;
            leases: leases_of_other_names_are_free;
        }
    };
}

/// One test for each case about data that outlives the store or its process.
///
/// `child_of_crash_tests` is no test: the child process runs it, and it does nothing otherwise.
#[macro_export]
macro_rules! durability_tests {
    ($fixture:expr, $type:ty) => {
        $crate::conformance_cases! { $fixture;
            durability: reopening_keeps_everything;
            durability: positions_go_on_after_reopening;
            crash: killing_the_process_loses_nothing_acknowledged;
        }

        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn child_of_crash_tests() {
            $crate::conformance::crash::child::<$type>().await;
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! conformance_cases {
    ($fixture:expr; $($module:ident: $case:ident;)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $case() {
            $crate::conformance::run($crate::conformance::$module::$case(&$fixture)).await;
        }
    )*};
}
