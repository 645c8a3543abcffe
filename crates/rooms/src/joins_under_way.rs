//! Which joins over other servers are under way. What came of one is kept as any error, so that this depends on nothing.

use std::{collections::HashMap, error::Error, sync::Arc};

use futures_util::future::{BoxFuture, Shared};
use parking_lot::Mutex;
use ruma::{OwnedRoomId, OwnedUserId};

/// What came of a join.
pub(crate) type Joined = Result<(), Arc<dyn Error + Send + Sync>>;

/// A join that several may wait for.
pub(crate) type JoinUnderWay = Shared<BoxFuture<'static, Joined>>;

/// The joins over other servers that are under way.
#[derive(Default)]
pub(crate) struct JoinsUnderWay(pub(crate) Mutex<HashMap<(OwnedUserId, OwnedRoomId), JoinUnderWay>>);
