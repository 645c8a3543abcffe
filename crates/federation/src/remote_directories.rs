//! The port of `gatehouse-directory` to the directories of other servers.

use gatehouse_directory::{RemoteDirectories, ResolvedAlias, remote_directories::Answer};
use ruma::RoomAliasId;

use crate::Federation;

impl RemoteDirectories for Federation {
    fn resolve_alias<'a>(&'a self, alias: &'a RoomAliasId) -> Answer<'a, Option<ResolvedAlias>> {
        Box::pin(async move {
            match self.query_directory(alias).await {
                Ok(found) => {
                    let mut servers = found.servers;
                    // It has just answered, and need not list itself.
                    let own = alias.server_name().to_owned();
                    if !servers.contains(&own) {
                        servers.push(own);
                    }
                    Some(ResolvedAlias {
                        room_id: found.room_id,
                        servers,
                    })
                }
                Err(error) => {
                    tracing::info!(server = %alias.server_name(), %error, "an alias could not be looked up");
                    None
                }
            }
        })
    }
}
