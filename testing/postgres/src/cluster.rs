use std::{
    path::PathBuf,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
};

use anyhow::Context;
use parking_lot::Mutex;
use tempfile::TempDir;
use tokio_postgres::NoTls;

use crate::programs;

/// When set: the URL of a server on which databases may be created. It is not stopped.
pub const URL_VARIABLE: &str = "GATEHOUSE_TEST_POSTGRES_URL";

/// The server that the tests of this process share, while any of them uses it.
static SHARED: Mutex<Weak<Cluster>> = Mutex::new(Weak::new());

/// Makes the names of databases unique within this process.
static DATABASES: AtomicU64 = AtomicU64::new(0);

/// How a server is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopMode {
    /// Connections are closed, then it stops.
    Fast,
    /// As if its power were cut.
    Immediate,
}

/// A server.
#[derive(Debug)]
pub struct Cluster {
    place: Place,
}

#[derive(Debug)]
enum Place {
    /// Somebody else's.
    Given { url: String },
    /// Ours, in a temporary directory.
    Own { directory: TempDir, programs: PathBuf },
}

impl Cluster {
    /// The server that is given, or one for all tests of this process.
    pub fn shared() -> anyhow::Result<Arc<Self>> {
        let mut shared = SHARED.lock();
        if let Some(cluster) = shared.upgrade() {
            return Ok(cluster);
        }
        let cluster = Arc::new(match std::env::var(URL_VARIABLE) {
            Ok(url) if !url.is_empty() => Self {
                place: Place::Given { url },
            },
            _ => Self::start()?,
        });
        *shared = Arc::downgrade(&cluster);
        Ok(cluster)
    }

    /// A server of one's own.
    pub fn start() -> anyhow::Result<Self> {
        let programs = programs::directory()?;
        // Directly under the system's directory: the path of a socket may have no more than 107 bytes.
        let directory = tempfile::Builder::new().prefix("gatehouse-pg-").tempdir()?;
        programs::hand_over(directory.path())?;
        let data = directory.path().join("data");
        let data = data
            .to_str()
            .context("the temporary directory's name is not UTF-8")?;
        let settings = [
            "--username=gatehouse",
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
        ];
        programs::run(
            &programs.join("initdb"),
            &[&["--pgdata", data][..], &settings].concat(),
        )?;
        let cluster = Self {
            place: Place::Own { directory, programs },
        };
        cluster.resume()?;
        Ok(cluster)
    }

    /// Stops the server, which must be one's own.
    pub fn stop(&self, mode: StopMode) -> anyhow::Result<()> {
        let mode = match mode {
            StopMode::Fast => "fast",
            StopMode::Immediate => "immediate",
        };
        self.control(&["stop", "--wait", "--mode", mode])
    }

    /// Starts the server again after [`Self::stop`].
    pub fn resume(&self) -> anyhow::Result<()> {
        let Place::Own { directory, .. } = &self.place else {
            anyhow::bail!("the server is somebody else's")
        };
        let directory = directory.path().display();
        // Not synced: these tests kill clients and servers, never the machine.
        let options = format!("-k {directory} -c listen_addresses= -c fsync=off -c max_connections=400");
        let log = format!("{directory}/log");
        self.control(&["start", "--wait", "--log", &log, "--options", &options])
    }

    fn control(&self, arguments: &[&str]) -> anyhow::Result<()> {
        let Place::Own { directory, programs } = &self.place else {
            anyhow::bail!("the server is somebody else's")
        };
        let data = directory.path().join("data");
        let data = data
            .to_str()
            .context("the temporary directory's name is not UTF-8")?;
        programs::run(
            &programs.join("pg_ctl"),
            &[arguments, &["--pgdata", data]].concat(),
        )
    }

    /// Makes an empty database, and returns its URL.
    pub async fn database(&self) -> anyhow::Result<String> {
        let number = DATABASES.fetch_add(1, Ordering::Relaxed);
        let name = format!("gatehouse_{}_{number}", std::process::id());
        let (client, connection) = tokio_postgres::connect(&self.url("postgres")?, NoTls).await?;
        let connection = tokio::spawn(connection);
        client
            .batch_execute(&format!("DROP DATABASE IF EXISTS {name}; "))
            .await?;
        client.batch_execute(&format!("CREATE DATABASE {name}")).await?;
        drop(client);
        connection.await??;
        self.url(&name)
    }

    fn url(&self, database: &str) -> anyhow::Result<String> {
        match &self.place {
            Place::Own { directory, .. } => Ok(format!(
                "postgresql://gatehouse@/{database}?host={}",
                directory.path().display()
            )),
            Place::Given { url } => {
                let (head, query) = url
                    .split_once('?')
                    .map_or((url.as_str(), ""), |(head, query)| (head, query));
                let authority = head.find("://").context("the URL has no scheme")? + 3;
                let end = head
                    .get(authority..)
                    .and_then(|rest| rest.find('/'))
                    .map_or(head.len(), |at| authority + at);
                let server = head.get(..end).context("the URL is cut")?;
                Ok(format!(
                    "{server}/{database}{}{query}",
                    if query.is_empty() { "" } else { "?" }
                ))
            }
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if matches!(self.place, Place::Own { .. }) {
            // It may have been stopped by the test; its files are removed in any case.
            _ = self.stop(StopMode::Immediate);
        }
    }
}
