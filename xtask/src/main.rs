//! The project's own chores: `cargo xtask test`, `tidy`, `spec`, `docs`, `ci`, `bench`.
//!
//! Each command is one file. Nothing here is part of the server, and nothing here needs the server to compile,
//! so that `tidy` can speak about a tree that does not build.

mod bench;
mod ci;
mod configuration;
mod process;
mod python;
mod spec;
mod test;
mod tidy;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The project's chores.
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run all tests, after setting up what they need
    Test(test::Options),
    /// Check the rules of the house: layers, budgets, tables, names
    Tidy,
    /// Say how many of the specification's operations are served
    Spec(spec::Options),
    /// Write docs/configuration.md from the comments in the code
    Docs(configuration::Options),
    /// Everything that must pass before a change lands
    Ci(ci::Options),
    /// Measure a release build, alone or against another homeserver
    Bench(bench::Options),
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Test(options) => test::run(&options),
        Command::Tidy => tidy::run(),
        Command::Spec(options) => spec::run(&options),
        Command::Docs(options) => configuration::run(&options),
        Command::Ci(options) => ci::run(&options),
        Command::Bench(options) => bench::run(&options),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
