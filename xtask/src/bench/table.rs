//! The reports as Markdown: one line a phase, the servers side by side.

use std::{collections::BTreeMap, fmt::Write as _};

use crate::bench::{Phase, Report};

const OURS: &str = "gatehouse";

pub(crate) fn table(reports: &BTreeMap<&str, Report>) -> String {
    let mut text = String::new();
    let Some(ours) = reports.get(OURS) else {
        return text;
    };
    let others: Vec<(&str, &Report)> = reports
        .iter()
        .filter(|(name, _)| **name != OURS)
        .map(|(name, report)| (*name, report))
        .collect();
    // Writing to a string does not fail.
    let _ = phases(&mut text, ours, &others);
    let _ = figures(&mut text, ours, &others);
    text
}

fn phases(text: &mut String, ours: &Report, others: &[(&str, &Report)]) -> std::fmt::Result {
    write!(
        text,
        "| operation | at once | count | a second | p50 ms | p99 ms | server CPU ms |"
    )?;
    for (name, _) in others {
        write!(text, " {name} a second | {name} CPU ms | times |")?;
    }
    writeln!(text)?;
    writeln!(
        text,
        "|---|---|---|---|---|---|---|{}",
        "---|---|---|".repeat(others.len())
    )?;
    for phase in &ours.phases {
        write!(
            text,
            "| {} | {} | {} | {:.0} | {:.2} | {:.2} | {:.3} |",
            phase.name,
            phase.at_once,
            phase.operations,
            phase.per_second,
            phase.p50_ms,
            phase.p99_ms,
            phase.server_cpu_ms
        )?;
        for (_, report) in others {
            match same(report, phase) {
                Some(other) => write!(
                    text,
                    " {:.0} | {:.2} | {:.0} |",
                    other.per_second,
                    other.server_cpu_ms,
                    phase.per_second / other.per_second
                )?,
                None => write!(text, " | | |")?,
            }
        }
        writeln!(text)?;
    }
    Ok(())
}

fn same<'report>(report: &'report Report, phase: &Phase) -> Option<&'report Phase> {
    report
        .phases
        .iter()
        .find(|other| other.name == phase.name && other.at_once == phase.at_once)
}

fn figures(text: &mut String, ours: &Report, others: &[(&str, &Report)]) -> std::fmt::Result {
    write!(text, "\n| figure | Gatehouse |")?;
    for (name, _) in others {
        write!(text, " {name} |")?;
    }
    writeln!(text, " unit |\n|---|---|{}---|", "---|".repeat(others.len()))?;
    for figure in &ours.figures {
        write!(text, "| {} | {:.2} |", figure.name, figure.value)?;
        for (_, report) in others {
            match report.figures.iter().find(|other| other.name == figure.name) {
                Some(other) => write!(text, " {:.2} |", other.value)?,
                None => write!(text, " |")?,
            }
        }
        writeln!(text, " {} |", figure.unit)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(per_second: f64) -> Report {
        let phase = Phase {
            name: "join".to_owned(),
            at_once: 16,
            operations: 10,
            per_second,
            p50_ms: 1.0,
            p99_ms: 2.0,
            server_cpu_ms: 0.25,
        };
        Report {
            phases: vec![phase],
            figures: Vec::new(),
        }
    }

    #[test]
    fn servers_stand_side_by_side() {
        let text = table(&BTreeMap::from([
            (OURS, report(3000.0)),
            ("synapse", report(15.0)),
        ]));
        assert!(
            text.contains("| join | 16 | 10 | 3000 | 1.00 | 2.00 | 0.250 | 15 | 0.25 | 200 |"),
            "{text}"
        );
    }
}
