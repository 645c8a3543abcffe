//! Words that do not belong: nothing-saying names, postponed work, silenced lints, other people's machines.

use std::{fs, path::Path};

use anyhow::Result;

use crate::{
    process,
    tidy::{Complaint, source::Source},
    workspace::Workspace,
};

/// Names that say nothing of what is inside.
const EMPTY_NAMES: &[&str] = &[
    "util", "utils", "helper", "helpers", "manager", "managers", "core", "common", "misc", "service",
    "services",
];

/// Written in halves, so that this file does not complain of itself.
const POSTPONED: &[&str] = &[concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X:")];

/// Package registries; the ordinary clients know where they are.
const REGISTRIES: &[&str] = &[
    concat!("crates", ".io"),
    concat!("pypi", ".org"),
    concat!("pythonhosted", ".org"),
    concat!("npmjs", ".org"),
    concat!("npmjs", ".com"),
    concat!("deb.debian", ".org"),
];

/// Folders of one person's machine.
const MACHINE_FOLDERS: &[&str] = &[
    concat!("/wo", "rk/"),
    concat!("/ro", "ot/"),
    concat!("/ho", "me/"),
];

/// Written by cargo, which names its registry in it.
const GENERATED: &[&str] = &["Cargo.lock"];

pub(crate) fn check_sources(workspace: &Workspace, sources: &[Source]) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    for name in workspace.packages.keys() {
        let bare = name.strip_prefix("gatehouse-").unwrap_or(name);
        if EMPTY_NAMES.contains(&bare) {
            complaints.push(Complaint::new(
                name,
                "the name says nothing of what the crate is for",
            ));
        }
    }
    for source in sources {
        complaints.extend(check_source(source));
    }
    complaints
}

fn check_source(source: &Source) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    if source.local.ends_with("/mod.rs") {
        complaints.push(Complaint::new(
            &source.path,
            "no mod.rs: the file stands beside its folder",
        ));
    }
    let stem = source
        .local
        .rsplit('/')
        .next()
        .and_then(|name| name.strip_suffix(".rs"))
        .unwrap_or_default();
    if EMPTY_NAMES.contains(&stem) {
        complaints.push(Complaint::new(
            &source.path,
            "the name says nothing of what the module is for",
        ));
    }
    for (index, token) in source
        .tokens
        .iter()
        .enumerate()
        .filter(|(_, token)| token.is_word("allow"))
    {
        let before = |back: usize| index.checked_sub(back).and_then(|at| source.tokens.get(at));
        if before(1).is_some_and(|token| token.is_mark('['))
            && before(2).is_some_and(|token| token.is_mark('#'))
        {
            let advice = "a lint is answered, or met with #[expect(…, reason = \"…\")]";
            complaints.push(Complaint::new(source.place(token.line), advice));
        }
    }
    complaints
}

/// Look at every text file that git knows.
pub(crate) fn check_texts(root: &Path) -> Result<Vec<Complaint>> {
    let mut list = std::process::Command::new("git");
    list.current_dir(root)
        .args(["ls-files", "--cached", "--others", "--exclude-standard", "-z"]);
    let output = process::run_quietly(&mut list)?;
    let mut complaints = Vec::new();
    for path in String::from_utf8_lossy(&output.stdout).split('\0') {
        if path.is_empty() || GENERATED.contains(&path) {
            continue;
        }
        // A file that is not text, or that was just removed, has no words.
        if let Ok(text) = fs::read_to_string(root.join(path)) {
            complaints.extend(check_text(path, &text));
        }
    }
    Ok(complaints)
}

fn check_text(path: &str, text: &str) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let mut complain = |what: &str| {
            complaints.push(Complaint::new(format!("{path}:{}", index + 1), what));
        };
        if POSTPONED.iter().any(|word| contains_word(line, word)) {
            complain("postponed work: do it, or open an issue");
        }
        if REGISTRIES.iter().any(|host| line.contains(host)) {
            complain("names a package registry's host");
        }
        if MACHINE_FOLDERS.iter().any(|folder| starts_a_path(line, folder)) {
            complain("names a folder of one machine");
        }
    }
    complaints
}

fn contains_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line.get(..at).and_then(|text| text.chars().next_back());
        let after = line.get(at + word.len()..).and_then(|text| text.chars().next());
        !before.is_some_and(char::is_alphanumeric) && !after.is_some_and(char::is_alphanumeric)
    })
}

/// Whether the folder is at the start of a path, not in the middle of a URL.
fn starts_a_path(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(at, _)| {
        let before = line.get(..at).and_then(|text| text.chars().next_back());
        !before.is_some_and(|character| {
            character.is_alphanumeric() || matches!(character, '.' | '}' | '_' | '-')
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn postponed_work_is_found_as_a_word() {
        assert_eq!(check_text("a", concat!("// TO", "DO: later")).len(), 1);
        assert!(check_text("a", concat!("MASTO", "DON TO", "DOS")).is_empty());
    }

    #[test]
    fn machines_and_registries_are_not_named() {
        assert_eq!(check_text("a", concat!("cd /wo", "rk/main")).len(), 1);
        assert_eq!(check_text("a", concat!("https://crates", ".io/")).len(), 1);
        assert!(check_text("a", concat!("https://example.org/wo", "rk/main")).is_empty());
    }

    #[test]
    fn a_silenced_lint_is_found() {
        let source = Source::new(
            "rooms",
            "crates/rooms/src/a.rs",
            "src/a.rs",
            "#[allow(dead_code)]".to_owned(),
        );
        assert_eq!(check_source(&source).len(), 1);
    }

    #[test]
    fn empty_names_are_found() {
        let source = Source::new(
            "rooms",
            "crates/rooms/src/utils.rs",
            "src/utils.rs",
            String::new(),
        );
        assert_eq!(check_source(&source).len(), 1);
    }
}
