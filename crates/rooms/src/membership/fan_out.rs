//! One request that changes many memberships.

use std::future::ready;

use futures_util::{StreamExt, stream};
use gatehouse_store::StoreError;

use crate::write_error::WriteError;

/// Changes under way at once: so many share a sync of the disk, and there is room left for what others do.
const AT_ONCE: usize = 16;

/// Makes each of the changes. Goes on when one fails, and tells the last failure. Goes on too when whoever asked goes
/// away: a client that hangs up leaves nothing half done.
pub(crate) async fn each<T, F>(
    things: Vec<T>,
    change: impl Fn(T) -> F + Send + 'static,
) -> Result<(), WriteError>
where
    T: Send + 'static,
    F: Future<Output = Result<(), WriteError>> + Send + 'static,
{
    let changes = tokio::spawn(async move {
        stream::iter(things)
            .map(change)
            .buffer_unordered(AT_ONCE)
            .fold(Ok(()), |before, outcome| ready(outcome.and(before)))
            .await
    });
    changes.await.unwrap_or_else(|_| {
        let stopping = "the server is stopping; try again".to_owned();
        Err(StoreError::Unavailable(stopping).into())
    })
}
