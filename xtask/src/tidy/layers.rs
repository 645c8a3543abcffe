//! A crate depends only on crates above it in this list, and nothing below the API crates speaks HTTP.

use std::fs;

use crate::{
    tidy::Complaint,
    workspace::{Package, Workspace},
};

/// All crates of `crates/`, earlier ones knowing nothing of later ones. Writers (`accounts`, `rooms`, `directory`)
/// stand before followers (`sync`), so a writer cannot call a follower.
pub(crate) const ORDER: &[&str] = &[
    "gatehouse-secrets",
    "gatehouse-events",
    "gatehouse-store",
    "gatehouse-store-embedded",
    "gatehouse-store-postgres",
    "gatehouse-outbound",
    "gatehouse-mail",
    "gatehouse-accounts",
    "gatehouse-rooms",
    "gatehouse-directory",
    "gatehouse-identity",
    "gatehouse-sync",
    "gatehouse-federation",
    "gatehouse-identity-client",
    "gatehouse-http",
    "gatehouse-client-api",
    "gatehouse-identity-api",
    "gatehouse-federation-api",
    "gatehouse-pages",
    "gatehouse-admin-api",
    "gatehouse-server",
    "gatehouse",
];

/// Crates that know no request and no response.
const BELOW_HTTP: &[&str] = &[
    "gatehouse-secrets",
    "gatehouse-events",
    "gatehouse-store",
    "gatehouse-store-embedded",
    "gatehouse-store-postgres",
    "gatehouse-mail",
    "gatehouse-accounts",
    "gatehouse-rooms",
    "gatehouse-directory",
    "gatehouse-identity",
    "gatehouse-sync",
    "gatehouse-identity-client",
];

/// What a crate below HTTP may not depend on.
const HTTP_CRATES: &[&str] = &[
    "axum",
    "http",
    "http-body",
    "http-body-util",
    "hyper",
    "hyper-util",
    "reqwest",
    "tower",
];

/// Only the composition root and the program know which store runs.
const STORE_ENGINES: &[&str] = &["gatehouse-store-embedded", "gatehouse-store-postgres"];

/// What the pure layer may not depend on.
const IMPURE_CRATES: &[&str] = &["tokio", "futures-util", "tracing"];

/// Packages that are no part of the program.
const APART: &[&str] = &["testing/", "xtask"];

pub(crate) fn check(workspace: &Workspace) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    let map = fs::read_to_string(workspace.root.join("ARCHITECTURE.md")).unwrap_or_default();
    for package in workspace.packages.values() {
        let folder = package
            .folder()
            .strip_prefix(&workspace.root)
            .unwrap_or(package.folder());
        let folder = folder.to_string_lossy().replace('\\', "/");
        if APART.iter().any(|apart| folder.starts_with(apart)) {
            continue;
        }
        complaints.extend(check_package(package));
        if !map.contains(&format!("`{folder}`")) {
            complaints.push(Complaint::new(
                "ARCHITECTURE.md",
                format!("does not name `{folder}`"),
            ));
        }
    }
    complaints
}

fn check_package(package: &Package) -> Vec<Complaint> {
    let dependencies: Vec<&str> = package
        .dependencies
        .iter()
        .filter(|dependency| dependency.kind.as_deref() != Some("dev"))
        .map(|dependency| dependency.name.as_str())
        .collect();
    broken(&package.name, &dependencies)
        .into_iter()
        .map(|what| Complaint::new(format!("{}/Cargo.toml", package.name), what))
        .collect()
}

fn broken(name: &str, dependencies: &[&str]) -> Vec<String> {
    let Some(own) = place(name) else {
        return vec![format!(
            "has no place in the order of layers: add it to {}",
            file!()
        )];
    };
    let mut broken = Vec::new();
    for dependency in dependencies {
        if dependency.starts_with("gatehouse") && place(dependency).is_none_or(|other| other >= own) {
            broken.push(format!("depends on {dependency}, which is not an earlier layer"));
        }
        if BELOW_HTTP.contains(&name) && HTTP_CRATES.contains(dependency) {
            broken.push(format!(
                "depends on {dependency}: HTTP is known from gatehouse-http upwards"
            ));
        }
        if STORE_ENGINES.contains(dependency) && !matches!(name, "gatehouse-server" | "gatehouse") {
            broken.push(format!(
                "depends on {dependency}: only gatehouse-server chooses a store"
            ));
        }
        if own == 0 && IMPURE_CRATES.contains(dependency) {
            broken.push(format!(
                "depends on {dependency}: the first layer waits for nothing and logs nothing"
            ));
        }
    }
    broken
}

fn place(name: &str) -> Option<usize> {
    ORDER.iter().position(|other| *other == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_writer_may_not_depend_on_a_follower() {
        assert_eq!(
            broken("gatehouse-rooms", &["gatehouse-store", "gatehouse-sync"]).len(),
            1
        );
    }

    #[test]
    fn an_engine_may_not_speak_http() {
        assert_eq!(broken("gatehouse-accounts", &["axum"]).len(), 1);
        assert!(broken("gatehouse-http", &["axum"]).is_empty());
    }

    #[test]
    fn only_the_server_chooses_a_store() {
        assert_eq!(broken("gatehouse-sync", &["gatehouse-store-embedded"]).len(), 1);
        assert!(broken("gatehouse-server", &["gatehouse-store-embedded"]).is_empty());
    }

    #[test]
    fn an_unknown_crate_must_be_given_a_place() {
        assert_eq!(broken("gatehouse-misc", &[]).len(), 1);
    }
}
