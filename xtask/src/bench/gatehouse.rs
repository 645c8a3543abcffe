//! Gatehouse on its embedded store, with default durability.

use std::{fs, path::Path, process::Command};

use anyhow::Result;

use crate::{
    bench::{
        Report, Scale, load,
        server::{Server, free_address},
    },
    workspace::Workspace,
};

pub(crate) fn measure(workspace: &Workspace, scale: &Scale) -> Result<Report> {
    let folder = workspace.scratch().join("bench/gatehouse");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    let server = start(workspace, &folder)?;
    let empty = server.start_up.as_secs_f64();
    let mut report = load(workspace, &server, scale)?;
    report.figure("start-up, empty store", empty, "s");
    report.figure("stop", server.stop()?.as_secs_f64(), "s");
    let server = start(workspace, &folder)?;
    report.figure("start-up, after a stop", server.start_up.as_secs_f64(), "s");
    // Dropping kills: what an outage leaves.
    drop(server);
    let server = start(workspace, &folder)?;
    report.figure("start-up, after a kill", server.start_up.as_secs_f64(), "s");
    server.stop()?;
    fs::remove_dir_all(folder)?;
    Ok(report)
}

fn start(workspace: &Workspace, folder: &Path) -> Result<Server> {
    let address = free_address()?;
    let config = folder.join("gatehouse.toml");
    fs::write(
        &config,
        format!(
            "server_name = \"localhost\"\ndata_dir = \"{}\"\n\
             [[listener]]\naddress = \"127.0.0.1\"\nport = {}\n\
             [registration]\nopen = true\ncheap_password_hash = true\n\
             [rate_limits]\nenabled = false\n\
             [log]\nlevel = \"warn\"\n",
            folder.join("data").display(),
            address.port()
        ),
    )?;
    let mut command = Command::new(workspace.root.join("target/release/gatehouse"));
    command.args(["serve", "--config"]).arg(config);
    Server::start(command, address, folder)
}
