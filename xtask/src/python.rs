//! Scratch environments for Python, one for each set of pinned packages.
//!
//! They are remade only when the pins change: a copy of the pins beside the environment says for which it was made.

use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result, bail};

use crate::process::{self, run_quietly};

/// Makes the environment in this folder, unless it is there for the same pins.
pub(crate) fn environment(pins: &Path, folder: &Path) -> Result<()> {
    let made_for = folder.join("requirements.txt");
    if same(pins, &made_for) {
        println!("python: {} is up to date", folder.display());
        return Ok(());
    }
    if process::find("python3").is_none() {
        bail!("python3 is missing: install Python 3.11 or newer with its `venv` module");
    }
    println!("python: making {}", folder.display());
    run_quietly(
        Command::new("python3")
            .args(["-m", "venv", "--clear"])
            .arg(folder),
    )
    .context("python3 could not make a virtual environment; on Debian: apt-get install python3-venv")?;
    run_quietly(
        Command::new(folder.join("bin/pip"))
            .args(["install", "--quiet", "--requirement"])
            .arg(pins),
    )
    .with_context(|| {
        format!(
            "pip could not install {}; is the package registry reachable?",
            pins.display()
        )
    })?;
    fs::copy(pins, &made_for)?;
    Ok(())
}

/// Whether both files are there, with the same in them.
pub(crate) fn same(left: &Path, right: &Path) -> bool {
    matches!((fs::read(left), fs::read(right)), (Ok(left), Ok(right)) if left == right)
}
