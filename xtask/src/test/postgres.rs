//! A PostgreSQL cluster for one run of the tests: new, on loopback, and gone afterwards.

use std::{
    fs,
    net::{Ipv4Addr, TcpListener},
    os::unix::fs::{MetadataExt, chown},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use crate::process::{find, run_quietly, succeeds};

/// Fewer sync calls: the tests look at what is committed, not at what survives a loss of power.
const SETTINGS: &str = "\nfsync = off\nsynchronous_commit = off\nfull_page_writes = off\nmax_connections = 300\n\
                        shared_buffers = 64MB\nlog_min_messages = warning\n";

/// Begins the names of clusters' folders.
const PREFIX: &str = "gatehouse-postgres-";

/// A running cluster; stopped when dropped, so also when a step fails.
pub(crate) struct Postgres {
    programs: PathBuf,
    folder: PathBuf,
    port: u16,
    stopped: bool,
}

impl Postgres {
    /// Make a cluster and wait until it answers. `note` is a file that says where it is, so that the next run can
    /// clean up after one that was killed.
    pub(crate) fn start(note: &Path) -> Result<Self> {
        let programs = programs()?;
        stop_leftover(&programs, note);
        // Not under the workspace: the user that runs it need not be able to go there.
        let folder = std::env::temp_dir().join(format!("{PREFIX}{}", std::process::id()));
        fs::create_dir(&folder).with_context(|| format!("making {}", folder.display()))?;
        fs::write(note, folder.to_string_lossy().as_bytes())?;
        let folder = folder.as_path();
        give_to_postgres(folder)?;
        let data = folder.join("data");
        run_quietly(
            as_postgres(&programs.join("initdb"))?
                .args(["--pgdata"])
                .arg(&data)
                .args([
                    "--username=postgres",
                    "--auth=trust",
                    "--encoding=UTF8",
                    "--locale=C",
                    "--no-sync",
                ]),
        )?;
        let settings = data.join("postgresql.conf");
        let before = fs::read_to_string(&settings)?;
        fs::write(&settings, before + SETTINGS)?;
        let port = free_port()?;
        let options = format!("-h 127.0.0.1 -p {port} -k ''");
        run_quietly(
            as_postgres(&programs.join("pg_ctl"))?
                .arg("--pgdata")
                .arg(&data)
                .arg("--log")
                .arg(folder.join("log"))
                .args(["--wait", "--silent", "--options", &options, "start"]),
        )?;
        println!("postgres: {} on port {port}", programs.display());
        Ok(Self {
            programs,
            folder: folder.to_owned(),
            port,
            stopped: false,
        })
    }

    /// Tell a test run where the cluster is.
    pub(crate) fn tell(&self, command: &mut Command) {
        let url = format!("postgres://postgres@127.0.0.1:{}/postgres", self.port);
        command.env("GATEHOUSE_TEST_POSTGRES_URL", url);
    }

    /// Stop it and remove its files.
    pub(crate) fn stop(mut self) -> Result<()> {
        self.stopped = true;
        self.end()
    }

    fn end(&self) -> Result<()> {
        let data = self.folder.join("data");
        run_quietly(
            as_postgres(&self.programs.join("pg_ctl"))?
                .arg("--pgdata")
                .arg(data)
                .args(["--mode=immediate", "--silent", "stop"]),
        )?;
        fs::remove_dir_all(&self.folder)?;
        Ok(())
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if !self.stopped
            && let Err(error) = self.end()
        {
            eprintln!(
                "error: PostgreSQL in {} was not stopped: {error:#}",
                self.folder.display()
            );
        }
    }
}

/// The folder of `initdb` and `pg_ctl`: the newest that Debian installed, else the search path's, else install it.
fn programs() -> Result<PathBuf> {
    if let Some(folder) = installed() {
        return Ok(folder);
    }
    if is_root() && find("apt-get").is_some() {
        println!("postgres: installing Debian's package");
        let _ = run_quietly(Command::new("apt-get").args(["update", "-qq"]));
        run_quietly(
            Command::new("apt-get")
                .env("DEBIAN_FRONTEND", "noninteractive")
                .args(["install", "--yes", "--no-install-recommends", "postgresql"]),
        )?;
    }
    installed().context(
        "PostgreSQL's server programs (initdb, pg_ctl) are missing: install PostgreSQL 15 or newer \
         (Debian: apt-get install postgresql)",
    )
}

fn installed() -> Option<PathBuf> {
    let mut versions: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let version = entry.file_name().to_str()?.parse().ok()?;
            Some((version, entry.path().join("bin")))
        })
        .filter(|(_, folder)| folder.join("initdb").is_file() && folder.join("pg_ctl").is_file())
        .collect();
    versions.sort();
    match versions.pop() {
        Some((_, folder)) => Some(folder),
        None => fs::canonicalize(find("initdb")?)
            .ok()?
            .parent()
            .map(Path::to_owned),
    }
}

/// PostgreSQL refuses to run as root, so root hands it to the user that its package makes.
fn as_postgres(program: &Path) -> Result<Command> {
    if !is_root() {
        return Ok(Command::new(program));
    }
    if !succeeds(Command::new("id").arg("postgres")) {
        bail!(
            "PostgreSQL does not run as root and there is no user `postgres`: run the tests as another user, or \
             useradd postgres"
        );
    }
    let runuser = find("runuser").context("runuser (Debian: util-linux) is missing")?;
    let mut command = Command::new(runuser);
    command
        .args(["-u", "postgres", "--"])
        .arg(program)
        .current_dir("/");
    Ok(command)
}

fn give_to_postgres(folder: &Path) -> Result<()> {
    if !is_root() {
        return Ok(());
    }
    let id = |flag: &str| -> Result<u32> {
        let output = run_quietly(Command::new("id").args([flag, "postgres"]))?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().parse()?)
    };
    chown(folder, Some(id("-u")?), Some(id("-g")?))?;
    Ok(())
}

/// A run that was killed leaves its cluster; its own pid file says which process that is.
fn stop_leftover(programs: &Path, note: &Path) {
    let Ok(folder) = fs::read_to_string(note).map(PathBuf::from) else {
        return;
    };
    let ours = folder
        .file_name()
        .is_some_and(|name| name.to_string_lossy().starts_with(PREFIX));
    if !ours || !folder.exists() {
        return;
    }
    let data = folder.join("data");
    if data.join("postmaster.pid").exists()
        && let Ok(mut command) = as_postgres(&programs.join("pg_ctl"))
    {
        // It may have ended by itself.
        let _ = run_quietly(
            command
                .arg("--pgdata")
                .arg(data)
                .args(["--mode=immediate", "--silent", "stop"]),
        );
    }
    let _ = fs::remove_dir_all(folder);
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
