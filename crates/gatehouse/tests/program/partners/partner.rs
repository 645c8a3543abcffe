//! What others wrote in Python, as a process.

use std::{
    collections::hash_map::RandomState,
    fs::File,
    hash::{BuildHasher, Hasher},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use crate::process::request;

/// A partner that has not done what it is waited for by then never will.
const PATIENCE: Duration = Duration::from_mins(1);

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(50);

/// A partner, killed when dropped.
pub(super) struct Partner {
    child: Child,
    log: PathBuf,
}

impl Partner {
    /// Starts it; what it says goes into this file.
    pub(super) fn start(command: &mut Command, log: PathBuf) -> Self {
        let said = File::create(&log).unwrap();
        let child = command
            .stdin(Stdio::null())
            .stdout(said.try_clone().unwrap())
            .stderr(said)
            .spawn()
            .unwrap();
        Self { child, log }
    }

    /// Waits until this address answers well.
    pub(super) async fn until_it_answers(&mut self, url: &str, path: &str) {
        let began = Instant::now();
        loop {
            if let Ok((200, _)) = request(url, "GET", path, None, None).await {
                return;
            }
            let ended = self.child.try_wait().unwrap();
            assert!(
                ended.is_none() && began.elapsed() < PATIENCE,
                "{url} does not serve ({ended:?}): {}",
                self.log()
            );
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Waits until it has said this.
    pub(super) async fn until_it_says(&self, text: &str) {
        until(text, || self.log()).await;
    }

    /// Everything that it logged.
    pub(super) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }
}

impl Drop for Partner {
    fn drop(&mut self) {
        // It may have ended already.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// Waits until a log has this in it.
pub(super) async fn until(text: &str, log: impl Fn() -> String) {
    let began = Instant::now();
    while !log().contains(text) {
        assert!(began.elapsed() < PATIENCE, "nobody says {text:?}: {}", log());
        tokio::time::sleep(PAUSE).await;
    }
}

/// The Python of a scratch environment, or a failure that says how to make it.
pub(super) fn python(environment: &str) -> Command {
    let python = repository()
        .join("target/scratch")
        .join(environment)
        .join("bin/python");
    assert!(
        python.exists(),
        "{} is missing: `cargo xtask test` makes it, from testing/partners/{environment}.txt",
        python.display()
    );
    Command::new(python)
}

pub(super) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .unwrap()
}

/// A port that is free, that connections do not get for themselves, and that no other of these tests takes: the lock is
/// held until the test's process ends.
pub(super) fn free_port() -> u16 {
    let mut ports = (0..1_000)
        .map(|_| 20_000 + u16::try_from(RandomState::new().build_hasher().finish() % 12_000).unwrap());
    let is_mine = |port: &u16| {
        let lock = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("port-{port}"));
        let Ok(lock) = File::create(lock) else {
            return false;
        };
        let is_mine = lock.try_lock().is_ok() && TcpListener::bind(("127.0.0.1", *port)).is_ok();
        if is_mine {
            std::mem::forget(lock);
        }
        is_mine
    };
    ports.find(is_mine).expect("all of these ports are taken")
}
