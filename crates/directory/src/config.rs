use serde::Deserialize;

/// `[room_directory]` of the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Show the list of published rooms to those who are not logged in.
    pub public_without_auth: bool,
    /// Let every member who may set a room's canonical alias publish it, not only administrators.
    pub anyone_may_publish: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            public_without_auth: false,
            anyone_may_publish: true,
        }
    }
}
