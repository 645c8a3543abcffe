//! What is still there when the store is opened again.

use super::{BYTES, Durable, LOG, OTHER_BYTES, TEXT, order, text};
use crate::{Batch, Direction, Position, Range};

/// Rows, deletions, and which table is which.
pub async fn reopening_keeps_everything(fixture: &impl Durable) {
    for round in 0..5_u8 {
        let store = fixture.open().await;
        for before in 0..round {
            assert_eq!(
                store.get(&BYTES, &(vec![before],)).await.expect("a read"),
                Some((vec![1],))
            );
            assert_eq!(
                store.get(&OTHER_BYTES, &(vec![before],)).await.expect("a read"),
                Some((vec![2],))
            );
        }
        assert_eq!(store.get(&TEXT, &text("deleted")).await.expect("a read"), None);
        let mut batch = Batch::new();
        batch.put(&TEXT, &text("deleted"), &text("soon"));
        store.commit(batch).await.expect("a commit");
        let mut batch = Batch::new();
        batch.delete(&TEXT, &text("deleted"));
        // In another order each time, so that tables do not get their places by chance.
        if round % 2 == 0 {
            batch.put(&BYTES, &(vec![round],), &(vec![1],));
        }
        batch.put(&OTHER_BYTES, &(vec![round],), &(vec![2],));
        batch.put(&BYTES, &(vec![round],), &(vec![1],));
        store.commit(batch).await.expect("a commit");
        store.close().await.expect("it closes");
    }
}

/// No position is given twice over a restart.
pub async fn positions_go_on_after_reopening(fixture: &impl Durable) {
    let mut count = 0;
    for _ in 0..3 {
        let store = fixture.open().await;
        assert_eq!(store.position().number(), count);
        let told = order::write_log(&store).await;
        count += u64::try_from(told.len()).expect("small");
        assert_eq!(store.position().number(), count);
        store.close().await.expect("it closes");
    }
    let store = fixture.open().await;
    assert_eq!(store.position(), Position::new(count).expect("small"));
    let rows = store
        .scan(&LOG, &Range::all(), Direction::Forward, usize::MAX)
        .await
        .expect("a scan");
    let positions: Vec<_> = rows
        .into_iter()
        .map(|((position,), _)| position.number())
        .collect();
    assert_eq!(positions, (1..=count).collect::<Vec<_>>());
}
