//! The configuration that a command works with.

use anyhow::Result;
use gatehouse_server::config::{Config, Overrides, load};

use crate::arguments::ConfigOptions;

/// Defaults, file, environment, command line.
pub(crate) fn read(options: &ConfigOptions, listen: Option<&str>) -> Result<Config> {
    let overrides = Overrides {
        server_name: options.server_name.clone(),
        data_dir: options.data_dir.clone(),
        listen: listen.map(str::to_owned),
    };
    Ok(load(options.config.as_deref(), std::env::vars(), &overrides)?)
}
