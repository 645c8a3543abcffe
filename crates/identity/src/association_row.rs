use gatehouse_store::json_value;
use ruma::OwnedUserId;
use serde::{Deserialize, Serialize};

/// What is stored of an association.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AssociationRow {
    /// Whom the address belongs to.
    pub(crate) mxid: OwnedUserId,
    /// When it was bound, in milliseconds since 1970.
    pub(crate) ts: u64,
}
json_value!(AssociationRow);
