//! A server under measurement: started, timed until it listens, stopped by its process id.

use std::{
    fs::File,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use crate::process;

/// A server that takes longer to listen, or to end, is given up.
const PATIENCE: Duration = Duration::from_mins(2);

/// Between two looks; also the precision of the start-up time.
const PAUSE: Duration = Duration::from_millis(1);

/// Killed when dropped.
pub(crate) struct Server {
    process: Child,
    address: SocketAddr,
    folder: PathBuf,
    /// From the start of the process until its port opened.
    pub(crate) start_up: Duration,
}

impl Server {
    /// Start and wait for the port; the server's log goes to `log` in the folder.
    pub(crate) fn start(mut command: Command, address: SocketAddr, folder: &Path) -> Result<Self> {
        let log = File::create(folder.join("log")).context("making the server's log")?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let begin = Instant::now();
        let process = command.spawn().with_context(|| format!("starting {command:?}"))?;
        let mut server = Self {
            process,
            address,
            folder: folder.to_owned(),
            start_up: Duration::ZERO,
        };
        while TcpStream::connect(address).is_err() {
            if let Some(status) = server.process.try_wait()? {
                bail!(
                    "the server ended with {status} before it listened; see {}/log",
                    folder.display()
                );
            }
            if begin.elapsed() > PATIENCE {
                bail!(
                    "the server did not listen within {PATIENCE:?}; see {}/log",
                    folder.display()
                );
            }
            thread::sleep(PAUSE);
        }
        server.start_up = begin.elapsed();
        Ok(server)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Ask it to stop, as an operator would; how long that took.
    pub(crate) fn stop(mut self) -> Result<Duration> {
        let begin = Instant::now();
        process::run_quietly(Command::new("kill").args(["-TERM", &self.pid().to_string()]))?;
        while self.process.try_wait()?.is_none() {
            if begin.elapsed() > PATIENCE {
                bail!("the server did not stop within {PATIENCE:?}");
            }
            thread::sleep(PAUSE);
        }
        Ok(begin.elapsed())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already, which is as good.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A loopback address that is free now.
pub(crate) fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}
