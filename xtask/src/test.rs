//! `cargo xtask test`: everything the tests need, then the tests.
//!
//! One build of the workspace serves all steps. PostgreSQL, the Python environments and the Node environment live
//! under `target/scratch`; what is started here is stopped here, by its process id.

mod clients;
mod postgres;

use std::process::Command;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};

use crate::{
    process::{self, heading},
    test::postgres::Postgres,
    workspace::Workspace,
};

/// Tests that speak to a server, and so are worth repeating on another store.
const ON_EVERY_STORE: &[&str] = &["gatehouse-acceptance", "gatehouse-store-postgres"];

/// What to test.
#[derive(Args)]
pub(crate) struct Options {
    /// The store under the acceptance tests; `all` runs the whole suite, then acceptance on PostgreSQL
    #[arg(long, value_enum, default_value_t = Store::All)]
    store: Store,
    /// Only tests whose names contain this
    filter: Option<String>,
}

impl Options {
    /// All tests, on every store.
    pub(crate) fn everything() -> Self {
        Self {
            store: Store::All,
            filter: None,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Store {
    Embedded,
    Memory,
    Postgres,
    All,
}

impl Store {
    fn name(self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::Memory => "memory",
            Self::Postgres => "postgres",
            Self::All => "all",
        }
    }
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let workspace = Workspace::load()?;
    let runner = Runner::find();
    std::fs::create_dir_all(workspace.scratch())?;
    heading("scratch environments: matrix-nio, matrix-client and matrix-js-sdk; Sydent and Synapse");
    clients::prepare(&workspace)?;

    // The conformance suite of store-postgres needs a database in every run, not only in the last step.
    heading("postgres: a throw-away cluster");
    let postgres = Postgres::start(&workspace.scratch().join("postgres-folder"))?;

    let mut failed = Vec::new();
    let filter = options.filter.as_deref();
    if options.store == Store::Postgres {
        // Only the tests below that are repeated on PostgreSQL.
    } else {
        heading("tests of the workspace");
        let mut tests = runner.workspace(&workspace, filter);
        postgres.tell(&mut tests);
        if options.store != Store::All {
            tests.env("GATEHOUSE_TEST_STORE", options.store.name());
        }
        note(&mut failed, "tests", process::run(&mut tests));
        if options.store == Store::All && filter.is_none() {
            heading("examples in the documentation");
            let mut examples = process::cargo(&workspace.root);
            examples.args(["test", "--doc", "--workspace", "--quiet"]);
            note(&mut failed, "documentation examples", process::run(&mut examples));
        }
    }
    if matches!(options.store, Store::All | Store::Postgres) {
        heading("tests that speak to a server, on PostgreSQL");
        let mut tests = runner.packages(&workspace, ON_EVERY_STORE, filter);
        postgres.tell(&mut tests);
        tests.env("GATEHOUSE_TEST_STORE", "postgres");
        note(&mut failed, "tests on PostgreSQL", process::run(&mut tests));
    }
    postgres.stop()?;
    if failed.is_empty() {
        println!("\nEvery step passed.");
        return Ok(());
    }
    bail!("failed: {}", failed.join(", "))
}

/// One failing step must not hide what the next would say.
fn note(failed: &mut Vec<&'static str>, step: &'static str, outcome: Result<()>) {
    if let Err(error) = outcome {
        eprintln!("error: {error:#}");
        failed.push(step);
    }
}

/// The program that runs tests: nextest where it is installed, else cargo's own.
enum Runner {
    Nextest,
    Cargo,
}

impl Runner {
    fn find() -> Self {
        if process::find("cargo-nextest").is_some() {
            return Self::Nextest;
        }
        println!("cargo-nextest is not installed; `cargo test` runs the tests.");
        Self::Cargo
    }

    fn workspace(&self, workspace: &Workspace, filter: Option<&str>) -> Command {
        let mut command = process::cargo(&workspace.root);
        match self {
            Self::Nextest => command.args(["nextest", "run", "--workspace", "--no-fail-fast"]),
            Self::Cargo => command.args([
                "test",
                "--workspace",
                "--no-fail-fast",
                "--lib",
                "--bins",
                "--tests",
            ]),
        };
        command.args(filter);
        self.allow_none(&mut command, filter);
        command
    }

    fn packages(&self, workspace: &Workspace, packages: &[&str], filter: Option<&str>) -> Command {
        let mut command = process::cargo(&workspace.root);
        match self {
            // `--workspace` with an expression, rather than `--package`, keeps the features and so the build.
            Self::Nextest => {
                let expression: Vec<String> = packages
                    .iter()
                    .map(|package| format!("package({package})"))
                    .collect();
                command.args(["nextest", "run", "--workspace", "--no-fail-fast"]);
                command.args(["-E", &expression.join(" | ")]);
            }
            Self::Cargo => {
                command.args(["test", "--no-fail-fast", "--lib", "--tests"]);
                command.args(packages.iter().flat_map(|package| ["--package", package]));
            }
        }
        command.args(filter);
        self.allow_none(&mut command, filter);
        command
    }

    /// A filter may leave a step without tests; the whole suite may not.
    fn allow_none(&self, command: &mut Command, filter: Option<&str>) {
        if matches!(self, Self::Nextest) && filter.is_some() {
            command.args(["--no-tests", "pass"]);
        }
    }
}
