//! `gatehouse completions`

use clap::CommandFactory;
use clap_complete::{Shell, generate};

use crate::arguments::Arguments;

/// Prints them.
pub(crate) fn run(shell: Shell) {
    generate(
        shell,
        &mut Arguments::command(),
        "gatehouse",
        &mut std::io::stdout(),
    );
}
