//! The sources as the rules see them: tokens by file, with test code told apart.

use std::fs;

use anyhow::{Context, Result};

use crate::{
    tidy::rust::{self, Token},
    workspace::{Workspace, rust_files},
};

/// One Rust file of the workspace.
pub(crate) struct Source {
    /// The crate's folder name: `rooms` for `gatehouse-rooms`.
    pub(crate) krate: String,
    /// From the workspace's root, with `/`.
    pub(crate) path: String,
    /// From the package's folder, with `/`: `src/membership/join.rs`.
    pub(crate) local: String,
    pub(crate) text: String,
    /// What is compiled outside tests.
    pub(crate) tokens: Vec<Token>,
    test_lines: usize,
}

impl Source {
    /// Build from text; `path` and `local` as in the fields.
    pub(crate) fn new(krate: &str, path: &str, local: &str, text: String) -> Self {
        let (tokens, test_lines) = without_tests(&rust::tokens(&text));
        Self {
            krate: krate.to_owned(),
            path: path.to_owned(),
            local: local.to_owned(),
            text,
            tokens,
            test_lines,
        }
    }

    /// Code of a crate, not of a test, a benchmark or an example.
    pub(crate) fn is_production(&self) -> bool {
        self.path.starts_with("crates/") && !self.is_test()
    }

    /// Compiled for tests only.
    pub(crate) fn is_test(&self) -> bool {
        !self.local.starts_with("src/")
            || self.local.ends_with("/tests.rs")
            || self.local.contains("/tests/")
            || self.local.ends_with("_tests.rs")
    }

    /// Lines outside `#[cfg(test)]` items.
    pub(crate) fn production_lines(&self) -> usize {
        self.text.lines().count().saturating_sub(self.test_lines)
    }

    /// The path of the module that this file is: `membership::join`; `None` for the crate's root.
    pub(crate) fn module(&self) -> Option<Vec<String>> {
        let inner = self.local.strip_prefix("src/")?.strip_suffix(".rs")?;
        if matches!(inner, "lib" | "main") {
            return None;
        }
        Some(inner.split('/').map(str::to_owned).collect())
    }

    /// How a complaint names a line of this file.
    pub(crate) fn place(&self, line: usize) -> String {
        format!("{}:{line}", self.path)
    }
}

/// Every Rust file of every package.
pub(crate) fn load(workspace: &Workspace) -> Result<Vec<Source>> {
    let mut sources = Vec::new();
    for package in workspace.packages.values() {
        let folder = package.folder();
        let krate = folder
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or(&package.name)
            .to_owned();
        for part in ["src", "tests", "benches", "examples"] {
            for file in rust_files(&folder.join(part))? {
                let text =
                    fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
                let shown = |base| {
                    file.strip_prefix(base)
                        .unwrap_or(&file)
                        .to_string_lossy()
                        .replace('\\', "/")
                };
                sources.push(Source::new(
                    &krate,
                    &shown(workspace.root.as_path()),
                    &shown(folder),
                    text,
                ));
            }
        }
    }
    Ok(sources)
}

/// Cut out every item under `#[cfg(test)]`; also says how many lines they are.
fn without_tests(tokens: &[Token]) -> (Vec<Token>, usize) {
    let mut kept = Vec::with_capacity(tokens.len());
    let mut lines = 0;
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        if is_cfg_test(tokens, at) {
            let end = end_of_item(tokens, rust::after_closing(tokens, at + 1));
            let last = tokens
                .get(end.saturating_sub(1))
                .map_or(token.line, |token| token.line);
            lines += last + 1 - token.line;
            at = end;
        } else {
            kept.push(token.clone());
            at += 1;
        }
    }
    (kept, lines)
}

fn is_cfg_test(tokens: &[Token], at: usize) -> bool {
    let is = |ahead: usize, check: &dyn Fn(&Token) -> bool| tokens.get(at + ahead).is_some_and(check);
    is(0, &|token| token.is_mark('#'))
        && is(1, &|token| token.is_mark('['))
        && is(2, &|token| token.is_word("cfg"))
        && is(3, &|token| token.is_mark('('))
        && is(4, &|token| token.is_word("test"))
        && is(5, &|token| token.is_mark(')'))
}

/// The index after an item: its `;`, or its closing brace.
fn end_of_item(tokens: &[Token], start: usize) -> usize {
    let mut at = start;
    while let Some(token) = tokens.get(at) {
        if token.is_mark(';') {
            return at + 1;
        }
        if token.is_mark('{') {
            return rust::after_closing(tokens, at);
        }
        at = if token.is_mark('(') || token.is_mark('[') {
            rust::after_closing(tokens, at)
        } else {
            at + 1
        };
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_modules_are_not_production() {
        let text = "fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() {}\n}\nfn c() {}\n";
        let source = Source::new("rooms", "crates/rooms/src/a.rs", "src/a.rs", text.to_owned());
        assert_eq!(source.production_lines(), 2);
        assert!(source.tokens.iter().any(|token| token.is_word("c")));
        assert!(!source.tokens.iter().any(|token| token.is_word("b")));
    }

    #[test]
    fn a_file_is_a_module() {
        let source = Source::new("rooms", "crates/rooms/src/a/b.rs", "src/a/b.rs", String::new());
        assert_eq!(source.module(), Some(vec!["a".to_owned(), "b".to_owned()]));
        assert!(source.is_production());
    }
}
