//! Synapse from the Python package registry, with `SQLite`, limits off and presence off.

use std::{fs, net::SocketAddr, path::Path, process::Command};

use anyhow::Result;

use crate::{
    bench::{
        Report, Scale,
        gatehouse::empty_folder,
        load,
        server::{Server, free_address},
    },
    process::run_quietly,
    python,
    workspace::Workspace,
};

pub(crate) fn measure(workspace: &Workspace, scale: &Scale) -> Result<Report> {
    let folder = empty_folder(workspace, "bench/synapse")?;
    let server = start_as(workspace, &folder, free_address()?, ("localhost", ""))?;
    let empty = server.start_up.as_secs_f64();
    let mut report = load(workspace, &server, scale)?;
    report.figure("start-up, empty store", empty, "s");
    report.figure("stop", server.stop()?.as_secs_f64(), "s");
    fs::remove_dir_all(folder)?;
    Ok(report)
}

/// Under a name, with more settings.
pub(super) fn start_as(
    workspace: &Workspace,
    folder: &Path,
    address: SocketAddr,
    (name, more): (&str, &str),
) -> Result<Server> {
    let environment = workspace.scratch().join("synapse");
    // The figures in docs/performance.md are of the version that is pinned there.
    python::environment(&workspace.partner("synapse"), &environment)?;
    fs::write(folder.join("log.yaml"), logging(folder))?;
    let config = folder.join("homeserver.yaml");
    fs::write(&config, configuration(folder, address.port(), name) + more)?;
    let python = environment.join("bin/python");
    let module = ["-m", "synapse.app.homeserver", "--config-path"];
    run_quietly(
        Command::new(&python)
            .args(module)
            .arg(&config)
            .arg("--generate-keys"),
    )?;
    let mut command = Command::new(&python);
    command.args(module).arg(&config);
    Server::start(command, address, folder)
}

fn logging(folder: &Path) -> String {
    format!(
        "version: 1\nhandlers: {{file: {{class: logging.FileHandler, filename: \"{}\"}}}}\n\
         root: {{level: WARNING, handlers: [file]}}\n",
        folder.join("synapse.log").display()
    )
}

fn configuration(folder: &Path, port: u16, name: &str) -> String {
    let unlimited = "{per_second: 1000000, burst_count: 1000000}";
    let shown = folder.display();
    format!(
        "server_name: '{name}'
pid_file: {shown}/pid
listeners:
  - {{port: {port}, type: http, tls: false, bind_addresses: ['127.0.0.1'], resources: [{{names: [client, federation]}}]}}
database: {{name: sqlite3, args: {{database: {shown}/homeserver.db}}}}
log_config: {shown}/log.yaml
media_store_path: {shown}/media
signing_key_path: {shown}/signing.key
report_stats: false
enable_registration: true
enable_registration_without_verification: true
bcrypt_rounds: 4
trusted_key_servers: []
presence: {{enabled: false}}
rc_message: {unlimited}
rc_registration: {unlimited}
rc_room_creation: {unlimited}
rc_joins: {{local: {unlimited}, remote: {unlimited}}}
rc_joins_per_room: {unlimited}
rc_invites: {{per_room: {unlimited}, per_user: {unlimited}, per_issuer: {unlimited}}}
rc_login: {{address: {unlimited}, account: {unlimited}, failed_attempts: {unlimited}}}
"
    )
}
