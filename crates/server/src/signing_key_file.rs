//! The signing key's file: one line, only its owner's, never overwritten.

use std::{
    fs::{File, OpenOptions},
    io::{ErrorKind, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use gatehouse_events::{SigningKey, SigningKeyError};
use thiserror::Error;

/// Why there is no signing key.
#[derive(Debug, Error)]
pub enum SigningKeyFileError {
    /// The file cannot be read or written.
    #[error("cannot use the signing key {file}: {source}")]
    Io {
        /// Which.
        file: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It is not a key.
    #[error("the signing key {file} cannot be used: {source}")]
    Invalid {
        /// Which.
        file: PathBuf,
        /// Why.
        source: SigningKeyError,
    },
}

/// Reads the key, or makes one on the first start.
pub fn load_or_create(file: &Path) -> Result<SigningKey, SigningKeyFileError> {
    match load(file)? {
        Some(key) => Ok(key),
        None => create(file),
    }
}

/// Reads the key, if there is one.
pub fn load(file: &Path) -> Result<Option<SigningKey>, SigningKeyFileError> {
    match std::fs::read_to_string(file) {
        Ok(text) => parse(file, &text).map(Some),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(SigningKeyFileError::Io {
            file: file.to_owned(),
            source,
        }),
    }
}

fn parse(file: &Path, text: &str) -> Result<SigningKey, SigningKeyFileError> {
    let io = |source| SigningKeyFileError::Io {
        file: file.to_owned(),
        source,
    };
    if std::fs::metadata(file).map_err(io)?.permissions().mode() & 0o007 != 0 {
        // No refusal: keys are handed over by tools that leave them so, and the server's user may be alone there.
        tracing::warn!(file = %file.display(), "the signing key can be read by others; chmod 600 it");
    }
    let line = text
        .lines()
        .find(|line| !line.trim().is_empty())
        .unwrap_or_default();
    SigningKey::from_line(line).map_err(|source| SigningKeyFileError::Invalid {
        file: file.to_owned(),
        source,
    })
}

/// Writes a new key, and has it on disk before anything is signed with it. Never overwrites.
pub fn create(file: &Path) -> Result<SigningKey, SigningKeyFileError> {
    let io = |source| SigningKeyFileError::Io {
        file: file.to_owned(),
        source,
    };
    let key = SigningKey::generate().map_err(|source| SigningKeyFileError::Invalid {
        file: file.to_owned(),
        source,
    })?;
    let mut written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file)
        .map_err(io)?;
    written
        .write_all(key.to_line().as_bytes())
        .and_then(|()| written.sync_all())
        .map_err(io)?;
    if let Some(folder) = file.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        File::open(folder)
            .and_then(|folder| folder.sync_all())
            .map_err(io)?;
    }
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_for_its_owner_only_and_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("signing.key");
        let first = load_or_create(&file).unwrap();
        let mode = std::fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(load_or_create(&file).unwrap().public_key(), first.public_key());
        assert!(create(&file).is_err());
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(load_or_create(&file).unwrap().public_key(), first.public_key());
    }
}
