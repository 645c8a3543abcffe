//! What `cargo metadata` says of the workspace.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::process;

/// The workspace: its folder and its packages by name.
pub(crate) struct Workspace {
    pub(crate) root: PathBuf,
    pub(crate) packages: BTreeMap<String, Package>,
}

/// One of our own packages.
#[derive(Deserialize)]
pub(crate) struct Package {
    pub(crate) name: String,
    manifest_path: PathBuf,
    pub(crate) dependencies: Vec<Dependency>,
}

/// One line of a package's dependencies.
#[derive(Deserialize)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    /// `None` for an ordinary dependency, else `dev` or `build`.
    pub(crate) kind: Option<String>,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    workspace_root: PathBuf,
}

impl Workspace {
    /// Ask cargo; needs no network.
    pub(crate) fn load() -> Result<Self> {
        let mut command = process::cargo(Path::new(env!("CARGO_MANIFEST_DIR")));
        command.args(["metadata", "--format-version", "1", "--no-deps"]);
        let output = process::run_quietly(&mut command)?;
        let metadata: Metadata =
            serde_json::from_slice(&output.stdout).context("cargo metadata did not answer with its JSON")?;
        Ok(Self {
            root: metadata.workspace_root,
            packages: metadata
                .packages
                .into_iter()
                .map(|package| (package.name.clone(), package))
                .collect(),
        })
    }

    /// The pins of a server that others wrote.
    pub(crate) fn partner(&self, name: &str) -> PathBuf {
        self.root.join(format!("testing/partners/{name}.txt"))
    }

    /// The folder for throw-away environments, kept between runs.
    pub(crate) fn scratch(&self) -> PathBuf {
        self.root.join("target/scratch")
    }
}

impl Package {
    /// The folder that holds the package's manifest.
    pub(crate) fn folder(&self) -> &Path {
        self.manifest_path.parent().unwrap_or(&self.manifest_path)
    }
}

/// Every Rust file below a folder, sorted, so that two runs say the same.
pub(crate) fn rust_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut waiting = vec![folder.to_owned()];
    while let Some(folder) = waiting.pop() {
        if !folder.is_dir() {
            continue;
        }
        for entry in std::fs::read_dir(&folder).with_context(|| format!("reading {}", folder.display()))? {
            let path = entry?.path();
            if path.is_dir() {
                waiting.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}
