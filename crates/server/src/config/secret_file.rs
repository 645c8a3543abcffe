//! Secrets in files of their own.

use std::{
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use super::ConfigError;

/// The secret, from its key or from its file; a file that others can read is refused.
pub(super) fn take(
    key: &'static str,
    inline: &mut Option<String>,
    file: Option<&PathBuf>,
) -> Result<(), ConfigError> {
    let Some(file) = file else {
        return Ok(());
    };
    if inline.is_some() {
        return Err(ConfigError::Invalid(format!(
            "`{key}` and `{key}_file` are both set; keep one of them"
        )));
    }
    *inline = Some(read(file)?);
    Ok(())
}

/// The first line of a file that only its owner can read.
fn read(file: &Path) -> Result<String, ConfigError> {
    let unreadable = |source| ConfigError::Unreadable {
        file: file.to_owned(),
        source,
    };
    let mode = std::fs::metadata(file).map_err(unreadable)?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(ConfigError::Invalid(format!(
            "{} holds a secret and can be read by others; run `chmod 600 {}`",
            file.display(),
            file.display()
        )));
    }
    let text = std::fs::read_to_string(file).map_err(unreadable)?;
    Ok(text.lines().next().unwrap_or_default().trim().to_owned())
}
