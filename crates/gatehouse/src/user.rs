//! `gatehouse user`

use std::io::{BufRead, IsTerminal, Write};

use anyhow::{Result, anyhow};
use gatehouse_events::Clock;
use gatehouse_server::{
    Config, Storage,
    offline::{self, UserCommand},
    open,
};
use serde_json::Value;

use crate::{
    arguments::{UserOptions, UserSubcommand},
    command::{self, RunningServer},
    configuration,
};

/// Carries the command out: by the running server when there is one, else on the store itself.
pub(crate) fn run(options: UserOptions) -> Result<()> {
    let config = configuration::read(&options.config, None)?;
    let command = command(options.command)?;
    let answer = match RunningServer::of(&config) {
        Some(running) => running.ask("/user", &command)?,
        None => on_store(&config, command)?,
    };
    command::show(&answer)
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
    command::runtime()?.block_on(async {
        let engines = open(config, Storage::Configured, Clock::system()).await?;
        let answer = offline::run(&engines, command)
            .await
            .map_err(|message| anyhow!(message));
        engines.store.close().await?;
        answer
    })
}
