//! Clients that nobody here wrote, against the program as it is installed: each script of `testing/clients` tells
//! one story (register, log in, create, invite, join, talk, read it in the sync, leave) to a server of its own.
//!
//! `cargo xtask test` makes their environments in `target/scratch`.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use tempfile::TempDir;

use crate::process::Server;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .unwrap()
}

/// The scratch environment, or a failure that says how to make it.
fn scratch(part: &str) -> PathBuf {
    let path = root().join("target/scratch").join(part);
    assert!(
        path.exists(),
        "{} is missing: `cargo xtask test` makes it",
        path.display()
    );
    path
}

fn tell(mut client: Command) {
    let output = client.stdin(Stdio::null()).output().unwrap();
    let (said, complained) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(
        output.status.success() && said.ends_with("ok\n"),
        "{client:?} ended with {}\n{said}\n{complained}",
        output.status
    );
}

fn python_tells(script: &str) {
    let dir = TempDir::new().unwrap();
    let server = Server::start(dir.path());
    let mut client = Command::new(scratch("python/bin/python"));
    client
        .arg(root().join("testing/clients").join(script))
        .arg(&server.url);
    tell(client);
}

#[test]
fn matrix_nio_lives_through_a_room() {
    python_tells("story_nio.py");
}

#[test]
fn matrix_client_lives_through_a_room_over_r0() {
    python_tells("story_r0.py");
}

#[test]
fn matrix_client_lives_through_a_room_over_legacy_v1() {
    python_tells("story_v1.py");
}

#[test]
fn matrix_js_sdk_lives_through_a_room() {
    let dir = TempDir::new().unwrap();
    let server = Server::start(dir.path());
    let mut client = Command::new("node");
    client
        .arg(root().join("testing/clients/story_js_sdk.mjs"))
        .arg(&server.url)
        .arg(scratch("node"));
    tell(client);
}
