//! `cargo xtask bench --federation`: a homeserver beside others, which the load process plays.

use std::{collections::BTreeMap, fs, net::SocketAddr, path::Path, process::Command};

use anyhow::Result;

use crate::{
    bench::{
        Other, Report,
        gatehouse::{self, empty_folder},
        report_of,
        server::{Server, free_address},
        synapse,
    },
    process::{heading, run_quietly},
    workspace::Workspace,
};

/// Members of the rooms that are joined.
const MEMBERS: [usize; 2] = [10_000, 50_000];
/// PDUs that are sent in.
const PDUS: usize = 5_000;

/// What is measured, each on a server of its own.
const QUESTIONS: [&str; 2] = ["inbound", "fan-out"];

#[derive(Clone, Copy)]
enum Measured {
    Gatehouse,
    Synapse,
}

/// Measures Gatehouse, and another one if asked; `part` makes everything so much smaller.
pub(super) fn measure(
    workspace: &Workspace,
    against: Option<Other>,
    part: usize,
) -> Result<BTreeMap<&'static str, Report>> {
    let files = empty_folder(workspace, "bench/federation-files")?;
    run_quietly(
        load(workspace)
            .arg("federation-files")
            .arg("--folder")
            .arg(&files),
    )?;
    let mut reports = BTreeMap::new();
    heading("Gatehouse beside others");
    reports.insert("gatehouse", of(workspace, Measured::Gatehouse, &files, part)?);
    if let Some(Other::Synapse) = against {
        heading("Synapse beside others");
        reports.insert("synapse", of(workspace, Measured::Synapse, &files, part)?);
    }
    fs::remove_dir_all(files)?;
    Ok(reports)
}

fn of(workspace: &Workspace, measured: Measured, files: &Path, part: usize) -> Result<Report> {
    let mut all = Report::default();
    let joins = MEMBERS.map(|members| {
        vec![
            "join".to_owned(),
            "--members".to_owned(),
            (members / part).to_string(),
        ]
    });
    let others = QUESTIONS.map(|what| vec![what.to_owned(), "--pdus".to_owned(), (PDUS / part).to_string()]);
    for question in joins.into_iter().chain(others) {
        let folder = empty_folder(workspace, "bench/federation")?;
        let address = free_address()?;
        let name = address.to_string();
        let server = start(workspace, measured, (&folder, files), address)?;
        let mut command = load(workspace);
        command.args(["federation", "--address", &name, "--name", &name]);
        command.args(["--pid", &server.pid().to_string()]);
        command
            .arg("--data-dir")
            .arg(server.folder())
            .arg("--files")
            .arg(files);
        let report = report_of(command.arg("--what").args(question))?;
        all.phases.extend(report.phases);
        all.figures.extend(report.figures);
        server.stop()?;
        fs::remove_dir_all(folder)?;
    }
    Ok(all)
}

fn start(
    workspace: &Workspace,
    measured: Measured,
    (folder, files): (&Path, &Path),
    address: SocketAddr,
) -> Result<Server> {
    let authority = files.join("ca.pem");
    let (name, authority) = (address.to_string(), authority.display());
    match measured {
        Measured::Gatehouse => {
            let more = format!("[federation]\nextra_ca_files = [\"{authority}\"]\ndeny_ip_ranges = []\n");
            gatehouse::start_as(workspace, folder, address, (&name, &more))
        }
        Measured::Synapse => {
            let more = format!(
                "federation_custom_ca_list: [{authority}]\nip_range_blacklist: []\nfederation_ip_range_blacklist: []\n\
                 rc_federation: {{window_size: 1000, sleep_limit: 1000000, sleep_delay: 1, reject_limit: 1000000, concurrent: 100}}\n"
            );
            synapse::start_as(workspace, folder, address, (&name, &more))
        }
    }
}

fn load(workspace: &Workspace) -> Command {
    Command::new(workspace.root.join("target/release/gatehouse-load"))
}
