//! `gatehouse identity`

use std::fmt::Write as _;

use anyhow::{Result, anyhow};
use gatehouse_events::Clock;
use gatehouse_server::{
    Config, RunningIdentity, Storage,
    identity_commands::{IdentityCommand, run_identity},
    open_identity, start_identity,
};
use serde_json::Value;

use crate::{
    arguments::{ConfigOptions, IdentityOptions, IdentitySubcommand},
    command::{self, RunningServer},
    configuration, logging,
    serve::{self, Signals},
};

/// Serves, or carries the command out: by the running server when there is one, else on the store itself.
pub(crate) fn run(options: IdentityOptions) -> Result<()> {
    let command = match options.command {
        IdentitySubcommand::Serve { listen } => return run_server(&options.config, listen.as_deref()),
        IdentitySubcommand::ListKeys => IdentityCommand::ListKeys,
        IdentitySubcommand::RotateKey => IdentityCommand::RotateKey,
        IdentitySubcommand::RevokeKey { key_id } => IdentityCommand::RevokeKey { key_id },
        IdentitySubcommand::RotatePepper => IdentityCommand::RotatePepper,
    };
    let config = configuration::read(&options.config, None)?;
    let answer = match RunningServer::of(&config) {
        Some(running) => running.ask("/identity", &command)?,
        None => on_store(&config, command)?,
    };
    command::show(&answer)
}

fn on_store(config: &Config, command: IdentityCommand) -> Result<Value> {
    command::runtime()?.block_on(async {
        let engines = open_identity(config, Storage::Configured, Clock::system()).await?;
        let answer = run_identity(&engines.identity, command)
            .await
            .map_err(|message| anyhow!(message));
        engines.store.close().await?;
        answer
    })
}

/// Runs until SIGINT or SIGTERM; a second one stops at once.
fn run_server(options: &ConfigOptions, listen: Option<&str>) -> Result<()> {
    let config = configuration::read(options, listen)?;
    logging::start(&config.log)?;
    serve::in_foreground(serve(&config))
}

async fn serve(config: &Config) -> Result<()> {
    let mut signals = Signals::listen()?;
    let starting = start_identity(config, Storage::Configured, Clock::system());
    let running = signals.unless_told(starting).await?;
    welcome(config, &running);
    signals
        .until_stopped(running, RunningIdentity::failed, RunningIdentity::stop)
        .await;
    Ok(())
}

fn welcome(config: &Config, running: &RunningIdentity) {
    let urls = running.urls();
    tracing::info!(name = running.name(), urls = ?urls, "ready");
    if config.email.smtp_host.is_none() {
        tracing::warn!("no mail can be sent: set `[email] smtp_host` and `from`");
    }
    serve::say(&greeting(running, &urls));
}

/// Where it listens, and what an operator may type next.
fn greeting(running: &RunningIdentity, urls: &[String]) -> String {
    let (name, base) = (running.name(), running.base_url());
    let mut text = format!(
        "Gatehouse serves the identity server {name} at {}\n",
        urls.join(", ")
    );
    if let Some(url) = urls.iter().find(|url| url.starts_with("http")) {
        // Writing into a `String` cannot fail.
        _ = write!(
            text,
            "\nAsk it for its key:\n\n  curl -s {url}/_matrix/identity/v2/pubkey/ed25519:0\n"
        );
    }
    _ = write!(
        text,
        "\nTell a homeserver of it, in its gatehouse.toml:\n\n  [identity_service]\n  enabled = false\n\n  \
         [identity_servers]\n  default = \"{base}\"\n  trusted = [\"{base}\"]\n\nStop with Ctrl-C.\n"
    );
    text
}
