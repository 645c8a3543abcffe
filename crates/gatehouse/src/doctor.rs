//! `gatehouse doctor`

use std::{fmt::Write as _, process::ExitCode};

use anyhow::{Context, Result};
use gatehouse_events::Clock;
use gatehouse_server::doctor::{Examination, Finding, Verdict, examine};
use ruma::OwnedServerName;
use serde_json::json;

use crate::{arguments::DoctorOptions, command, configuration, serve};

/// Looks, and says what it found. The status is 0 when nothing is broken.
pub(crate) fn run(options: &DoctorOptions) -> Result<ExitCode> {
    let config = configuration::read(&options.config, None)?;
    let server = options.server.as_deref().map(name).transpose()?;
    let examining = examine(&config, server.as_deref(), Clock::system());
    let examination = command::runtime()?.block_on(examining)?;
    serve::say(&if options.json {
        format!("{}\n", as_json(&examination))
    } else {
        text(&examination)
    });
    Ok(if examination.is_fine() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn name(name: &str) -> Result<OwnedServerName> {
    OwnedServerName::try_from(name).with_context(|| {
        format!("{name:?} is not a server name; it looks like example.org or example.org:8448")
    })
}

fn as_json(examination: &Examination) -> serde_json::Value {
    json!({
        "server_name": examination.server,
        "fine": examination.is_fine(),
        "findings": examination.findings,
    })
}

/// One paragraph for each finding, and a last line that says how it is.
fn text(examination: &Examination) -> String {
    let mut text = String::new();
    for finding in &examination.findings {
        paragraph(finding, &mut text);
    }
    let name = &examination.server;
    let count = |verdict| {
        let found = examination.findings.iter();
        found.filter(|finding| finding.verdict == verdict).count()
    };
    let (faults, notes) = (count(Verdict::Fault), count(Verdict::Note));
    let last = match (faults, notes) {
        (0, 0) => format!("{name} is well."),
        (0, notes) => format!("{name} is well; worth knowing: {notes}."),
        (faults, notes) => format!("{name} is not well: {faults} to mend, and worth knowing: {notes}."),
    };
    // Writing into a `String` cannot fail.
    _ = writeln!(text, "{last}");
    text
}

fn paragraph(finding: &Finding, text: &mut String) {
    let verdict = match finding.verdict {
        Verdict::Good => "ok   ",
        Verdict::Note => "note ",
        Verdict::Fault => "FAULT",
    };
    _ = writeln!(text, "{verdict}  {}", finding.step);
    _ = writeln!(text, "       tried: {}", finding.tried);
    _ = writeln!(text, "       came:  {}", finding.came);
    if let Some(advice) = &finding.advice {
        _ = writeln!(text, "       do:    {advice}");
    }
}
