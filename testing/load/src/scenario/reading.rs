//! Large answers: the initial sync of a user in many rooms, and the members of a large room.

use anyhow::Result;

use super::{Stage, joining::Rooms};
use crate::{connection::Connection, world};

/// Rooms of the user who syncs.
const ROOMS: usize = 200;

/// How often each answer is asked for.
const TIMES: usize = 10;

pub(super) async fn run(stage: &Stage<'_>, rooms: &Rooms) -> Result<()> {
    // Nobody of the other phases: a user whose number no phase uses but the joins of all.
    let user = stage.user(stage.scale.users.saturating_sub(1))?;
    let create = async |connection: &mut Connection, index: usize| {
        world::private_room(connection, user, &format!("room {index}"))
            .await
            .map(drop)
    };
    stage.measure("create a room", 4, ROOMS, create).await?;
    let work =
        async |connection: &mut Connection, _| world::sync_lazily(connection, user, None, 0).await.map(drop);
    stage.measure("initial sync, 200 rooms", 1, TIMES, work).await?;

    let path = format!("/_matrix/client/v3/rooms/{}/members", rooms.everybody);
    let work = async |connection: &mut Connection, _| connection.get(&path, &user.token).await.map(drop);
    stage.measure("members of the room of all", 1, TIMES, work).await
}
