use thiserror::Error;

/// Why a read or a write could not be carried out.
#[derive(Debug, Clone, Error)]
pub enum StoreError {
    /// It may work later: the disk is full, the database is away. Nothing was written.
    #[error("the store cannot do this now: {0}")]
    Unavailable(String),
    /// The store has failed and takes no further writes until the server is restarted.
    #[error("the store has failed and takes no further writes: {0}")]
    Failed(String),
    /// What is stored does not decode: another version's data, or damage.
    #[error("table {table}: {source}")]
    Corrupt {
        /// The table's name.
        table: &'static str,
        /// What is wrong with the row.
        source: DecodeError,
    },
}

/// Why a batch was not committed. Nothing of it was written.
#[derive(Debug, Clone, Error)]
pub enum CommitError {
    /// A key did not hold what the batch expected. Read again and retry.
    #[error("somebody else changed {table} first")]
    Conflict {
        /// The name of the table whose row differed.
        table: &'static str,
    },
    /// The store itself could not.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why bytes are not a row.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// The bytes end too early.
    #[error("the row is cut short")]
    Short,
    /// Bytes are left over.
    #[error("the row is longer than its type")]
    Long,
    /// A later version of the program wrote it.
    #[error("the row has version {0}, which this program does not know")]
    Version(u8),
    /// A field does not hold what its type allows.
    #[error("the row holds an invalid {0}")]
    Invalid(&'static str),
}
