//! Many rounds of one target.

use std::{
    env,
    panic::{self, AssertUnwindSafe},
};

use crate::{mutate::mutated, random::Random, targets::Target};

/// How many rounds, and which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// `GATEHOUSE_FUZZ_ROUNDS`.
    pub rounds: u64,
    /// `GATEHOUSE_FUZZ_SEED`.
    pub seed: u64,
}

/// What became of the inputs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Outcome {
    /// So many were taken by the parser.
    pub accepted: u64,
    /// So many were not.
    pub refused: u64,
}

impl Plan {
    /// What the environment asks for, or so many rounds of seed 1.
    pub fn from_env(rounds: u64) -> Self {
        Self {
            rounds: number("GATEHOUSE_FUZZ_ROUNDS").unwrap_or(rounds),
            seed: number("GATEHOUSE_FUZZ_SEED").unwrap_or(1),
        }
    }
}

fn number(variable: &str) -> Option<u64> {
    let text = env::var(variable).ok()?;
    let number = text.parse().ok();
    assert!(number.is_some(), "{variable} must be a number, and is {text:?}");
    number
}

/// Runs the target on its golden inputs damaged. On a panic it prints what repeats it, and panics on.
pub fn run(target: &Target, plan: Plan) -> Outcome {
    let mut outcome = Outcome::default();
    for round in 0..plan.rounds {
        let input = mutated(&mut Random::of_round(plan.seed, round), target.corpus);
        match panic::catch_unwind(AssertUnwindSafe(|| (target.check)(&input))) {
            Ok(true) => outcome.accepted += 1,
            Ok(false) => outcome.refused += 1,
            Err(cause) => {
                eprintln!("{}", report(target, plan, round, &input));
                panic::resume_unwind(cause);
            }
        }
    }
    outcome
}

fn report(target: &Target, plan: Plan, round: u64, input: &[u8]) -> String {
    format!(
        "{}: seed {}, round {round} (GATEHOUSE_FUZZ_SEED={} GATEHOUSE_FUZZ_ROUNDS={} repeats it), input b\"{}\"",
        target.name,
        plan.seed,
        plan.seed,
        round + 1,
        input.escape_ascii()
    )
}
