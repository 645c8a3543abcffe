/// How a node uses the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostgresConfig {
    /// Connections for reads. Three more are held: for commits, for notices, and for leases.
    pub pool_size: usize,
}

impl Default for PostgresConfig {
    fn default() -> Self {
        Self { pool_size: 8 }
    }
}
