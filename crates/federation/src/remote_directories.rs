//! The port of `gatehouse-directory` to the directories of other servers.

use std::sync::Arc;

use gatehouse_directory::{
    PublicRoomsPage, PublicRoomsQuery, PublishedRoom, RemoteDirectories, ResolvedAlias,
    public_list::MAX_PAGE, remote_directories::Answer,
};
use ruma::{RoomAliasId, ServerName};
use serde_json::{Map, Value};

use crate::{Federation, queries::RemoteRoomsQuery};

/// Tokens of other servers that are longer than this are none.
const MAX_TOKEN: usize = 1_024;

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

    fn public_rooms<'a>(
        &'a self,
        server: &'a ServerName,
        query: &'a PublicRoomsQuery,
    ) -> Answer<'a, Option<PublicRoomsPage>> {
        let limit = query.limit.unwrap_or(MAX_PAGE).clamp(1, MAX_PAGE);
        let asked = RemoteRoomsQuery {
            limit: u64::try_from(limit).ok(),
            since: query.since.clone(),
            search: query.search_term.clone(),
            room_types: query.room_types.clone(),
        };
        Box::pin(async move {
            match self.query_public_rooms(server, &asked).await {
                Ok(answer) => Some(page(answer)),
                Err(error) => {
                    tracing::info!(%server, %error, "the published rooms of a server cannot be had");
                    None
                }
            }
        })
    }
}

/// What another server answers, as far as it is what a client may be shown. Rooms that are described wrongly are left out.
fn page(mut answer: Map<String, Value>) -> PublicRoomsPage {
    let rooms = match answer.remove("chunk") {
        Some(Value::Array(rooms)) => rooms,
        _ => Vec::new(),
    };
    let chunk: Vec<_> = rooms
        .into_iter()
        .take(MAX_PAGE)
        .filter_map(|room| serde_json::from_value::<PublishedRoom>(room).ok())
        .map(Arc::new)
        .collect();
    let token = |name: &str| {
        let token = answer.get(name)?.as_str()?;
        (token.len() <= MAX_TOKEN).then(|| token.to_owned())
    };
    let total = answer.get("total_room_count_estimate").and_then(Value::as_u64);
    PublicRoomsPage {
        next_batch: token("next_batch"),
        prev_batch: token("prev_batch"),
        total_room_count_estimate: total
            .and_then(|total| usize::try_from(total).ok())
            .unwrap_or(chunk.len()),
        chunk,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn d08_rooms_that_are_described_wrongly_are_left_out() {
        let good = json!({
            "room_id": "!a:b", "num_joined_members": 2, "world_readable": true, "guest_can_join": false, "more": {},
        });
        let mut wrong = good.clone();
        wrong["name"] = json!(["a"]);
        let answer = json!({
            "chunk": [good, wrong, 1, { "room_id": "nonsense" }],
            "next_batch": "x",
            "prev_batch": 7,
            "total_room_count_estimate": "many",
        });
        let Value::Object(answer) = answer else { panic!() };
        let page = page(answer);
        assert_eq!((page.chunk.len(), page.total_room_count_estimate), (1, 1));
        assert_eq!(page.chunk[0].join_rule, "public");
        assert_eq!((page.next_batch.as_deref(), page.prev_batch), (Some("x"), None));
    }
}
