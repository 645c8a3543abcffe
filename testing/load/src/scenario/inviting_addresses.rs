//! The members of one room invite e-mail addresses that are nobody's: each is an invitation that is stored, a mail that is
//! queued, and an event.

use std::cell::Cell;

use anyhow::Result;

use super::Stage;
use crate::{connection::Connection, world};

pub(super) async fn run(stage: &Stage<'_>, id_server: &str, count: usize) -> Result<()> {
    let mut connection = Connection::open(stage.address).await?;
    let room = world::inviting_room(&mut connection, stage.user(0)?, "by mail").await?;
    for member in stage.users.iter().skip(1) {
        world::join(&mut connection, &room, member).await?;
    }
    let addresses = Cell::new(0_usize);
    for (at_once, count) in [(1, count / 10), (16, count), (64, count)] {
        let work = async |connection: &mut Connection, _| {
            let number = addresses.replace(addresses.get() + 1);
            world::invite_address(connection, &room, stage.user(number)?, id_server, number).await
        };
        stage
            .measure("invite by e-mail, one room", at_once, count, work)
            .await?;
    }
    Ok(())
}
