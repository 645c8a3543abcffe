//! Joins: one public room for each number at a time, a large one from its first to its last member, and invites.

use std::{ops::Range, time::Duration};

use anyhow::Result;

use super::Stage;
use crate::{
    connection::Connection,
    world::{self, User},
};

/// How many joins are looked at alone, at the beginning and the end of a large room.
const LOOKED_AT: usize = 100;

/// Before each of these two, so that both measure the size of the room and not what the store still has to do for the
/// thousands of joins before.
const SETTLING: Duration = Duration::from_secs(3);

/// Rooms that later phases use.
pub(super) struct Rooms {
    /// Of as many users as the sending phase wants: 1,000.
    pub(super) large: String,
    /// Of all users: 10,000.
    pub(super) everybody: String,
}

pub(super) async fn run(stage: &Stage<'_>) -> Result<Rooms> {
    let owner = stage.user(0)?;
    let users = stage.scale.users;
    let mut connection = Connection::open(stage.address).await?;

    let large = world::public_room(&mut connection, owner, "one at a time").await?;
    join(stage, "join", &large, 1, 1..stage.scale.large_room).await?;
    let room = world::public_room(&mut connection, owner, "sixteen at a time").await?;
    join(stage, "join", &room, 16, 1..users / 2).await?;
    let room = world::public_room(&mut connection, owner, "sixty-four at a time").await?;
    join(stage, "join", &room, 64, 1..users / 2).await?;

    let everybody = world::public_room(&mut connection, owner, "everybody").await?;
    let last = users.saturating_sub(LOOKED_AT);
    tokio::time::sleep(SETTLING).await;
    join(
        stage,
        "join, the first hundred of all",
        &everybody,
        1,
        1..LOOKED_AT,
    )
    .await?;
    join(stage, "join, those between", &everybody, 16, LOOKED_AT..last).await?;
    tokio::time::sleep(SETTLING).await;
    join(stage, "join, the last hundred of all", &everybody, 1, last..users).await?;

    let private = world::private_room(&mut connection, owner, "by invitation").await?;
    invite_and_join(stage, &private, owner).await?;
    Ok(Rooms { large, everybody })
}

async fn join(stage: &Stage<'_>, name: &str, room: &str, at_once: usize, users: Range<usize>) -> Result<()> {
    let first = users.start;
    let work = async |connection: &mut Connection, index| {
        world::join(connection, room, stage.user(first + index)?).await
    };
    stage.measure(name, at_once, users.len(), work).await
}

async fn invite_and_join(stage: &Stage<'_>, room: &str, owner: &User) -> Result<()> {
    let work = async |connection: &mut Connection, index| {
        let user = stage.user(index + 1)?;
        world::invite(connection, room, owner, user).await?;
        world::join(connection, room, user).await
    };
    stage
        .measure("invite and join (a pair)", 16, stage.scale.users / 10, work)
        .await
}
