//! `cargo xtask docs`: `docs/configuration.md`, written from the comments of `crates/server/src/config.rs`.
//!
//! The page cannot lie about a key's name, meaning or default, because it is made from them. `cargo xtask ci` fails
//! when the page is not what would be written.

use std::{fmt::Write as _, fs, path::Path};

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::workspace::{Workspace, rust_files};

const SOURCE: &str = "crates/server/src/config.rs";
const RATES: &str = "crates/http/src/rate_limits.rs";
const PAGE: &str = "docs/configuration.md";

/// Marks keys that are understood and have no effect yet.
const TO_COME: &str = "To come.";

/// What the page begins with.
const HEAD: &str = "# Configuration

Written by `cargo xtask docs` from the comments in `crates/server/src/config.rs`; do not edit.

Gatehouse needs no configuration to run on one machine. `gatehouse init` writes a commented `gatehouse.toml`;
`gatehouse serve --config gatehouse.toml` (or `GATEHOUSE_CONFIG`) reads it.

- Any key can also come from the environment: `GATEHOUSE__TABLE__KEY`, for example `GATEHOUSE__LOG__LEVEL=debug`. The
  command line wins over the environment, and the environment over the file.
- An unknown key is an error that names the file, the line and the nearest known key.
- Secrets can stand in a file of their own: the key with `_file` at its end.
";

/// What to do with the page.
#[derive(Args, Default)]
pub(crate) struct Options {
    /// Change nothing; fail when the page is not up to date
    #[arg(long)]
    pub(crate) check: bool,
}

/// One key.
#[derive(Debug, PartialEq, Eq)]
struct Key {
    name: String,
    default: String,
    meaning: String,
}

/// One table of the file, such as `[database]`; the top level has no name.
#[derive(Debug, PartialEq, Eq)]
struct Section {
    name: String,
    keys: Vec<Key>,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let root = Workspace::load()?.root;
    let source = fs::read_to_string(root.join(SOURCE)).with_context(|| format!("reading {SOURCE}"))?;
    let rates = fs::read_to_string(root.join(RATES)).with_context(|| format!("reading {RATES}"))?;
    let rates = default_rates(&rates);
    let mut sections = sections(&source);
    for section in &mut sections {
        for key in &mut section.keys {
            key.default = match rates
                .iter()
                .find(|(name, _)| section.name == "[rate_limits]" && *name == key.name)
            {
                Some((_, rate)) => format!("`{rate}`"),
                None => shown_default(&root, &key.default)?,
            };
        }
    }
    let page = page(&sections);
    let path = root.join(PAGE);
    if fs::read_to_string(&path).is_ok_and(|present| present == page) {
        println!("{PAGE} is up to date");
        return Ok(());
    }
    if options.check {
        bail!("{PAGE} is not up to date: run `cargo xtask docs`");
    }
    fs::write(path, page)?;
    println!("{PAGE} written");
    Ok(())
}

/// Read the structures line by line: they are plain, and rustfmt keeps them so.
fn sections(source: &str) -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    let mut comment: Vec<&str> = Vec::new();
    let mut open: Option<Section> = None;
    for line in source.lines().map(str::trim) {
        if let Some(text) = line.strip_prefix("///") {
            comment.push(text.trim());
        } else if line.starts_with("#[") {
            // Attributes stand between a comment and its item.
        } else if line.starts_with('}') {
            sections.extend(open.take());
            comment.clear();
        } else if let Some(section) = &mut open {
            section.keys.extend(key(line, &comment.join(" ")));
            comment.clear();
        } else if line.ends_with('{') && !line.starts_with("table!") {
            open = section_name(line, comment.first().copied().unwrap_or_default()).map(|name| Section {
                name,
                keys: Vec::new(),
            });
            comment.clear();
        }
    }
    for (name, default) in top_level_defaults(source) {
        let top = sections.iter_mut().find(|section| section.name.is_empty());
        let key = top.and_then(|section| section.keys.iter_mut().find(|key| key.name == name));
        if let Some(key) = key {
            key.default = default;
        }
    }
    // Tables are described by their own sections.
    let named: Vec<String> = sections
        .iter()
        .map(|section| bare(&section.name).to_owned())
        .collect();
    for section in sections.iter_mut().filter(|section| section.name.is_empty()) {
        section
            .keys
            .retain(|key| !named.contains(&key.name) && !key.default.starts_with("toml::"));
    }
    sections
}

/// Whether a brace opens a table of the file, and which: the comment says it in its first line.
fn section_name(line: &str, comment: &str) -> Option<String> {
    if line.starts_with("pub struct Config ") {
        return Some(String::new());
    }
    let named = comment.strip_prefix("One of ").unwrap_or(comment);
    let name = named.strip_prefix('`')?.split('`').next()?;
    let of_rates = line.contains("RateConfig");
    let name = if of_rates {
        format!("{name}, each limit")
    } else {
        name.to_owned()
    };
    name.starts_with('[').then_some(name)
}

fn bare(name: &str) -> &str {
    name.trim_start_matches('[').trim_end_matches(']')
}

/// `name: Type = default,` or `pub name: Type,`.
fn key(line: &str, meaning: &str) -> Option<Key> {
    let line = line.strip_prefix("pub ").unwrap_or(line).strip_suffix(',')?;
    let (name, rest) = line.split_once(": ")?;
    let plain = if rest.starts_with("Option<") {
        "None"
    } else {
        "required"
    };
    let default = rest.split_once(" = ").map_or(plain, |(_, default)| default);
    Some(Key {
        name: name.to_owned(),
        default: default.to_owned(),
        meaning: meaning.to_owned(),
    })
}

/// The defaults of the top level, which are in `impl Default for Config`.
fn top_level_defaults(source: &str) -> Vec<(String, String)> {
    source
        .lines()
        .skip_while(|line| !line.starts_with("impl Default for Config"))
        .take_while(|line| !line.starts_with('}'))
        .filter_map(|line| line.trim().strip_suffix(',')?.split_once(": "))
        .map(|(name, default)| (name.to_owned(), default.to_owned()))
        .collect()
}

/// The rates that hold when none is configured, by key; the first of a key's limits is its main one.
fn default_rates(source: &str) -> Vec<(String, String)> {
    let figures = |variant: &str| {
        let arms = source.lines().filter_map(|line| line.split_once(" => ("));
        let mut arms = arms.filter(|(patterns, _)| patterns.split('|').any(|one| one.trim() == variant));
        let (per_second, burst) = arms.next()?.1.split_once(')')?.0.split_once(", ")?;
        Some(format!("{{ per_second = {per_second}, burst = {burst} }}"))
    };
    let mut rates: Vec<(String, String)> = Vec::new();
    for line in source
        .lines()
        .filter_map(|line| line.trim().strip_prefix('(')?.strip_suffix("\"),"))
    {
        if let Some((variant, key)) = line.split_once(", \"")
            && !rates.iter().any(|(other, _)| other == key)
        {
            rates.extend(figures(variant).map(|rate| (key.to_owned(), rate)));
        }
    }
    rates
}

/// A default as one would write it in the file.
fn shown_default(root: &Path, default: &str) -> Result<String> {
    let plain = default.trim_end_matches(".to_owned()");
    if let Some(constant) = plain.strip_prefix("gatehouse_") {
        let (krate, expression) = constant.split_once("::").context("a constant of a crate")?;
        let (name, shift) = expression.split_once(" >> ").unwrap_or((expression, "0"));
        let value =
            number(&constant_of(root, krate, name)?).with_context(|| format!("the value of {name}"))?;
        return Ok(format!("`{}`", value >> shift.trim().parse::<u32>()?));
    }
    Ok(match plain {
        "None" => "unset".to_owned(),
        "String::new()" => "`\"\"`".to_owned(),
        "Vec::new()" => "`[]`".to_owned(),
        "toml::Table::new()" => "empty".to_owned(),
        "required" => "required".to_owned(),
        _ => match number(plain) {
            Some(value) => format!("`{value}`"),
            None => format!("`{}`", as_toml(plain)),
        },
    })
}

/// `PathBuf::from("a")` is `"a"`, `LogFormat::Auto` is `"auto"`, `vec![…]` is `[…]`.
fn as_toml(expression: &str) -> String {
    if let Some(inner) = expression
        .strip_prefix("vec![")
        .and_then(|rest| rest.strip_suffix(']'))
    {
        let items: Vec<String> = inner
            .split(", ")
            .map(|item| as_toml(item.trim_end_matches(".to_owned()")))
            .collect();
        return format!("[{}]", items.join(", "));
    }
    if let Some(inner) = expression
        .strip_prefix("PathBuf::from(")
        .and_then(|rest| rest.strip_suffix(')'))
    {
        return inner.to_owned();
    }
    match expression.split_once("::") {
        Some((_, variant)) => format!("\"{}\"", variant.to_lowercase()),
        None => expression.to_owned(),
    }
}

/// `86_400`, `50 << 20`.
fn number(text: &str) -> Option<u64> {
    let digits = |text: &str| text.trim().replace('_', "").parse::<u64>().ok();
    match text.split_once("<<") {
        Some((left, right)) => digits(left)?.checked_shl(u32::try_from(digits(right)?).ok()?),
        None => digits(text),
    }
}

fn constant_of(root: &Path, krate: &str, name: &str) -> Result<String> {
    let folder = root.join("crates").join(krate.replace('_', "-")).join("src");
    let sign = format!("pub const {name}: ");
    for file in rust_files(&folder)? {
        let text = fs::read_to_string(file)?;
        if let Some((_, value)) = text
            .lines()
            .find_map(|line| line.strip_prefix(&sign)?.split_once(" = "))
        {
            return Ok(value.trim_end_matches(';').to_owned());
        }
    }
    bail!("no constant {name} in {}", folder.display())
}

fn page(sections: &[Section]) -> String {
    let mut page = HEAD.to_owned();
    let mut later = String::new();
    for section in sections {
        let (now, to_come): (Vec<&Key>, Vec<&Key>) =
            section.keys.iter().partition(|key| !is_to_come(section, key));
        let title = if section.name.is_empty() {
            "At the top"
        } else {
            &section.name
        };
        write_keys(&mut page, title, &now);
        for key in to_come {
            // Writing to a string does not fail.
            let meaning = key.meaning.replace(TO_COME, "");
            let _ = writeln!(
                later,
                "| `{}` | `{}` | {} |",
                section.name,
                key.name,
                meaning.trim()
            );
        }
    }
    page.push_str("\n## Understood, without effect yet\n\n");
    page.push_str(
        "These belong to features that are still to come. Their names are fixed, so that a configuration\n",
    );
    page.push_str("can already have them.\n\n| table | key | meaning |\n|---|---|---|\n");
    page.push_str(&later);
    page
}

/// Tables whose features are still to come.
const LATER: &[&str] = &["[media]", "[app_services]", "[cas]", "[turn]"];

fn is_to_come(section: &Section, key: &Key) -> bool {
    key.meaning.contains(TO_COME) || LATER.contains(&section.name.as_str())
}

fn write_keys(page: &mut String, title: &str, keys: &[&Key]) {
    if keys.is_empty() {
        return;
    }
    let title = if title.starts_with('[') {
        format!("`{title}`")
    } else {
        title.to_owned()
    };
    let _ = writeln!(page, "\n## {title}\n\n| key | default | meaning |\n|---|---|---|");
    for key in keys {
        let _ = writeln!(page, "| `{}` | {} | {} |", key.name, key.default, key.meaning);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = r#"
/// The whole.
pub struct Config {
    /// The name.
    pub server_name: String,
    /// Where.
    pub database: Database,
}
impl Default for Config {
    fn default() -> Self {
        Self {
            server_name: "localhost".to_owned(),
        }
    }
}
table! {
    /// `[database]`
    Database {
        /// Empty: embedded;
        /// else a URL.
        url: String = String::new(),
        /// Bytes.
        cache: u64 = 50 << 20,
    }
}
"#;

    #[test]
    fn keys_are_read_with_meaning_and_default() {
        let sections = sections(SOURCE);
        let names: Vec<(&str, Vec<&str>)> = sections
            .iter()
            .map(|section| {
                (
                    section.name.as_str(),
                    section.keys.iter().map(|key| key.name.as_str()).collect(),
                )
            })
            .collect();
        assert_eq!(
            names,
            [("", vec!["server_name"]), ("[database]", vec!["url", "cache"])]
        );
        assert_eq!(sections[1].keys[0].meaning, "Empty: embedded; else a URL.");
        assert_eq!(sections[0].keys[0].default, "\"localhost\".to_owned()");
    }

    #[test]
    fn rates_are_found_by_key() {
        let source = "(Self::Login, \"login\"),\n(Self::LoginFailed, \"login\"),\nSelf::Login | Self::Other => (0.1, 20),\n\
                      Self::LoginFailed => (0.05, 5),";
        let rate = "{ per_second = 0.1, burst = 20 }".to_owned();
        assert_eq!(default_rates(source), [("login".to_owned(), rate)]);
    }

    #[test]
    fn defaults_are_shown_as_in_the_file() {
        for (expression, shown) in [
            ("String::new()", "`\"\"`"),
            ("50 << 20", "`52428800`"),
            ("86_400", "`86400`"),
            ("None", "unset"),
            ("LogFormat::Auto", "`\"auto\"`"),
            ("vec![Api::Client, Api::Admin]", "`[\"client\", \"admin\"]`"),
            ("PathBuf::from(\"gatehouse-data\")", "`\"gatehouse-data\"`"),
            ("true", "`true`"),
        ] {
            assert_eq!(shown_default(Path::new("."), expression).unwrap(), shown);
        }
    }
}
