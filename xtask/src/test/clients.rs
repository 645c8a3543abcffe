//! Scratch environments for what others wrote: the clients of `testing/clients`, and the servers of `testing/partners`.
//!
//! They are remade only when the pinned versions change: a copy of the pins beside the environment says for which
//! it was made. The tests find them in `target/scratch`: `python`, `node`, `sydent` and `synapse`.

use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result, bail};

use crate::{
    process::{self, run_quietly},
    python::{environment, same},
    workspace::Workspace,
};

/// The oldest Node that the pinned matrix-js-sdk runs on.
const NODE_MAJOR: u32 = 20;

pub(crate) fn prepare(workspace: &Workspace) -> Result<()> {
    let pins = workspace.root.join("testing/clients");
    environment(
        &pins.join("requirements.txt"),
        &workspace.scratch().join("python"),
    )?;
    for partner in ["sydent", "synapse"] {
        environment(&workspace.partner(partner), &workspace.scratch().join(partner))?;
    }
    node(&pins, &workspace.scratch().join("node"))
}

fn node(pins: &Path, folder: &Path) -> Result<()> {
    let wanted = pins.join("package-lock.json");
    let made_for = folder.join("made-for.json");
    if same(&wanted, &made_for) {
        println!("node: {} is up to date", folder.display());
        return Ok(());
    }
    require_node()?;
    println!("node: making {}", folder.display());
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    fs::create_dir_all(folder)?;
    for file in ["package.json", "package-lock.json"] {
        fs::copy(pins.join(file), folder.join(file))?;
    }
    run_quietly(
        Command::new("npm")
            .args(["ci", "--no-audit", "--no-fund", "--ignore-scripts"])
            .current_dir(folder),
    )
    .context("npm could not install testing/clients/package-lock.json; is the package registry reachable?")?;
    fs::copy(&wanted, &made_for)?;
    Ok(())
}

fn require_node() -> Result<()> {
    if process::find("node").is_none() || process::find("npm").is_none() {
        bail!("node or npm is missing: install Node.js {NODE_MAJOR} or newer with npm");
    }
    let version = run_quietly(Command::new("node").arg("--version"))?;
    let version = String::from_utf8_lossy(&version.stdout).trim().to_owned();
    let major = version
        .trim_start_matches('v')
        .split('.')
        .next()
        .and_then(|part| part.parse::<u32>().ok());
    if major.is_none_or(|major| major < NODE_MAJOR) {
        bail!("node is {version}, and matrix-js-sdk needs {NODE_MAJOR} or newer");
    }
    Ok(())
}
