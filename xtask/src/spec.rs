//! `cargo xtask spec`: how much of the specification is served.
//!
//! A handler is named after its operationId, so progress can be counted: every operation of `spec/endpoints.csv`
//! (all pages of the Matrix specification, v1.19) against the functions that exist in the `*-api` crates.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use anyhow::{Context, Result};
use clap::Args;

use crate::workspace::{Workspace, rust_files};

/// What to print.
#[derive(Args, Default)]
pub(crate) struct Options {
    /// Also list the operations that are not served
    #[arg(long)]
    missing: bool,
}

/// One line of the list.
struct Operation {
    api: String,
    page: String,
    method: String,
    path: String,
    id: String,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let workspace = Workspace::load()?;
    let list = fs::read_to_string(workspace.root.join("xtask/spec/endpoints.csv"))
        .context("xtask/spec/endpoints.csv is part of the repository")?;
    let served = served(&workspace)?;
    let mut counts: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for operation in operations(&list) {
        let (here, all) = counts.entry(operation.api.clone()).or_default();
        *all += 1;
        let functions = home(&operation.api).and_then(|package| served.get(package));
        if functions.is_some_and(|functions| functions.contains(&snake_case(&operation.id))) {
            *here += 1;
        } else if options.missing {
            let Operation {
                api,
                page,
                method,
                path,
                id,
            } = &operation;
            println!("missing: {api} {page} {id} ({method} {path})");
        }
    }
    let mut sum = (0, 0);
    for (api, (here, all)) in &counts {
        println!("{api:<22} {here:>4} of {all:>3}");
        sum = (sum.0 + here, sum.1 + all);
    }
    println!("{:<22} {:>4} of {:>3} operations served", "all", sum.0, sum.1);
    Ok(())
}

/// The crate whose functions serve an API; some operations bear the same name in two of them.
fn home(api: &str) -> Option<&'static str> {
    match api {
        "client-server" => Some("gatehouse-client-api"),
        "server-server" => Some("gatehouse-federation-api"),
        "identity" => Some("gatehouse-identity-api"),
        _ => None,
    }
}

/// The functions of each `*-api` crate.
fn served(workspace: &Workspace) -> Result<BTreeMap<&str, BTreeSet<String>>> {
    let mut served = BTreeMap::new();
    for package in workspace
        .packages
        .values()
        .filter(|package| package.name.ends_with("-api"))
    {
        let names: &mut BTreeSet<String> = served.entry(package.name.as_str()).or_default();
        for file in rust_files(&package.folder().join("src"))? {
            names.extend(functions(&fs::read_to_string(file)?));
        }
    }
    Ok(served)
}

/// The lines that name an operation; the legacy pages have none and are tested by path instead. An operation that
/// stands on two paths counts once.
fn operations(list: &str) -> Vec<Operation> {
    let mut seen = BTreeSet::new();
    list.lines()
        .skip(1)
        .filter_map(|line| {
            let mut fields = line.split(',').map(str::to_owned);
            let (api, page, method) = (fields.next()?, fields.next()?, fields.next()?);
            let (path, id) = (fields.next()?, fields.next()?);
            Some(Operation {
                api,
                page,
                method,
                path,
                id,
            })
        })
        .filter(|operation| !operation.id.is_empty())
        .filter(|operation| seen.insert((operation.api.clone(), operation.id.clone())))
        .collect()
}

/// Names after `fn `.
fn functions(source: &str) -> Vec<String> {
    source
        .lines()
        .filter_map(|line| line.split_once("fn ").map(|(_, rest)| rest))
        .map(|rest| {
            rest.chars()
                .take_while(|character| character.is_alphanumeric() || *character == '_')
                .collect()
        })
        .collect()
}

/// `joinRoomById` to `join_room_by_id`; a run of capitals is one word, as in `getOneTimeURL`, and so is `3PID`. The
/// identity service's operations end in `V2`, which says of their functions nothing that the path does not.
fn snake_case(id: &str) -> String {
    let id = id.strip_suffix("V2").unwrap_or(id);
    let id = id
        .replace("3PID", "_3pid")
        .replace("3pid", "_3pid")
        .replace("__", "_");
    let characters: Vec<char> = id.chars().collect();
    let mut name = String::new();
    for (index, character) in characters.iter().enumerate() {
        let after_small = index > 0
            && characters
                .get(index - 1)
                .is_some_and(|before| !before.is_uppercase());
        let before_small = characters
            .get(index + 1)
            .is_some_and(|after| after.is_lowercase());
        if character.is_uppercase() && index > 0 && (after_small || before_small) && !name.ends_with('_') {
            name.push('_');
        }
        if *character == '-' {
            name.push('_');
        } else {
            name.extend(character.to_lowercase());
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_id_is_a_function_name() {
        for (id, name) in [
            ("joinRoomById", "join_room_by_id"),
            ("sync", "sync"),
            ("getRoomIdByAlias", "get_room_id_by_alias"),
            ("queryUserByID", "query_user_by_id"),
            ("getURLPreview", "get_url_preview"),
            ("getAccount3PIDs", "get_account_3pids"),
            ("requestTokenTo3PIDEmail", "request_token_to_3pid_email"),
            ("delete3pidFromAccount", "delete_3pid_from_account"),
            ("getValidated3pidV2", "get_validated_3pid"),
            ("bindV2", "bind"),
        ] {
            assert_eq!(snake_case(id), name);
        }
    }

    #[test]
    fn an_operation_on_two_paths_counts_once() {
        let list =
            "header\ncs,a.yaml,GET,/a,getA,none,no,,\ncs,a.yaml,GET,/a/,getA,none,no,,\ncs,b,GET,/b,,,,,\n";
        assert_eq!(operations(list).len(), 1);
    }

    #[test]
    fn functions_are_found_by_name() {
        assert_eq!(
            functions("pub(crate) async fn join_room(\n    fn b<T>() {}"),
            ["join_room", "b"]
        );
    }
}
