//! `gatehouse user`

use std::{
    io::{BufRead, IsTerminal, Read, Write},
    os::unix::net::UnixStream,
    path::Path,
};

use anyhow::{Context, Result, anyhow, bail};
use gatehouse_events::Clock;
use gatehouse_server::{
    ADMIN_SOCKET, Config, Storage,
    offline::{self, UserCommand},
    open,
};
use serde_json::Value;

use crate::{
    arguments::{UserOptions, UserSubcommand},
    configuration,
};

/// The largest answer of a running server.
const MAX_ANSWER_BYTES: u64 = 16 << 20;

/// Carries the command out: by the running server when there is one, else on the store itself.
pub(crate) fn run(options: UserOptions) -> Result<()> {
    let config = configuration::read(&options.config, None)?;
    let command = command(options.command)?;
    let socket = config.data_dir.join(ADMIN_SOCKET);
    let answer = match UnixStream::connect(&socket) {
        Ok(stream) => ask(stream, &command, &socket)?,
        Err(_) => on_store(&config, command)?,
    };
    show(&answer)
}

fn command(command: UserSubcommand) -> Result<UserCommand> {
    Ok(match command {
        UserSubcommand::Add { name, admin } => UserCommand::Add {
            user: name,
            password: password()?,
            admin,
        },
        UserSubcommand::List => UserCommand::List,
        UserSubcommand::Show { name } => UserCommand::Show { user: name },
        UserSubcommand::SetPassword { name } => UserCommand::SetPassword {
            user: name,
            password: password()?,
        },
        UserSubcommand::Deactivate { name } => UserCommand::Deactivate { user: name },
        UserSubcommand::MakeAdmin { name } => UserCommand::MakeAdmin { user: name },
    })
}

/// The first line of standard input, so that it stands neither in the list of processes nor in the shell's history.
fn password() -> Result<String> {
    let stdin = std::io::stdin();
    if stdin.is_terminal() {
        eprint!("Password (it will be shown): ");
        std::io::stderr().flush()?;
    }
    let mut line = String::new();
    stdin.lock().read_line(&mut line)?;
    let password = line.trim_end_matches(['\r', '\n']).to_owned();
    anyhow::ensure!(!password.is_empty(), "give a password on standard input");
    Ok(password)
}

fn on_store(config: &Config, command: UserCommand) -> Result<Value> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let engines = open(config, Storage::Configured, Clock::system()).await?;
        let answer = offline::run(&engines, command)
            .await
            .map_err(|message| anyhow!(message));
        engines.store.close().await?;
        answer
    })
}

/// One request over the server's own socket.
fn ask(mut stream: UnixStream, command: &UserCommand, socket: &Path) -> Result<Value> {
    let body = serde_json::to_string(command)?;
    let length = body.len();
    write!(
        stream,
        "POST /user HTTP/1.1\r\nHost: gatehouse\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    )?;
    let mut answer = String::new();
    stream
        .take(MAX_ANSWER_BYTES)
        .read_to_string(&mut answer)
        .with_context(|| format!("the server at {} did not answer", socket.display()))?;
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

/// One line for each account. Whoever reads may stop reading.
fn show(answer: &Value) -> Result<()> {
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
