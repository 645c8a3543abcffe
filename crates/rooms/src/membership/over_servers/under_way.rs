//! Joins that are under way. A join goes on when whoever asked goes away, and who asks again waits for the same one.

use std::collections::HashMap;

use futures_util::{FutureExt as _, future::BoxFuture, future::Shared};
use gatehouse_store::StoreError;
use parking_lot::Mutex;
use ruma::{OwnedRoomId, OwnedUserId};

use crate::{Rooms, write_error::WriteError};

type Join = Shared<BoxFuture<'static, Result<(), WriteError>>>;

/// The joins over other servers that are under way.
#[derive(Default)]
pub(crate) struct JoinsUnderWay(Mutex<HashMap<(OwnedUserId, OwnedRoomId), Join>>);

impl Rooms {
    /// Makes the join, unless it is under way already, and waits for it.
    pub(super) async fn join_once(
        &self,
        key: (OwnedUserId, OwnedRoomId),
        join: BoxFuture<'static, Result<(), WriteError>>,
    ) -> Result<(), WriteError> {
        let under_way = {
            let mut joins = self.shared.joins.0.lock();
            if let Some(join) = joins.get(&key) {
                join.clone()
            } else {
                let join = self.begin_join(key.clone(), join);
                joins.insert(key, join.clone());
                join
            }
        };
        under_way.await
    }

    fn begin_join(
        &self,
        key: (OwnedUserId, OwnedRoomId),
        join: BoxFuture<'static, Result<(), WriteError>>,
    ) -> Join {
        let rooms = self.clone();
        let task = tokio::spawn(async move {
            // Also when the join ends in a panic.
            let _done = Done { rooms, key };
            join.await
        });
        task.map(|outcome| {
            outcome.unwrap_or_else(|_| {
                let stopping = "the server is stopping; try again".to_owned();
                Err(StoreError::Unavailable(stopping).into())
            })
        })
        .boxed()
        .shared()
    }
}

struct Done {
    rooms: Rooms,
    key: (OwnedUserId, OwnedRoomId),
}

impl Drop for Done {
    fn drop(&mut self) {
        self.rooms.shared.joins.0.lock().remove(&self.key);
    }
}
