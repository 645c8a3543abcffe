//! `gatehouse completions`

use std::io::Write;

use clap::CommandFactory;
use clap_complete::{Shell, generate};

use crate::arguments::Arguments;

/// Prints them.
pub(crate) fn run(shell: Shell) -> anyhow::Result<()> {
    let mut script = Vec::new();
    generate(shell, &mut Arguments::command(), "gatehouse", &mut script);
    std::io::stdout().write_all(&script)?;
    Ok(())
}
