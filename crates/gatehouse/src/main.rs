//! The `gatehouse` program: one file for each subcommand.

mod arguments;
mod command;
mod completions;
mod configuration;
mod doctor;
mod identity;
mod init;
mod logging;
mod serve;
mod user;

use std::process::ExitCode;

use clap::Parser;

use crate::arguments::{Arguments, Command};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = match arguments.command {
        Command::Serve(options) => serve::run(&options),
        Command::Init(options) => init::run(&options),
        Command::User(options) => user::run(options),
        Command::Identity(options) => identity::run(options),
        Command::Doctor(options) => match doctor::run(&options) {
            Ok(status) => return status,
            Err(error) => Err(error),
        },
        Command::Completions { shell } => completions::run(shell),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("gatehouse: {error:#}");
            ExitCode::FAILURE
        }
    }
}
