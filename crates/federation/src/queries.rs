//! Looking things up at other servers: aliases, profiles, published rooms (server-server API, "Querying for information"
//! and "Public Room Directory").

use http::Method;
use ruma::{OwnedRoomId, OwnedServerName, RoomAliasId, ServerName, UserId};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{
    Federation, FederationError,
    path::{path, with_query},
    signed::{Bounds, SignedRequest, read},
};

/// Servers in the answer about an alias that are looked at.
const MAX_SERVERS: usize = 100;

/// Of a profile, which has 64 KiB at most (client-server API, "Profiles").
const PROFILE: Bounds = Bounds {
    max_bytes: 72 << 10,
    ..Bounds::QUESTION
};

/// What another server answers about an alias of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteAlias {
    /// The room.
    pub room_id: OwnedRoomId,
    /// Servers in it.
    pub servers: Vec<OwnedServerName>,
}

/// Which of another server's published rooms are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RemoteRoomsQuery {
    /// How many.
    pub limit: Option<u64>,
    /// From where on.
    pub since: Option<String>,
    /// Words that must occur.
    pub search: Option<String>,
    /// Only rooms of these types; `None` stands for rooms without one.
    pub room_types: Option<Vec<Option<String>>>,
}

impl Federation {
    /// Where an alias leads, from its server (`GET /query/directory`).
    pub async fn query_directory(&self, alias: &RoomAliasId) -> Result<RemoteAlias, FederationError> {
        #[derive(Deserialize)]
        struct Answer {
            room_id: OwnedRoomId,
            servers: Vec<String>,
        }
        let path = with_query(
            path("v1", &["query", "directory"]),
            [("room_alias", alias.to_string())],
        );
        let request = SignedRequest::get(alias.server_name(), path, Bounds::QUESTION);
        let answer: Answer = self.ask_signed(request).await?;
        let names = answer.servers.into_iter().take(MAX_SERVERS);
        let servers = names.filter_map(|name| OwnedServerName::try_from(name).ok());
        Ok(RemoteAlias {
            room_id: answer.room_id,
            servers: servers.collect(),
        })
    }

    /// A user's profile, or one field of it, from their server (`GET /query/profile`).
    pub async fn query_profile(
        &self,
        user: &UserId,
        field: Option<&str>,
    ) -> Result<Map<String, Value>, FederationError> {
        let field = field.map(|field| ("field", field.to_owned()));
        let query = [("user_id", user.to_string())].into_iter().chain(field);
        let path = with_query(path("v1", &["query", "profile"]), query);
        let request = SignedRequest::get(user.server_name(), path, PROFILE);
        let mut fields = self.ask_object(request).await?;
        // What is of the wrong type counts as absent, and so does `null` (D08).
        fields.retain(|name, value| match name.as_str() {
            "displayname" | "avatar_url" => value.is_string(),
            _ => !value.is_null(),
        });
        Ok(fields)
    }

    /// The rooms that a server publishes (`GET` and `POST /publicRooms`), as it describes them.
    pub async fn query_public_rooms(
        &self,
        server: &ServerName,
        query: &RemoteRoomsQuery,
    ) -> Result<Map<String, Value>, FederationError> {
        let path = path("v1", &["publicRooms"]);
        if query.search.is_none() && query.room_types.is_none() {
            let limit = query.limit.map(|limit| ("limit", limit.to_string()));
            let since = query.since.clone().map(|since| ("since", since));
            let path = with_query(path, limit.into_iter().chain(since));
            return self
                .ask_object(SignedRequest::get(server, path, Bounds::QUESTION))
                .await;
        }
        let mut filter = Map::new();
        if let Some(search) = &query.search {
            filter.insert("generic_search_term".to_owned(), json!(search));
        }
        if let Some(types) = &query.room_types {
            filter.insert("room_types".to_owned(), json!(types));
        }
        let mut body = Map::from_iter([("filter".to_owned(), Value::Object(filter))]);
        if let Some(limit) = query.limit {
            body.insert("limit".to_owned(), json!(limit));
        }
        if let Some(since) = &query.since {
            body.insert("since".to_owned(), json!(since));
        }
        let body =
            gatehouse_events::json::canonical(Value::Object(body)).map_err(|_| FederationError::BadAnswer)?;
        let bounds = Bounds::QUESTION;
        let request = SignedRequest::with_body(Method::POST, server, path, body.to_string(), bounds);
        self.ask_object(request).await
    }

    /// Asks for a document, nested no deeper than we allow anybody to.
    async fn ask_object(&self, request: SignedRequest<'_>) -> Result<Map<String, Value>, FederationError> {
        let answer = self.signed(request).await?;
        match gatehouse_events::json::parse_value(&answer.body) {
            Ok(Value::Object(object)) => Ok(object),
            _ => Err(FederationError::BadAnswer),
        }
    }
}

/// What a server runs (`GET /version`), for those who look after it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct RemoteVersion {
    /// Its name.
    #[serde(default)]
    pub name: Option<String>,
    /// Its version.
    #[serde(default)]
    pub version: Option<String>,
}

impl Federation {
    /// What a server runs.
    pub async fn query_version(&self, server: &ServerName) -> Result<RemoteVersion, FederationError> {
        #[derive(Deserialize)]
        struct Answer {
            #[serde(default)]
            server: RemoteVersion,
        }
        let request = SignedRequest::get(server, path("v1", &["version"]), Bounds::QUESTION);
        let answer = self.signed(request).await?;
        let answer: Answer = read(answer.body).await?;
        Ok(answer.server)
    }
}
