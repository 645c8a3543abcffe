//! Which error of the tree means what to the callers of the store.

use std::io;

use gatehouse_store::{DecodeError, StoreError};

/// A read of this table went wrong.
pub(crate) fn of_read(table: &'static str, error: &fjall::Error) -> StoreError {
    match error {
        fjall::Error::Io(error) | fjall::Error::Storage(fjall::LsmError::Io(error)) if !is_damage(error) => {
            StoreError::Unavailable(format!(
                "reading {table} from disk failed ({error}); check the disk"
            ))
        }
        _ => {
            tracing::error!(%error, table, "the store is damaged; restore the data directory from a backup");
            StoreError::Corrupt {
                table,
                source: DecodeError::Invalid("block on disk"),
            }
        }
    }
}

fn is_damage(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof
    )
}

/// A write or a sync went wrong; what of it is on disk is unknown.
pub(crate) fn of_write(error: &fjall::Error) -> String {
    let cause = match error {
        fjall::Error::Io(error) | fjall::Error::Storage(fjall::LsmError::Io(error)) => error.to_string(),
        fjall::Error::Poisoned => "an earlier write to disk failed".to_owned(),
        other => other.to_string(),
    };
    format!("writing to disk failed ({cause}); check the disk and its free space, then restart the server")
}
