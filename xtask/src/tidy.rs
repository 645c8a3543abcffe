//! `cargo xtask tidy`: the rules of the house, read from `cargo metadata` and the sources.
//!
//! Every rule is one file and one function from what is there to a list of complaints. The rules are listed, in
//! words, in ARCHITECTURE.md under "Invariants".

mod budgets;
mod layers;
mod module_cycles;
mod paths;
mod reach;
mod rust;
mod source;
mod statics;
mod tables;
mod words;

use anyhow::{Result, bail};

use crate::{tidy::source::Source, workspace::Workspace};

/// One broken rule: where, and what to do about it.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Complaint {
    place: String,
    what: String,
}

impl Complaint {
    fn new(place: impl Into<String>, what: impl Into<String>) -> Self {
        Self {
            place: place.into(),
            what: what.into(),
        }
    }
}

pub(crate) fn run() -> Result<()> {
    let workspace = Workspace::load()?;
    let sources = source::load(&workspace)?;
    let mut complaints = layers::check(&workspace);
    complaints.extend(reach::check(&sources));
    complaints.extend(tables::check(&sources));
    complaints.extend(budgets::check(&sources));
    complaints.extend(module_cycles::check(&sources));
    complaints.extend(statics::check(&sources));
    complaints.extend(words::check_sources(&workspace, &sources));
    complaints.extend(words::check_texts(&workspace.root)?);
    complaints.sort();
    println!("{}", summary(&sources));
    if complaints.is_empty() {
        println!("tidy: all rules hold");
        return Ok(());
    }
    for complaint in &complaints {
        println!("{}: {}", complaint.place, complaint.what);
    }
    bail!("tidy: {} complaints", complaints.len())
}

fn summary(sources: &[Source]) -> String {
    let production: Vec<&Source> = sources.iter().filter(|source| source.is_production()).collect();
    let mut lengths: Vec<usize> = production
        .iter()
        .map(|source| source.production_lines())
        .collect();
    lengths.sort_unstable();
    let total: usize = lengths.iter().sum();
    format!(
        "tidy: {} production files of {} lines, median {}, p95 {}, longest {}",
        lengths.len(),
        total,
        budgets::percentile(&lengths, 50),
        budgets::percentile(&lengths, 95),
        lengths.last().copied().unwrap_or_default()
    )
}
