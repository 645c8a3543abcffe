//! What the system says of the server's process: CPU time, memory, disk.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

/// Linux counts CPU time for user space in hundredths of a second, whatever the kernel's own tick.
const TICKS_PER_SECOND: f64 = 100.0;

const KIB_PER_MIB: f64 = 1024.0;

/// The server as the system sees it.
pub(crate) struct Process {
    pid: u32,
    data_dir: PathBuf,
}

impl Process {
    pub(crate) fn new(pid: u32, data_dir: PathBuf) -> Self {
        Self { pid, data_dir }
    }

    /// Seconds of CPU that it used so far, in user space and in the kernel.
    pub(crate) fn cpu_seconds(&self) -> Result<f64> {
        let text = fs::read_to_string(format!("/proc/{}/stat", self.pid)).context("the server has gone")?;
        // The name in parentheses may contain spaces; utime and stime are fields 14 and 15 of all, 12 and 13 after it.
        let (_, rest) = text.rsplit_once(')').context("/proc/PID/stat has another form")?;
        let mut fields = rest.split_whitespace().skip(11);
        let mut ticks = || -> Result<f64> { Ok(fields.next().context("/proc/PID/stat is short")?.parse()?) };
        Ok((ticks()? + ticks()?) / TICKS_PER_SECOND)
    }

    /// This process, for work that is measured in it.
    pub(crate) fn own(data_dir: PathBuf) -> Self {
        Self::new(std::process::id(), data_dir)
    }

    /// MiB that are in memory now.
    pub(crate) fn resident_mib(&self) -> Result<f64> {
        self.status_mib("VmRSS:")
    }

    /// The most MiB that ever were.
    pub(crate) fn peak_mib(&self) -> Result<f64> {
        self.status_mib("VmHWM:")
    }

    fn status_mib(&self, name: &str) -> Result<f64> {
        let text = fs::read_to_string(format!("/proc/{}/status", self.pid)).context("the server has gone")?;
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .with_context(|| format!("no {name}"))?;
        let kib: f64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kib / KIB_PER_MIB)
    }

    /// Bytes that the data folder takes on disk: blocks, not lengths, so that holes do not count.
    pub(crate) fn disk_bytes(&self) -> u64 {
        folder_bytes(&self.data_dir)
    }
}

fn folder_bytes(folder: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(data) if data.is_dir() => folder_bytes(&entry.path()),
            // A file may be removed while we look.
            Ok(data) => data.blocks() * 512,
            Err(_) => 0,
        })
        .sum()
}
