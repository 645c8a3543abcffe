use std::path::PathBuf;

use gatehouse_events::SigningKeyError;
use thiserror::Error;

/// Why a server does not start. The sentences tell what to do.
#[derive(Debug, Error)]
pub enum StartError {
    /// `server_name` is none.
    #[error("{0:?} is not a server name; it looks like example.org or example.org:8448")]
    ServerName(String),
    /// A room version is unknown.
    #[error("{0:?} is not a room version that this server knows; take one of 1 to 12")]
    RoomVersion(String),
    /// An address is none.
    #[error("{0:?} is not an IP address or `unix:/path`")]
    Address(String),
    /// Only one of certificate and key is named.
    #[error("a listener has tls_cert or tls_key but not both; name both for TLS, or neither")]
    HalfTls,
    /// The data directory cannot be made.
    #[error("cannot make the data directory {path}: {source}; choose another with --data-dir")]
    DataDir {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// No key can be made.
    #[error(transparent)]
    Key(SigningKeyError),
    /// The signing key cannot be used.
    #[error(transparent)]
    KeyFile(#[from] crate::signing_key_file::SigningKeyFileError),
    /// The embedded store cannot be opened.
    #[error(transparent)]
    Embedded(#[from] gatehouse_store_embedded::OpenError),
    /// Opening the store panicked.
    #[error("the program crashed while it opened the store; report this with the lines above")]
    Crashed,
    /// `PostgreSQL` cannot be used.
    #[error(transparent)]
    Postgres(#[from] gatehouse_store_postgres::OpenError),
    /// The data belongs to another server.
    #[error(transparent)]
    Identity(#[from] crate::identity::IdentityError),
    /// It cannot listen.
    #[error(transparent)]
    Listen(#[from] gatehouse_http::ListenError),
}
