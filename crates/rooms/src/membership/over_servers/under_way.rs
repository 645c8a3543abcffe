//! A join goes on when whoever asked goes away, and who asks again waits for the same one.

use std::{error::Error, sync::Arc};

use futures_util::{FutureExt as _, future::BoxFuture};
use gatehouse_store::StoreError;
use ruma::{OwnedRoomId, OwnedUserId};

use crate::{
    Rooms,
    joins_under_way::{JoinUnderWay, Joined},
    write_error::WriteError,
};

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
        let joined: Joined = under_way.await;
        joined.map_err(|error| match error.downcast_ref::<WriteError>() {
            Some(error) => error.clone(),
            None => StoreError::Unavailable(error.to_string()).into(),
        })
    }

    fn begin_join(
        &self,
        key: (OwnedUserId, OwnedRoomId),
        join: BoxFuture<'static, Result<(), WriteError>>,
    ) -> JoinUnderWay {
        let rooms = self.clone();
        let task = tokio::spawn(async move {
            // Also when the join ends in a panic.
            let _done = Done { rooms, key };
            join.await
        });
        task.map(|outcome| match outcome {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(Arc::new(error) as Arc<dyn Error + Send + Sync>),
            Err(_) => {
                let stopping = "the server is stopping; try again".to_owned();
                Err(Arc::new(StoreError::Unavailable(stopping)) as Arc<dyn Error + Send + Sync>)
            }
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
