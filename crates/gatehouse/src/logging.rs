//! Log lines on standard error.

use std::io::IsTerminal;

use anyhow::{Context, Result};
use gatehouse_server::config::{Log, LogFormat};
use tracing_subscriber::EnvFilter;

/// Sets the log up, once for the process. `RUST_LOG` goes over the configured level.
pub(crate) fn start(log: &Log) -> Result<()> {
    let filter = match std::env::var("RUST_LOG") {
        Ok(filter) => EnvFilter::try_new(filter).context("RUST_LOG")?,
        // The rules of rooms tell each step that they allow, and warn of each event that they do not, which other servers
        // can have as many of as they like. That is for whoever asks for it by name.
        Err(_) => EnvFilter::try_new(format!("ruma_state_res=error,{}", log.level)).context("[log] level")?,
    };
    let terminal = std::io::stderr().is_terminal();
    let human = match log.format {
        LogFormat::Human => true,
        LogFormat::Json => false,
        LogFormat::Auto => terminal,
    };
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    let set = if human {
        builder.with_ansi(terminal).with_target(false).try_init()
    } else {
        builder.json().flatten_event(true).try_init()
    };
    set.map_err(|error| anyhow::anyhow!("the log is set up already: {error}"))
}
