//! Finding and running the programs of PostgreSQL.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, ensure};

/// Where Debian and its children keep the programs, by version.
const DEBIAN: &str = "/usr/lib/postgresql";

/// The user that runs the server when the tests run as root, which the server refuses.
const USER: &str = "postgres";

/// The directory of `initdb` and `pg_ctl`.
pub(crate) fn directory() -> anyhow::Result<PathBuf> {
    let on_path = std::env::var_os("PATH")
        .into_iter()
        .flat_map(|path| std::env::split_paths(&path).collect::<Vec<_>>());
    let debian = fs::read_dir(DEBIAN)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path().join("bin"));
    on_path
        .chain(debian)
        .find(|directory| directory.join("initdb").is_file() && directory.join("pg_ctl").is_file())
        .with_context(|| {
            format!(
                "no PostgreSQL found: install its server programs, or set {} to a server on which the tests may create databases",
                crate::URL_VARIABLE
            )
        })
}

/// Whether the programs have to be run as another user.
fn runs_as_root() -> bool {
    Command::new("id")
        .arg("-u")
        .output()
        .is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

/// Gives the directory to the user that will run the server.
pub(crate) fn hand_over(directory: &Path) -> anyhow::Result<()> {
    if runs_as_root() {
        let status = Command::new("chown").arg(USER).arg(directory).status()?;
        ensure!(status.success(), "cannot give {} to {USER}", directory.display());
    }
    Ok(())
}

/// Runs the program to its end; its output is part of the error.
pub(crate) fn run(program: &Path, arguments: &[&str]) -> anyhow::Result<()> {
    let mut command = if runs_as_root() {
        let mut command = Command::new("runuser");
        command.args(["-u", USER, "--"]).arg(program);
        command
    } else {
        Command::new(program)
    };
    // The server must not inherit a pipe, or reading to its end would wait for the server's.
    let output = tempfile::tempfile()?;
    let status = command
        .args(arguments)
        .current_dir("/")
        .stdin(std::process::Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output.try_clone()?)
        .status()
        .with_context(|| format!("cannot run {}", program.display()))?;
    if status.success() {
        return Ok(());
    }
    let mut text = String::new();
    std::io::Seek::rewind(&mut &output)?;
    std::io::Read::read_to_string(&mut &output, &mut text)?;
    anyhow::bail!("{} {arguments:?}: {status}\n{text}", program.display())
}
