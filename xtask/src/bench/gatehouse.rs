//! Gatehouse on its embedded store, with default durability.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Result;

use crate::{
    bench::{
        Report, Scale, load, load_invitations,
        server::{Server, free_address},
    },
    workspace::Workspace,
};

pub(crate) fn measure(workspace: &Workspace, scale: &Scale) -> Result<Report> {
    let folder = empty_folder(workspace, "bench/gatehouse")?;
    let server = start(workspace, &folder, "")?;
    let empty = server.start_up.as_secs_f64();
    let mut report = load(workspace, &server, scale)?;
    report.figure("start-up, empty store", empty, "s");
    report.figure("stop", server.stop()?.as_secs_f64(), "s");
    let server = start(workspace, &folder, "")?;
    report.figure("start-up, after a stop", server.start_up.as_secs_f64(), "s");
    // Dropping kills: what an outage leaves.
    drop(server);
    let server = start(workspace, &folder, "")?;
    report.figure("start-up, after a kill", server.start_up.as_secs_f64(), "s");
    server.stop()?;
    fs::remove_dir_all(folder)?;
    Ok(report)
}

/// Invitations by e-mail, with the identity service of the same process. Their mails stay in the queue: the mail server
/// takes connections and says nothing, as one does that is overloaded.
pub(crate) fn measure_invitations(workspace: &Workspace, invitations: usize) -> Result<Report> {
    let folder = empty_folder(workspace, "bench/invitations")?;
    let mail_server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let email = format!(
        "[email]\nsmtp_host = \"127.0.0.1\"\nsmtp_port = {}\nsmtp_tls = \"none\"\nfrom = \"bench@localhost\"\n",
        mail_server.local_addr()?.port()
    );
    let server = start(workspace, &folder, &email)?;
    let report = load_invitations(workspace, &server, invitations)?;
    server.stop()?;
    fs::remove_dir_all(folder)?;
    Ok(report)
}

pub(super) fn empty_folder(workspace: &Workspace, name: &str) -> Result<PathBuf> {
    let folder = workspace.scratch().join(name);
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

fn start(workspace: &Workspace, folder: &Path, more: &str) -> Result<Server> {
    start_as(workspace, folder, free_address()?, ("localhost", more))
}

/// Under a name, with more settings.
pub(super) fn start_as(
    workspace: &Workspace,
    folder: &Path,
    address: SocketAddr,
    (name, more): (&str, &str),
) -> Result<Server> {
    let config = folder.join("gatehouse.toml");
    fs::write(
        &config,
        format!(
            "server_name = \"{name}\"\ndata_dir = \"{}\"\n\
             [[listener]]\naddress = \"127.0.0.1\"\nport = {}\n\
             [registration]\nopen = true\ncheap_password_hash = true\n\
             [rate_limits]\nenabled = false\n\
             [log]\nlevel = \"warn\"\n{more}",
            folder.join("data").display(),
            address.port()
        ),
    )?;
    let mut command = Command::new(workspace.root.join("target/release/gatehouse"));
    command.args(["serve", "--config"]).arg(config);
    Server::start(command, address, folder)
}
