//! Clients that nobody here wrote, against the program as it is installed: each script of `testing/clients` tells
//! one story (register, log in, create, invite, join, talk, read it in the sync, leave) to a server of its own.
//!
//! `cargo xtask test` makes their environments in `target/scratch`.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// How long a server may take to open its port, on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(60);

/// Between two looks at the port.
const START_PAUSE: Duration = Duration::from_millis(20);

/// A running `gatehouse serve`; killed when dropped.
struct Server {
    process: Child,
    address: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Server {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .unwrap()
            .local_addr()
            .unwrap();
        let config = folder.path().join("gatehouse.toml");
        fs::write(
            &config,
            format!(
                "server_name = \"localhost\"\n\
                 data_dir = {:?}\n\
                 [[listener]]\naddress = \"127.0.0.1\"\nport = {}\n\
                 [registration]\nopen = true\ncheap_password_hash = true\n",
                folder.path().join("data"),
                address.port()
            ),
        )
        .unwrap();
        let process = Command::new(env!("CARGO_BIN_EXE_gatehouse"))
            .args(["serve", "--config"])
            .arg(&config)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let mut server = Self {
            process,
            address,
            _folder: folder,
        };
        server.await_port();
        server
    }

    fn await_port(&mut self) {
        let begin = Instant::now();
        while TcpStream::connect(self.address).is_err() {
            assert!(
                self.process.try_wait().unwrap().is_none(),
                "the server ended before it listened"
            );
            assert!(
                begin.elapsed() < START_LIMIT,
                "the server did not listen within {START_LIMIT:?}"
            );
            thread::sleep(START_PAUSE);
        }
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .unwrap()
}

/// The scratch environment, or a failure that says how to make it.
fn scratch(part: &str) -> PathBuf {
    let path = root().join("target/scratch").join(part);
    assert!(
        path.exists(),
        "{} is missing: `cargo xtask test` makes it",
        path.display()
    );
    path
}

fn tell(mut client: Command) {
    let output = client.stdin(Stdio::null()).output().unwrap();
    let (said, complained) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(
        output.status.success() && said.ends_with("ok\n"),
        "{client:?} ended with {}\n{said}\n{complained}",
        output.status
    );
}

fn python_tells(script: &str) {
    let server = Server::start();
    let mut client = Command::new(scratch("python/bin/python"));
    client
        .arg(root().join("testing/clients").join(script))
        .arg(server.url());
    tell(client);
}

#[test]
fn matrix_nio_lives_through_a_room() {
    python_tells("story_nio.py");
}

#[test]
fn matrix_client_lives_through_a_room_over_r0() {
    python_tells("story_r0.py");
}

#[test]
fn matrix_client_lives_through_a_room_over_legacy_v1() {
    python_tells("story_v1.py");
}

#[test]
fn matrix_js_sdk_lives_through_a_room() {
    let server = Server::start();
    let mut client = Command::new("node");
    client
        .arg(root().join("testing/clients/story_js_sdk.mjs"))
        .arg(server.url())
        .arg(scratch("node"));
    tell(client);
}
