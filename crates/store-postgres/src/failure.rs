//! Which error of the database means what.

use gatehouse_store::StoreError;
use thiserror::Error;
use tokio_postgres::error::SqlState;

/// Why the store could not be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The URL does not parse.
    #[error("the database URL is not valid: {0}; it looks like postgres://user:password@host/database")]
    Url(tokio_postgres::Error),
    /// The database does not answer, or refuses.
    #[error(
        "cannot connect to the database: {0}; check the URL, and that PostgreSQL runs and lets this user in"
    )]
    Connect(String),
    /// A statement failed.
    #[error("cannot prepare the database: {0}; the user needs the right to create tables in it")]
    Prepare(String),
    /// A later version of the program wrote it.
    #[error(
        "the database has schema {found}, this program knows {known}; use the version that wrote it, or a later one"
    )]
    Schema {
        /// The schema's version.
        found: i32,
        /// The version that this program writes.
        known: i32,
    },
}

/// Why a step failed.
#[derive(Debug, Error)]
pub(crate) enum Fault {
    #[error("the database did not answer in time")]
    Timeout,
    #[error("{}", describe(.0))]
    Database(#[from] tokio_postgres::Error),
    #[error("no connection to the database could be had: {0}")]
    Pool(String),
    /// The commit may have happened. It is not to be tried again.
    #[error("the database went away during the commit, and could not be asked how it ended: {0}")]
    Doubt(Box<Fault>),
    #[error("the database holds something that this program did not write: {0}")]
    Foreign(&'static str),
}

impl Fault {
    /// Whether the same may work in a moment.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Timeout | Self::Pool(_) | Self::Doubt(_) => true,
            Self::Foreign(_) => false,
            Self::Database(error) => error.code().is_none_or(is_transient),
        }
    }

    /// Whether the transaction may have been committed when this came instead of an answer to `COMMIT`.
    pub(crate) fn leaves_doubt(&self) -> bool {
        match self {
            Self::Timeout | Self::Pool(_) | Self::Doubt(_) => true,
            Self::Foreign(_) => false,
            Self::Database(error) => error
                .code()
                .is_none_or(|code| code.code().starts_with("57P") || code.code().starts_with("08")),
        }
    }

    pub(crate) fn into_store_error(self) -> StoreError {
        StoreError::Unavailable(self.to_string())
    }
}

fn is_transient(code: &SqlState) -> bool {
    let transient = [
        SqlState::TOO_MANY_CONNECTIONS,
        SqlState::T_R_SERIALIZATION_FAILURE,
        SqlState::T_R_DEADLOCK_DETECTED,
        SqlState::LOCK_NOT_AVAILABLE,
        SqlState::QUERY_CANCELED,
        SqlState::READ_ONLY_SQL_TRANSACTION,
        SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
    ];
    code.code().starts_with("57P") || code.code().starts_with("08") || transient.contains(code)
}

/// The database's own words, which the library's display leaves out.
pub(crate) fn describe(error: &tokio_postgres::Error) -> String {
    let source = std::error::Error::source(error).map(ToString::to_string);
    match (error.as_db_error(), source) {
        (Some(error), _) => format!("the database says: {} ({})", error.message(), error.code().code()),
        (None, Some(source)) => format!("{error}: {source}"),
        (None, None) => error.to_string(),
    }
}
