//! `cargo xtask bench`: a release build under load, and another homeserver beside it if asked.
//!
//! The load comes from a process of its own (`testing/load`) on the same cores, over loopback. Prints a table, then
//! one line of JSON.

mod federation;
mod gatehouse;
mod server;
mod synapse;
mod table;

use std::{collections::BTreeMap, fs, path::PathBuf, process::Command};

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

use crate::{
    bench::server::Server,
    process::{self, heading},
    workspace::Workspace,
};

/// What to measure.
#[derive(Args)]
pub(crate) struct Options {
    /// Measure this one too, in turn
    #[arg(long, value_enum)]
    against: Option<Other>,
    /// A tenth of everything, for a first look
    #[arg(long)]
    quick: bool,
    /// So many more messages at the end, to measure the start on a full store
    #[arg(long, default_value_t = 0)]
    fill: usize,
    /// Only the invitations by e-mail
    #[arg(long, conflicts_with = "against")]
    invitations: bool,
    /// Only what other homeservers ask of it and are sent
    #[arg(long, conflicts_with_all = ["invitations", "fill"])]
    federation: bool,
    /// Also write the JSON here
    #[arg(long)]
    json: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Other {
    Synapse,
}

/// Addresses that are invited in each phase that does.
const INVITATIONS: usize = 20_000;

/// How much load one server gets.
struct Scale {
    users: usize,
    large_room: usize,
    messages: usize,
    idle: usize,
    fill: usize,
}

/// What the load process and the starts of the server gave.
#[derive(Default, Deserialize, Serialize)]
struct Report {
    phases: Vec<Phase>,
    figures: Vec<Figure>,
}

/// Operations of one kind; see `testing/load/src/report.rs`.
#[derive(Deserialize, Serialize)]
struct Phase {
    name: String,
    at_once: usize,
    operations: usize,
    per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
    server_cpu_ms: f64,
}

/// A single figure.
#[derive(Deserialize, Serialize)]
struct Figure {
    name: String,
    value: f64,
    unit: String,
}

impl Report {
    fn figure(&mut self, name: &str, value: f64, unit: &str) {
        println!("  {name}: {value:.3} {unit}");
        self.figures.push(Figure {
            name: name.to_owned(),
            value,
            unit: unit.to_owned(),
        });
    }
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let workspace = Workspace::load()?;
    heading("a release build");
    process::run(process::cargo(&workspace.root).args([
        "build",
        "--release",
        "--package",
        "gatehouse",
        "--package",
        "gatehouse-load",
    ]))?;
    let part = if options.quick { 10 } else { 1 };
    let reports = if options.federation {
        federation::measure(&workspace, options.against, part)?
    } else {
        measure(&workspace, options, part)?
    };
    println!("\n{}", table::table(&reports));
    let json = serde_json::to_string(&reports)?;
    println!("{json}");
    if let Some(path) = &options.json {
        fs::write(path, json).with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(())
}

/// All but what other homeservers do.
fn measure(workspace: &Workspace, options: &Options, part: usize) -> Result<BTreeMap<&'static str, Report>> {
    let mut reports = BTreeMap::new();
    heading("Gatehouse");
    let mut report = if options.invitations {
        Report::default()
    } else {
        measure_gatehouse(workspace, part, options.fill)?
    };
    let invitations = gatehouse::measure_invitations(workspace, INVITATIONS / part)?;
    report.phases.extend(invitations.phases);
    reports.insert("gatehouse", report);
    if let Some(Other::Synapse) = options.against {
        heading("Synapse");
        // A tenth of the users and messages: the rest would take an hour and give the same rates.
        let scale = Scale {
            users: 1_000 / part,
            large_room: 1_000 / part,
            messages: 1_000 / part,
            idle: 1_000 / part,
            fill: 0,
        };
        reports.insert("synapse", synapse::measure(workspace, &scale)?);
    }
    Ok(reports)
}

/// All but the invitations by e-mail.
fn measure_gatehouse(workspace: &Workspace, part: usize, fill: usize) -> Result<Report> {
    let scale = Scale {
        users: 10_000 / part,
        large_room: 1_000 / part,
        messages: 10_000 / part,
        idle: 10_000 / part,
        fill,
    };
    let mut report = gatehouse::measure(workspace, &scale)?;
    let floor = floor(workspace, scale.messages)?;
    report.phases.extend(floor.phases);
    report.figures.extend(floor.figures);
    Ok(report)
}

/// Put the load on a running server.
fn load(workspace: &Workspace, server: &Server, scale: &Scale) -> Result<Report> {
    let mut command = Command::new(workspace.root.join("target/release/gatehouse-load"));
    command.arg("server");
    command.args(["--address", &server.address().to_string()]);
    command.args(["--pid", &server.pid().to_string()]);
    command.arg("--data-dir").arg(server.folder());
    for (name, count) in [
        ("--users", scale.users),
        ("--large-room", scale.large_room),
        ("--messages", scale.messages),
        ("--idle", scale.idle),
        ("--fill", scale.fill),
    ] {
        command.args([name, &count.to_string()]);
    }
    report_of(&mut command)
}

/// Invite so many addresses into a room of a running server.
fn load_invitations(workspace: &Workspace, server: &Server, invitations: usize) -> Result<Report> {
    let mut command = Command::new(workspace.root.join("target/release/gatehouse-load"));
    let address = server.address().to_string();
    command.arg("invitations");
    // Its own identity server goes by its address, when it is given no other.
    command.args(["--address", &address, "--id-server", &address]);
    command.args(["--pid", &server.pid().to_string()]);
    command.arg("--data-dir").arg(server.folder());
    command.args(["--invitations", &invitations.to_string()]);
    report_of(&mut command)
}

/// What hashing, signing and committing alone cost, on the disk of the scratch folder.
fn floor(workspace: &Workspace, events: usize) -> Result<Report> {
    let folder = workspace.scratch().join("bench/floor");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    let mut command = Command::new(workspace.root.join("target/release/gatehouse-load"));
    command
        .arg("floor")
        .arg("--folder")
        .arg(&folder)
        .args(["--events", &events.to_string()]);
    let report = report_of(&mut command)?;
    fs::remove_dir_all(folder)?;
    Ok(report)
}

fn report_of(command: &mut Command) -> Result<Report> {
    let output = command
        .stderr(std::process::Stdio::inherit())
        .output()
        .context("starting the load process")?;
    anyhow::ensure!(
        output.status.success(),
        "the load process ended with {}",
        output.status
    );
    serde_json::from_slice(&output.stdout).context("the load process did not answer with its report")
}
