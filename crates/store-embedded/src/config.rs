/// How much memory and disk the store may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmbeddedConfig {
    /// Blocks of tables kept in memory, in bytes.
    pub cache_bytes: u64,
    /// New rows kept in memory before they are written to a table, in bytes. Up to five times this is held while
    /// the disk cannot keep up. The smaller, the more often tables are merged.
    pub memtable_bytes: u64,
    /// While less than this is free on the disk, in bytes, commits are refused as unavailable. Merging tables needs
    /// room as well: when the disk runs full in the middle of that, the store fails until it is opened again.
    pub reserve_bytes: u64,
}

impl Default for EmbeddedConfig {
    fn default() -> Self {
        Self {
            cache_bytes: 16 << 20,
            memtable_bytes: 8 << 20,
            reserve_bytes: 128 << 20,
        }
    }
}
