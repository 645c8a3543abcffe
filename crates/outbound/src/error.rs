//! Why a request came to nothing.

use std::path::PathBuf;

use thiserror::Error;

/// Why a request came to nothing. No variant says what the other side said: it may say anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum OutboundError {
    /// The URL is none, or names no host.
    #[error("the URL is not valid")]
    InvalidUrl,
    /// Only `https` is allowed here.
    #[error("the URL must begin with https")]
    SchemeRefused,
    /// The address policy forbids it. No connection was made.
    #[error("the address is not allowed")]
    Denied,
    /// No connection could be made, or it broke.
    #[error("it cannot be reached")]
    Unreachable,
    /// The certificate is not good.
    #[error("its certificate is not valid")]
    Tls,
    /// It took too long.
    #[error("it took too long")]
    TimedOut,
    /// The answer is larger than allowed.
    #[error("its answer is too large")]
    TooLarge,
    /// It wants us to go elsewhere, which we do not.
    #[error("it redirects elsewhere")]
    Redirected,
    /// The answer is not JSON.
    #[error("its answer is not JSON")]
    NotJson,
}

/// Why there is no door.
#[derive(Debug, Error)]
pub enum OutboundSetupError {
    /// Not a network.
    #[error("`{0}` is not a network; write it as 10.0.0.0/8 or fd00::/8")]
    Range(String),
    /// A file with certificate authorities cannot be read.
    #[error("cannot read certificates from {path}: {reason}")]
    Certificates {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// TLS cannot be set up.
    #[error("cannot set up TLS: {0}")]
    Tls(String),
    /// Name servers cannot be asked.
    #[error("cannot set up DNS: {0}")]
    Dns(String),
}
