use std::path::Path;

/// How many bytes an ordinary process may still write to the file system of `path`. `None`: it does not tell.
pub(crate) fn free_bytes(path: &Path) -> Option<u64> {
    let stats = rustix::fs::statvfs(path).ok()?;
    Some(stats.f_bavail.saturating_mul(stats.f_frsize))
}
