//! What goes on in the background: the pepper, and what has expired.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::{Identity, Unavailable};

/// How often it is looked whether something is due.
const LOOK_EVERY: Duration = Duration::from_mins(1);

/// Expired rows deleted in one commit.
const PAGE: usize = 500;

impl Identity {
    /// Keeps house until stopped: rotates the pepper when it is old, or when a rotation was interrupted, and deletes
    /// what has expired.
    pub async fn run_housekeeping(&self, stop: CancellationToken) {
        loop {
            let outcome = tokio::select! {
                () = stop.cancelled() => return,
                outcome = self.keep_house() => outcome,
            };
            if let Err(error) = outcome {
                tracing::warn!(%error, "the identity service could not clean up; it will try again");
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    /// Does once what is due.
    pub async fn keep_house(&self) -> Result<(), Unavailable> {
        while self.sweep_tokens(PAGE).await? {}
        self.tend_pepper().await
    }
}
