//! Single rows, many rows, ranges.

use std::collections::BTreeMap;

use super::{BYTES, Fixture, OTHER_BYTES, PAIRS, TEXT, text};
use crate::{Batch, Direction, Range, Store};

async fn put(store: &Store, key: &str, value: &str) {
    let mut batch = Batch::new();
    batch.put(&TEXT, &text(key), &text(value));
    store.commit(batch).await.expect("a commit");
}

async fn get(store: &Store, key: &str) -> Option<String> {
    store
        .get(&TEXT, &text(key))
        .await
        .expect("a read")
        .map(|(value,)| value)
}

/// What is written is read; what is deleted, or was never there, is not.
pub async fn rows_round_trip(fixture: &impl Fixture) {
    let store = fixture.open().await;
    assert_eq!(get(&store, "a").await, None);
    put(&store, "a", "1").await;
    assert_eq!(get(&store, "a").await.as_deref(), Some("1"));
    assert_eq!(get(&store, "").await, None);
    put(&store, "a", "2").await;
    put(&store, "", "").await;
    put(&store, "with\0zero", "and\0zero").await;
    assert_eq!(get(&store, "a").await.as_deref(), Some("2"));
    assert_eq!(get(&store, "").await.as_deref(), Some(""));
    assert_eq!(get(&store, "with\0zero").await.as_deref(), Some("and\0zero"));
    assert_eq!(get(&store, "with").await, None);

    let mut batch = Batch::new();
    batch.delete(&TEXT, &text("a"));
    batch.delete(&TEXT, &text("never there"));
    store.commit(batch).await.expect("a commit");
    assert_eq!(get(&store, "a").await, None);
    put(&store, "a", "3").await;
    assert_eq!(get(&store, "a").await.as_deref(), Some("3"));
}

/// Missing and repeated keys included.
pub async fn get_many_answers_in_the_order_asked(fixture: &impl Fixture) {
    let store = fixture.open().await;
    let keys = [text("b"), text("x"), text("a"), text("b")];
    assert_eq!(
        store.get_many(&TEXT, &keys).await.expect("a read"),
        [None, None, None, None]
    );
    put(&store, "a", "1").await;
    put(&store, "b", "2").await;
    let rows = store.get_many(&TEXT, &keys).await.expect("a read");
    assert_eq!(rows, [Some(text("2")), None, Some(text("1")), Some(text("2"))]);
    assert_eq!(store.get_many(&TEXT, &[]).await.expect("a read"), []);
}

async fn keys(store: &Store, range: &Range<(Vec<u8>,)>, direction: Direction, limit: usize) -> Vec<Vec<u8>> {
    let rows = store.scan(&BYTES, range, direction, limit).await.expect("a scan");
    rows.into_iter().map(|((key,), _)| key).collect()
}

/// The start is in, the end is out, the limit counts from the side that the scan begins at.
pub async fn ranges_are_half_open_and_ordered_both_ways(fixture: &impl Fixture) {
    let store = fixture.open().await;
    let all: Vec<Vec<u8>> = [
        &b""[..],
        &[0],
        &[0, 1],
        &[1],
        b"a",
        b"ab",
        b"b",
        &[0xFE],
        &[0xFF],
        &[0xFF, 0xFF],
    ]
    .map(Vec::from)
    .into();
    assert_eq!(
        keys(&store, &Range::all(), Direction::Forward, 100).await,
        Vec::<Vec<u8>>::new()
    );
    let mut batch = Batch::new();
    for key in all.iter().rev() {
        batch.put(&BYTES, &(key.clone(),), &(key.clone(),));
    }
    store.commit(batch).await.expect("a commit");

    for start in 0..all.len() {
        for end in 0..=all.len() {
            let mut range = Range::all().from(&(all[start].clone(),));
            if let Some(end) = all.get(end) {
                range = range.before(&(end.clone(),));
            }
            let inside: Vec<_> = all.get(start..end).unwrap_or_default().to_vec();
            assert_eq!(
                keys(&store, &range, Direction::Forward, 100).await,
                inside,
                "{start}..{end}"
            );
            let limited: Vec<_> = inside.iter().take(2).cloned().collect();
            assert_eq!(
                keys(&store, &range, Direction::Forward, 2).await,
                limited,
                "{start}..{end}"
            );
            let last: Vec<_> = inside.iter().rev().take(3).cloned().collect();
            assert_eq!(
                keys(&store, &range, Direction::Backward, 3).await,
                last,
                "{start}..{end}"
            );
        }
    }
    assert_eq!(
        keys(&store, &Range::all(), Direction::Forward, 0).await,
        Vec::<Vec<u8>>::new()
    );
    assert_eq!(
        keys(&store, &Range::all(), Direction::Forward, usize::MAX).await,
        all
    );
}

/// `prefix`, `after` and `through` mean parts, not bytes: "a" is no prefix of "ab".
pub async fn ranges_follow_the_parts_of_keys(fixture: &impl Fixture) {
    let store = fixture.open().await;
    let mut batch = Batch::new();
    for name in ["a", "ab", "b"] {
        for number in [0, 1, 2, 300, u64::MAX] {
            batch.put(&PAIRS, &(name.to_owned(), number), &(number,));
        }
    }
    store.commit(batch).await.expect("a commit");
    let scan = |range: Range<(String, u64)>, direction| {
        let store = store.clone();
        async move {
            let rows = store.scan(&PAIRS, &range, direction, 100).await.expect("a scan");
            rows.into_iter()
                .map(|((name, number), _)| format!("{name}{number}"))
                .collect::<Vec<_>>()
                .join(" ")
        }
    };
    let max = u64::MAX;
    let of_a = scan(Range::prefix(&text("a")), Direction::Forward).await;
    assert_eq!(of_a, format!("a0 a1 a2 a300 a{max}"));
    let after = Range::prefix(&text("a")).after(&("a".to_owned(), 1));
    assert_eq!(scan(after, Direction::Backward).await, format!("a{max} a300 a2"));
    let between = Range::all()
        .after(&("a".to_owned(), 300))
        .through(&("ab".to_owned(), 0));
    assert_eq!(scan(between, Direction::Forward).await, format!("a{max} ab0"));
    let last = Range::all().after(&("b".to_owned(), 300));
    assert_eq!(scan(last, Direction::Forward).await, format!("b{max}"));
    assert_eq!(
        scan(Range::all().after(&("b".to_owned(), max)), Direction::Forward).await,
        ""
    );
    let inverted = Range::all()
        .from(&("b".to_owned(), 0))
        .before(&("a".to_owned(), 0));
    assert_eq!(scan(inverted, Direction::Backward).await, "");
}

/// The end of a table is not the beginning of the next.
pub async fn a_scan_stays_in_its_table(fixture: &impl Fixture) {
    let store = fixture.open().await;
    let mut batch = Batch::new();
    for key in [&b""[..], &[0x00], &[0xFF; 9]] {
        batch.put(&BYTES, &(key.to_vec(),), &(vec![1],));
        batch.put(&OTHER_BYTES, &(key.to_vec(),), &(vec![2],));
        batch.put(&TEXT, &text("between"), &text("tables"));
    }
    store.commit(batch).await.expect("a commit");
    for direction in [Direction::Forward, Direction::Backward] {
        for (table, value) in [(&BYTES, 1), (&OTHER_BYTES, 2)] {
            let rows = store
                .scan(table, &Range::all(), direction, 100)
                .await
                .expect("a scan");
            let values: Vec<_> = rows.into_iter().map(|(_, (value,))| value).collect();
            assert_eq!(values, vec![vec![value]; 3]);
        }
    }
}

/// Events may have 64 KiB; rows may hold more.
pub async fn large_values_are_kept(fixture: &impl Fixture) {
    let store = fixture.open().await;
    let value: Vec<u8> = (0_u32..1 << 18)
        .flat_map(|number| number.wrapping_mul(2_654_435_761).to_be_bytes())
        .collect();
    let mut batch = Batch::new();
    batch.put(&BYTES, &(vec![1],), &(value.clone(),));
    batch.put(&BYTES, &(vec![7; 2_000],), &(vec![8],));
    store.commit(batch).await.expect("a commit");
    assert_eq!(
        store.get(&BYTES, &(vec![1],)).await.expect("a read"),
        Some((value,))
    );
    assert_eq!(
        store.get(&BYTES, &(vec![7; 2_000],)).await.expect("a read"),
        Some((vec![8],))
    );
}

/// Batches of random puts and deletes, read back in full.
pub async fn random_batches_agree_with_a_model(fixture: &impl Fixture) {
    let store = fixture.open().await;
    let mut model = BTreeMap::new();
    let mut random = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = |below: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % below
    };
    for round in 0..100_u64 {
        let mut batch = Batch::new();
        for _ in 0..next(20) {
            let length = next(4);
            let key: Vec<u8> = (0..length)
                .map(|_| [0, 1, 0x61, 0xFF][usize::try_from(next(4)).expect("small")])
                .collect();
            if next(3) == 0 {
                batch.delete(&BYTES, &(key.clone(),));
                model.remove(&key);
            } else {
                let value = round.to_be_bytes().to_vec();
                batch.put(&BYTES, &(key.clone(),), &(value.clone(),));
                model.insert(key, value);
            }
        }
        store.commit(batch).await.expect("a commit");
        let rows = store
            .scan(&BYTES, &Range::all(), Direction::Forward, usize::MAX)
            .await
            .expect("a scan");
        let rows: Vec<_> = rows.into_iter().map(|((key,), (value,))| (key, value)).collect();
        assert_eq!(
            rows,
            model.clone().into_iter().collect::<Vec<_>>(),
            "round {round}"
        );
    }
}
