//! Work that one node at a time must do.

use std::time::Duration;

use super::Fixture;
use crate::backend::Lease;

/// One holder at a time; free again once dropped.
pub async fn a_lease_is_exclusive_until_dropped(fixture: &impl Fixture) {
    let store = fixture.open().await;
    let first = store.lease("work").await.expect("an answer").expect("it is free");
    assert!(
        store.lease("work").await.expect("an answer").is_none(),
        "two holders"
    );
    assert!(
        store.clone().lease("work").await.expect("an answer").is_none(),
        "two holders"
    );
    drop(first);
    let second = taken(&store).await;
    assert!(
        store.lease("work").await.expect("an answer").is_none(),
        "two holders"
    );
    drop(second);
    drop(taken(&store).await);
}

/// A backend may need a moment to learn that a lease was dropped.
async fn taken(store: &crate::Store) -> Lease {
    loop {
        if let Some(lease) = store.lease("work").await.expect("an answer") {
            return lease;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Names do not stand in each other's way.
pub async fn leases_of_other_names_are_free(fixture: &impl Fixture) {
    let store = fixture.open().await;
    let mut held = Vec::new();
    for number in 0..20 {
        held.push(
            store
                .lease(&format!("work {number}"))
                .await
                .expect("an answer")
                .expect("it is free"),
        );
    }
    assert_eq!(held.len(), 20);
    assert!(store.lease("work 7").await.expect("an answer").is_none());
}
