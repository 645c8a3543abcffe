//! Runs the program.

use std::{
    fs::File,
    io::{BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio},
};

use serde_json::{Value, json};

/// What a test server is configured with, beside its own directories.
const SETTINGS: &str = "
server_name = \"a.example\"

[registration]
open = true
cheap_password_hash = true

[rate_limits]
enabled = false
";

/// A server of the program's own, killed when dropped.
pub(crate) struct Server {
    child: Child,
    stdout: BufReader<ChildStdout>,
    /// Where it listens, `http://…`.
    pub(crate) url: String,
    /// What it printed until it was ready.
    pub(crate) greeting: String,
    log: PathBuf,
}

/// The program, in this directory and with no settings from outside.
pub(crate) fn program(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gatehouse"));
    command
        .current_dir(dir)
        .env_remove("RUST_LOG")
        .env_remove("GATEHOUSE_CONFIG");
    command
}

/// Runs the program to its end with this on its standard input.
pub(crate) fn run(dir: &Path, arguments: &[&str], input: &str) -> Output {
    let mut child = program(dir)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that wants no input may have ended already.
    _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

/// Runs the program, which must fail, and gives its last line.
#[track_caller]
pub(crate) fn refusal(dir: &Path, arguments: &[&str]) -> String {
    let output = run(dir, arguments, "");
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {errors}");
    let last = errors.lines().last().unwrap_or_default().to_owned();
    assert!(last.starts_with("gatehouse: "), "{arguments:?}: {errors}");
    last
}

/// Writes the usual settings, and some more, and gives the file.
pub(crate) fn configure(dir: &Path, more: &str) -> String {
    let file = dir.join("gatehouse.toml");
    std::fs::write(
        &file,
        format!("data_dir = {:?}\n{SETTINGS}{more}", dir.join("data")),
    )
    .unwrap();
    file.display().to_string()
}

impl Server {
    /// With the usual settings, on a free port.
    pub(crate) fn start(dir: &Path) -> Self {
        let config = configure(dir, "");
        Self::run(
            program(dir).args(["serve", "--config", &config, "--listen", "127.0.0.1:0"]),
            dir,
        )
    }

    /// Over the same data and at the same port as one before.
    pub(crate) fn start_again(dir: &Path, url: &str) -> Self {
        let config = configure(dir, "");
        let address = url.trim_start_matches("http://");
        Self::run(
            program(dir).args(["serve", "--config", &config, "--listen", address]),
            dir,
        )
    }

    /// Starts this and waits until it listens.
    pub(crate) fn run(command: &mut Command, dir: &Path) -> Self {
        let log = dir.join("log");
        let stderr = File::options().create(true).append(true).open(&log).unwrap();
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut greeting = String::new();
        while !greeting.contains("Ctrl-C") {
            let read = stdout.read_line(&mut greeting).unwrap();
            let errors = || std::fs::read_to_string(&log).unwrap_or_default();
            assert!(read > 0, "the server did not start: {}", errors());
        }
        let url = greeting
            .split_whitespace()
            .find(|word| word.starts_with("http://"))
            .unwrap();
        let url = url.trim_end_matches(',').to_owned();
        Self {
            child,
            stdout,
            url,
            greeting,
            log,
        }
    }

    /// Everything that it logged.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    pub(crate) fn id(&self) -> String {
        self.child.id().to_string()
    }

    /// Sends a signal, such as `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args([format!("-{name}"), self.id()])
            .status()
            .unwrap();
        assert!(sent.success());
    }

    /// Waits until it has ended.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).unwrap();
        self.child.wait().unwrap()
    }

    /// Registers and gives the access token.
    pub(crate) async fn register(&self, name: &str) -> String {
        let body = json!({ "username": name, "password": "wonderland", "auth": { "type": "m.login.dummy" } });
        let (status, answer) = self
            .request("POST", "/_matrix/client/v3/register", None, Some(body))
            .await
            .unwrap();
        assert_eq!(status, 200, "{answer}");
        answer["access_token"].as_str().unwrap().to_owned()
    }

    /// A request and its answer, or the error of the connection.
    pub(crate) async fn request(
        &self,
        method: &str,
        path: &str,
        token: Option<&str>,
        body: Option<Value>,
    ) -> reqwest::Result<(u16, Value)> {
        request(&self.url, method, path, token, body).await
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// A request over a connection of its own, and its answer.
pub(crate) async fn request(
    url: &str,
    method: &str,
    path: &str,
    token: Option<&str>,
    body: Option<Value>,
) -> reqwest::Result<(u16, Value)> {
    let client = gatehouse_testkit::http::client().build()?;
    request_over(&client, url, method, path, token, body).await
}

/// A request over this client's connections, and its answer.
pub(crate) async fn request_over(
    client: &reqwest::Client,
    url: &str,
    method: &str,
    path: &str,
    token: Option<&str>,
    body: Option<Value>,
) -> reqwest::Result<(u16, Value)> {
    let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
    let mut request = client.request(method, format!("{url}{path}"));
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    if let Some(body) = body {
        request = request.json(&body);
    }
    let response = request.send().await?;
    let status = response.status().as_u16();
    let text = response.text().await?;
    Ok((status, serde_json::from_str(&text).unwrap_or(Value::String(text))))
}
