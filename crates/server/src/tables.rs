//! What the server keeps of itself.

use gatehouse_store::Table;

/// The name that the data was made with. Written on the first start.
pub(crate) const SERVER_NAME: Table<(u8,), (String,)> = Table::new("server.name");
