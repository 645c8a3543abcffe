//! `cargo xtask ci`: everything that must pass before a change lands.

use std::{path::Path, process::Command};

use anyhow::{Result, bail};
use clap::Args;

use crate::{
    configuration,
    process::{self, heading},
    spec, test, tidy,
    workspace::Workspace,
};

#[derive(Args)]
pub(crate) struct Options {
    /// Leave out the tests, for those who have just run them
    #[arg(long)]
    skip_tests: bool,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let workspace = Workspace::load()?;
    let root = workspace.root.as_path();
    let mut failed = Vec::new();
    let mut step = |name: &'static str, outcome: Result<()>| {
        if let Err(error) = outcome {
            eprintln!("error: {error:#}");
            failed.push(name);
        }
    };
    if !options.skip_tests {
        step("tests", test::run(&test::Options::everything()));
    }
    heading("format");
    step(
        "format",
        process::run(process::cargo(root).args(["fmt", "--all", "--check"])),
    );
    heading("lints");
    step(
        "lints",
        process::run(process::cargo(root).args([
            "clippy",
            "--workspace",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ])),
    );
    heading("tidy");
    step("tidy", tidy::run());
    heading("documentation");
    step(
        "documentation",
        configuration::run(&configuration::Options { check: true }),
    );
    heading("dependencies");
    step("dependencies", dependencies(root));
    heading("service unit");
    step("service unit", service_unit(root));
    heading("specification");
    step("specification", spec::run(&spec::Options::default()));
    if failed.is_empty() {
        println!("\nci: all steps passed");
        return Ok(());
    }
    bail!("ci: failed: {}", failed.join(", "))
}

/// What the service may do to the machine it runs on, as systemd counts it in tenths: 20 at most.
fn service_unit(root: &Path) -> Result<()> {
    if process::find("systemd-analyze").is_none() {
        println!("skipped: there is no systemd-analyze on this machine");
        return Ok(());
    }
    let mut analyze = Command::new("systemd-analyze");
    analyze.args(["security", "--offline=yes", "--threshold=20", "--no-pager"]);
    let report = process::run_quietly(analyze.arg(root.join("packaging/systemd/gatehouse.service")))?;
    let report = String::from_utf8_lossy(&report.stdout);
    println!("{}", report.trim_end().lines().last().unwrap_or_default());
    Ok(())
}

/// `cargo deny`: licences, sources, duplicates; known vulnerabilities where their database can be had.
fn dependencies(root: &Path) -> Result<()> {
    if process::find("cargo-deny").is_none() {
        // Without optimisation: building it fast matters more than running it fast.
        let mut install = process::cargo(root);
        process::run(install.args(["install", "cargo-deny", "--locked", "--profile", "dev", "--quiet"]))?;
    }
    process::run(deny(root, &["bans", "licenses", "sources"]).arg("--hide-inclusion-graph"))?;
    advisories(root)
}

fn deny(root: &Path, checks: &[&str]) -> Command {
    let mut command = process::cargo(root);
    command.args(["deny", "--all-features", "check"]).args(checks);
    command
}

/// The database of advisories is a git repository of its own. Where it cannot be fetched the copy of an earlier
/// run is used; where there is none either, that is said and is no failure: the same commit would pass elsewhere.
fn advisories(root: &Path) -> Result<()> {
    let Err(error) = process::run_quietly(&mut deny(root, &["advisories"])) else {
        println!("advisories: none applies");
        return Ok(());
    };
    if !error.to_string().contains("failed to fetch advisory database") {
        return Err(error);
    }
    let mut offline = process::cargo(root);
    offline.args(["deny", "--offline", "--all-features", "check", "advisories"]);
    match process::run_quietly(&mut offline) {
        Ok(_) => println!(
            "advisories: none applies, says an old copy of the database; a new one cannot be fetched"
        ),
        Err(error) if error.to_string().contains("FETCH_HEAD") => {
            println!(
                "advisories: skipped: their database is a git repository that cannot be fetched from here"
            );
        }
        Err(error) => return Err(error),
    }
    Ok(())
}
