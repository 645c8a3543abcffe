//! The one table of this crate, which stays empty.

use gatehouse_store::Table;

/// A row that is never written: reading it shows that the store answers.
pub(crate) const PROBE: Table<(u8,), (u8,)> = Table::new("admin_api.probe");
