//! Modules of a crate that need each other in a circle cannot be read one after the other.
//!
//! A module is a file; the crate's root only gathers. A name that the root re-exports counts as the module it
//! comes from, so that `use crate::Thing` hides nothing. `tables.rs` only gathers too: it puts names on rows that are
//! described beside the code that writes them.

use std::collections::{BTreeMap, BTreeSet};

use crate::tidy::{Complaint, paths::paths, source::Source};

/// The first two layers have no circles at all.
const WITHOUT_CIRCLES: &[&str] = &["events", "store", "store-embedded", "store-postgres"];

/// Above them a circle of this many modules is borne.
const LARGEST_CIRCLE: usize = 3;

/// The module whose needs do not count.
const GATHERS: &str = "tables";

type Module = Vec<String>;
type Graph = BTreeMap<Module, BTreeSet<Module>>;

pub(crate) fn check(sources: &[Source]) -> Vec<Complaint> {
    let mut crates: BTreeMap<&str, Vec<&Source>> = BTreeMap::new();
    for source in sources.iter().filter(|source| source.is_production()) {
        crates.entry(&source.krate).or_default().push(source);
    }
    let mut complaints = Vec::new();
    for (krate, sources) in crates {
        let limit = if WITHOUT_CIRCLES.contains(&krate) {
            1
        } else {
            LARGEST_CIRCLE
        };
        for circle in circles(&graph(&sources)) {
            if circle.len() > limit {
                let names: Vec<String> = circle.iter().map(|module| module.join("::")).collect();
                complaints.push(Complaint::new(
                    format!("crates/{krate}"),
                    format!(
                        "{} modules need each other in a circle: {}",
                        circle.len(),
                        names.join(", ")
                    ),
                ));
            }
        }
    }
    complaints
}

fn graph(sources: &[&Source]) -> Graph {
    let modules: BTreeSet<Module> = sources.iter().filter_map(|source| source.module()).collect();
    let exports = root_exports(sources, &modules);
    let mut graph = Graph::new();
    for source in sources {
        let Some(own) = source.module() else { continue };
        let edges = graph.entry(own.clone()).or_default();
        if own == [GATHERS] {
            continue;
        }
        for path in paths(&source.tokens) {
            if let Some(target) = absolute(&own, &path.segments)
                && let Some(module) = owner(&target, &modules, &exports)
                && module != own
            {
                edges.insert(module);
            }
        }
    }
    graph
}

/// What the crate's root re-exports: name to the module it comes from.
fn root_exports(sources: &[&Source], modules: &BTreeSet<Module>) -> BTreeMap<String, Module> {
    let mut exports = BTreeMap::new();
    for source in sources.iter().filter(|source| source.local == "src/lib.rs") {
        for path in paths(&source.tokens) {
            let inner = match path.segments.first().map(String::as_str) {
                Some("self" | "crate") => path.segments.iter().skip(1).cloned().collect(),
                _ => path.segments.clone(),
            };
            if let (Some(name), Some(module)) = (inner.last().cloned(), longest_prefix(&inner, modules)) {
                exports.insert(name, module);
            }
        }
    }
    exports
}

/// A path from the crate's root, for a path that stays in the crate.
fn absolute(own: &[String], segments: &[String]) -> Option<Vec<String>> {
    let first = segments.first()?.as_str();
    if first == "crate" {
        return Some(segments.iter().skip(1).cloned().collect());
    }
    if first == "self" {
        return Some(own.iter().chain(segments.iter().skip(1)).cloned().collect());
    }
    if first != "super" {
        return None;
    }
    let ups = segments
        .iter()
        .take_while(|segment| segment.as_str() == "super")
        .count();
    let base = own.len().checked_sub(ups)?;
    Some(
        own.iter()
            .take(base)
            .chain(segments.iter().skip(ups))
            .cloned()
            .collect(),
    )
}

fn owner(
    target: &[String],
    modules: &BTreeSet<Module>,
    exports: &BTreeMap<String, Module>,
) -> Option<Module> {
    longest_prefix(target, modules).or_else(|| exports.get(target.first()?).cloned())
}

fn longest_prefix(target: &[String], modules: &BTreeSet<Module>) -> Option<Module> {
    (1..=target.len())
        .rev()
        .map(|length| target.iter().take(length).cloned().collect::<Module>())
        .find(|prefix| modules.contains(prefix))
}

/// The sets of modules that reach each other, largest first; single modules are none.
fn circles(graph: &Graph) -> Vec<Vec<Module>> {
    let reach: BTreeMap<&Module, BTreeSet<&Module>> = graph
        .keys()
        .map(|module| (module, reachable(graph, module)))
        .collect();
    let mut seen: BTreeSet<&Module> = BTreeSet::new();
    let mut circles = Vec::new();
    for (module, reached) in &reach {
        if seen.contains(module) || !reached.contains(module) {
            continue;
        }
        let circle: Vec<&Module> = reached
            .iter()
            .copied()
            .filter(|other| reach.get(other).is_some_and(|back| back.contains(module)))
            .collect();
        seen.extend(circle.iter().copied());
        circles.push(circle.into_iter().cloned().collect::<Vec<Module>>());
    }
    circles.sort_by_key(|circle| std::cmp::Reverse(circle.len()));
    circles
}

fn reachable<'graph>(graph: &'graph Graph, from: &Module) -> BTreeSet<&'graph Module> {
    let mut reached = BTreeSet::new();
    let mut waiting: Vec<&Module> = graph.get(from).into_iter().flatten().collect();
    while let Some(module) = waiting.pop() {
        if reached.insert(module) {
            waiting.extend(graph.get(module).into_iter().flatten());
        }
    }
    reached
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaints(krate: &str, files: &[(&str, &str)]) -> usize {
        let sources: Vec<Source> = files
            .iter()
            .map(|(local, text)| {
                Source::new(
                    krate,
                    &format!("crates/{krate}/src/{local}"),
                    &format!("src/{local}"),
                    (*text).to_owned(),
                )
            })
            .collect();
        check(&sources).len()
    }

    #[test]
    fn two_modules_of_the_store_may_not_need_each_other() {
        let files = [("a.rs", "use crate::b::B;"), ("b.rs", "use crate::a::A;")];
        assert_eq!(complaints("store", &files), 1);
        assert_eq!(complaints("rooms", &files), 0);
    }

    #[test]
    fn a_re_export_does_not_hide_a_circle() {
        let files = [
            ("lib.rs", "mod a; mod b; pub use self::{a::A, b::B};"),
            ("a.rs", "use crate::B;"),
            ("b.rs", "use crate::A;"),
        ];
        assert_eq!(complaints("store", &files), 1);
    }

    #[test]
    fn a_parent_and_its_child_are_a_circle_too() {
        let files = [("a.rs", "mod b; use self::b::B;"), ("a/b.rs", "use super::A;")];
        assert_eq!(complaints("store", &files), 1);
    }

    #[test]
    fn the_list_of_tables_makes_no_circle() {
        let files = [
            ("tables.rs", "use crate::a::Row;"),
            ("a.rs", "use crate::tables::A;"),
        ];
        assert_eq!(complaints("store", &files), 0);
    }

    #[test]
    fn a_chain_is_no_circle() {
        let files = [
            ("a.rs", "use crate::b::B;"),
            ("b.rs", "use super::c::C;"),
            ("c.rs", ""),
        ];
        assert_eq!(complaints("store", &files), 0);
    }

    #[test]
    fn four_modules_in_a_circle_are_too_many_anywhere() {
        let files = [
            ("a.rs", "use crate::b::B;"),
            ("b.rs", "use crate::c::C;"),
            ("c.rs", "use crate::d::D;"),
            ("d.rs", "use crate::a::A;"),
        ];
        assert_eq!(complaints("rooms", &files), 1);
    }
}
