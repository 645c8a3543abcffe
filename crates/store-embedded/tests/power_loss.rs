//! The journal after a loss of power: pages of the batch that was being written may be missing in any combination.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use gatehouse_store::{Batch, Direction, Range, Store, Table};
use gatehouse_store_embedded::{EmbeddedBackend, EmbeddedConfig};
use tempfile::TempDir;

const ROWS: Table<(u64, u64), (Vec<u8>,)> = Table::new("power_loss.rows");

/// What a file system writes as a whole.
const PAGE: usize = 4_096;

const BATCHES: u64 = 5;
const ROWS_PER_BATCH: u64 = 8;

fn open(path: &Path) -> Result<Store, String> {
    match EmbeddedBackend::open(path, &EmbeddedConfig::default()) {
        Ok(backend) => Ok(Store::new(Arc::new(backend))),
        Err(error) => Err(error.to_string()),
    }
}

fn value(batch: u64, row: u64) -> Vec<u8> {
    // Neither zeros nor compressible, so that a lost page shows.
    let mut random = (batch * 1_000 + row).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let bytes = std::iter::repeat_with(|| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        u8::try_from(random % 255 + 1).unwrap()
    });
    // One has whole pages within, the others share them.
    bytes.take(if row == 3 { 20_000 } else { 2_500 }).collect()
}

async fn commit(store: &Store, number: u64) {
    let mut batch = Batch::new();
    for row in 0..ROWS_PER_BATCH {
        batch.put(&ROWS, &(number, row), &(value(number, row),));
    }
    batch.next_position();
    store.commit(batch).await.unwrap();
}

/// How many batches are there; all of them whole.
async fn count(store: &Store) -> u64 {
    let rows = store
        .scan(&ROWS, &Range::all(), Direction::Forward, usize::MAX)
        .await
        .unwrap();
    let batches = store.position().number();
    let all = (0..batches)
        .flat_map(|batch| (0..ROWS_PER_BATCH).map(move |row| ((batch, row), (value(batch, row),))));
    assert!(rows.into_iter().eq(all), "a batch is half there");
    batches
}

fn journal(path: &Path) -> PathBuf {
    let entries = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
    let journals: Vec<_> = entries
        .filter(|path| path.extension().is_some_and(|ext| ext == "jnl"))
        .collect();
    assert_eq!(journals.len(), 1);
    journals[0].clone()
}

fn end_of_data(journal: &Path) -> usize {
    fs::read(journal)
        .unwrap()
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |last| last + 1)
}

/// Leaves only a page of the zeros at the end, so that copies are small. Returns where the data ends.
fn shorten(journal: &Path) -> usize {
    let end = end_of_data(journal);
    let file = fs::OpenOptions::new().write(true).open(journal).unwrap();
    file.set_len(u64::try_from(end + PAGE).unwrap()).unwrap();
    end
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[tokio::test]
async fn a_torn_last_batch_is_dropped_and_nothing_else() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("store");
    let store = open(&path).unwrap();
    for number in 0..BATCHES - 1 {
        commit(&store, number).await;
    }
    let synced = end_of_data(&journal(&path));
    commit(&store, BATCHES - 1).await;
    store.close().await.unwrap();
    drop(store);
    let end = shorten(&journal(&path));
    let bytes = fs::read(journal(&path)).unwrap();
    assert!(end - synced > 4 * PAGE);

    // Each page of the last batch alone is lost, each alone is there, and all of them are lost.
    let pages: Vec<_> = (synced / PAGE..end.div_ceil(PAGE)).collect();
    let mut losses: Vec<Vec<usize>> = pages.iter().map(|page| vec![*page]).collect();
    losses.extend(
        pages
            .iter()
            .map(|kept| pages.iter().copied().filter(|page| page != kept).collect()),
    );
    losses.push(pages.clone());
    for (number, lost) in losses.into_iter().enumerate() {
        let torn = directory.path().join(format!("torn {number}"));
        copy(&path, &torn);
        let mut bytes = bytes.clone();
        for page in &lost {
            let from = (page * PAGE).max(synced);
            bytes[from..((page + 1) * PAGE).min(end)].fill(0);
        }
        fs::write(journal(&torn), bytes).unwrap();
        let store = open(&torn).unwrap_or_else(|error| panic!("pages {lost:?} of {pages:?} lost: {error}"));
        assert_eq!(count(&store).await, BATCHES - 1, "pages {lost:?} lost");
        // And it goes on from there.
        commit(&store, BATCHES - 1).await;
        store.close().await.unwrap();
        drop(store);
        assert_eq!(count(&open(&torn).unwrap()).await, BATCHES);
        fs::remove_dir_all(torn).unwrap();
    }
}

#[tokio::test]
async fn damage_before_the_last_batch_is_told_and_left_alone() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("store");
    let store = open(&path).unwrap();
    for number in 0..BATCHES {
        commit(&store, number).await;
    }
    store.close().await.unwrap();
    drop(store);
    let end = shorten(&journal(&path));
    let whole = fs::read(journal(&path)).unwrap();
    for offset in [end / 3, end / 2]
        .into_iter()
        .flat_map(|from| (from..from + 3 * PAGE).step_by(1_009))
    {
        let mut bytes = whole.clone();
        bytes[offset] ^= 0x40;
        fs::write(journal(&path), &bytes).unwrap();
        let error = open(&path)
            .err()
            .unwrap_or_else(|| panic!("byte {offset} of {end} is bad, and nothing was said"));
        assert!(
            error.contains("restore the data directory from a backup"),
            "{error}"
        );
        assert_eq!(
            fs::read(journal(&path)).unwrap(),
            bytes,
            "the damaged journal was changed"
        );
    }
    fs::write(journal(&path), &whole).unwrap();
    assert_eq!(count(&open(&path).unwrap()).await, BATCHES);
}

#[tokio::test]
async fn a_journal_that_is_cut_anywhere_keeps_whole_batches() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("store");
    let store = open(&path).unwrap();
    for number in 0..BATCHES {
        commit(&store, number).await;
    }
    store.close().await.unwrap();
    drop(store);
    let end = shorten(&journal(&path));
    let bytes = fs::read(journal(&path)).unwrap();
    let mut before = BATCHES;
    for cut in (end / 2..=end).rev().step_by(997) {
        let torn = directory.path().join("torn");
        copy(&path, &torn);
        fs::write(journal(&torn), &bytes[..cut]).unwrap();
        let kept = count(&open(&torn).unwrap()).await;
        assert!(kept <= before && kept >= BATCHES / 2 - 1);
        before = kept;
        fs::remove_dir_all(torn).unwrap();
    }
    assert!(before < BATCHES);
}
