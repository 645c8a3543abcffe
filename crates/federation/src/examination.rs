//! Looking for what is wrong with a server, step by step, for the people who look after one.
//!
//! Each step asks as the server itself would ask, by the same code, and tells what came and what to do about it. Nothing
//! is stored, and what the other side says is shown without what could disturb a terminal.

mod answers;
mod keys;
mod name;
mod outside;
mod way;

use ruma::ServerName;
use serde::Serialize;

use crate::{Federation, examination::way::Connected};

/// What was found in one step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The step, such as `TLS`.
    pub step: &'static str,
    /// Whether that is as it should be.
    pub verdict: Verdict,
    /// What was tried.
    pub tried: String,
    /// What came.
    pub came: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}

/// How good it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// As it should be.
    Good,
    /// Worth knowing; servers can talk to each other all the same.
    Note,
    /// Something does not work.
    Fault,
}

impl Finding {
    /// All is well.
    pub fn good(step: &'static str, tried: impl Into<String>, came: impl Into<String>) -> Self {
        Self {
            step,
            verdict: Verdict::Good,
            tried: tried.into(),
            came: came.into(),
            advice: None,
        }
    }

    /// It works, and could be better.
    pub fn note(
        step: &'static str,
        tried: impl Into<String>,
        came: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self {
            verdict: Verdict::Note,
            advice: Some(advice.into()),
            ..Self::good(step, tried, came)
        }
    }

    /// It does not work.
    pub fn fault(
        step: &'static str,
        tried: impl Into<String>,
        came: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self {
            verdict: Verdict::Fault,
            ..Self::note(step, tried, came, advice)
        }
    }
}

impl Federation {
    /// Whether the server can be reached, and is who it says: what was found, in the order of the steps. After a step
    /// without which nothing can come, no more are tried.
    pub async fn examine(&self, server: &ServerName) -> Vec<Finding> {
        let mut findings = Vec::new();
        let Some(location) = self.examine_name(server, &mut findings).await else {
            return findings;
        };
        if self.examine_way(&location, &mut findings).await == Connected::Nowhere {
            return findings;
        }
        self.examine_keys(server, &location, &mut findings).await;
        findings.push(self.examine_version(server).await);
        findings.extend(self.examine_client_api(server).await);
        findings
    }
}

/// How much of what others say is shown.
const SHOWN: usize = 200;

/// What others say, as it can be shown.
fn shown(text: &str) -> String {
    text.chars()
        .filter(|character| !character.is_control())
        .take(SHOWN)
        .collect()
}

/// A time as people and HTTP write it.
fn date(seconds: u64) -> String {
    let day = std::time::UNIX_EPOCH.checked_add(std::time::Duration::from_secs(seconds));
    // HTTP knows no year after 9999.
    match day.filter(|_| seconds < 253_402_300_800) {
        Some(day) => httpdate::fmt_http_date(day),
        None => "a day after the year 9999".to_owned(),
    }
}
