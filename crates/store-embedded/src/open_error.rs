//! What can be wrong when the store is opened.

use std::{io, path::PathBuf};

use thiserror::Error;

/// Why the store could not be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// Another process has it open.
    #[error(
        "{path} is in use by another process; stop the other server, or give this one its own data directory"
    )]
    Locked {
        /// The directory.
        path: PathBuf,
    },
    /// The disk or the file system refused.
    #[error("cannot open the store: {0}; check that the data directory exists and may be written to")]
    Io(io::Error),
    /// A later version of the program wrote it.
    #[error(
        "the store has format {found}, this program knows {known}; use the version that wrote it, or a later one"
    )]
    Format {
        /// The format of the store.
        found: u8,
        /// The format that this program writes.
        known: u8,
    },
    /// The store's own rows do not decode.
    #[error("the store is damaged: {0} cannot be read; restore the data directory from a backup")]
    Layout(&'static str),
    /// Commits in the middle of the journal do not decode. Nothing was changed.
    #[error(
        "the store is damaged: {path} cannot be read from byte {offset} on, and there are commits after that; \
         restore the data directory from a backup"
    )]
    Journal {
        /// The journal.
        path: PathBuf,
        /// Where the first commit begins that cannot be read.
        offset: u64,
    },
    /// The files do not decode.
    #[error("the store is damaged: {0}; restore the data directory from a backup")]
    Damaged(fjall::Error),
}

impl From<fjall::Error> for OpenError {
    fn from(error: fjall::Error) -> Self {
        match error {
            fjall::Error::Io(error) | fjall::Error::Storage(fjall::LsmError::Io(error)) => Self::Io(error),
            other => Self::Damaged(other),
        }
    }
}
