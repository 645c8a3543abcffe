//! What the commands have in common that work on a stopped or a running server.

use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
    path::PathBuf,
};

use anyhow::{Context, Result, bail};
use gatehouse_server::{ADMIN_SOCKET, Config};
use serde::Serialize;
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};

/// The largest answer of a running server.
const MAX_ANSWER_BYTES: u64 = 16 << 20;

/// A server that runs over the same data.
pub(crate) struct RunningServer {
    stream: UnixStream,
    socket: PathBuf,
}

impl RunningServer {
    /// `None`: none runs here.
    pub(crate) fn of(config: &Config) -> Option<Self> {
        let socket = config.data_dir.join(ADMIN_SOCKET);
        let stream = UnixStream::connect(&socket).ok()?;
        Some(Self { stream, socket })
    }

    /// One request over the server's own socket.
    pub(crate) fn ask(mut self, path: &str, command: &impl Serialize) -> Result<Value> {
        let body = serde_json::to_string(command)?;
        let length = body.len();
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: gatehouse\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        self.stream.write_all(request.as_bytes())?;
        let mut answer = String::new();
        self.stream
            .take(MAX_ANSWER_BYTES)
            .read_to_string(&mut answer)
            .with_context(|| format!("the server at {} did not answer", self.socket.display()))?;
        let (head, body) = answer
            .split_once("\r\n\r\n")
            .context("the server's answer is cut short")?;
        let value: Value = serde_json::from_str(body).context("the server's answer is not JSON")?;
        if head.starts_with("HTTP/1.1 200") {
            return Ok(value);
        }
        bail!(
            "{}",
            value
                .get("error")
                .and_then(Value::as_str)
                .unwrap_or("the server refused")
        )
    }
}

/// For a command that opens the store itself.
pub(crate) fn runtime() -> Result<Runtime> {
    Ok(Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?)
}

/// One line for each thing. Whoever reads may stop reading.
pub(crate) fn show(answer: &Value) -> Result<()> {
    let lines = match answer {
        Value::Array(lines) => lines.as_slice(),
        other => std::slice::from_ref(other),
    };
    let mut stdout = std::io::stdout().lock();
    match lines.iter().try_for_each(|line| writeln!(stdout, "{line}")) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        Ok(()) | Err(_) => Ok(()),
    }
}
