//! Getting events and state from other servers (server-server API, "Backfilling and retrieving missing events").

use gatehouse_rooms::remote_servers::{Fetch, FetchedStateIds, RawPdu};
use http::Method;
use ruma::{EventId, OwnedEventId, RoomId, ServerName};
use serde::Deserialize;
use serde_json::json;

use crate::{
    Federation, FederationError,
    path::{path, with_query},
    signed::{Bounds, SignedRequest},
};

impl Federation {
    pub(crate) async fn fetch_events(
        &self,
        server: &ServerName,
        fetch: Fetch<'_>,
    ) -> Result<Vec<RawPdu>, FederationError> {
        match fetch {
            Fetch::Event { event_id } => {
                let path = path("v1", &["event", event_id.as_str()]);
                self.pdus(SignedRequest::get(server, path, Bounds::QUESTION))
                    .await
            }
            Fetch::EventAuth { room_id, event_id } => {
                #[derive(Deserialize)]
                struct Answer {
                    auth_chain: Vec<RawPdu>,
                }
                let path = path("v1", &["event_auth", room_id.as_str(), event_id.as_str()]);
                let request = SignedRequest::get(server, path, Bounds::EVENTS);
                let answer: Answer = self.ask_signed(request).await?;
                Ok(answer.auth_chain)
            }
            Fetch::Backfill { room_id, from, limit } => {
                let from = from.iter().map(|event_id| ("v", event_id.to_string()));
                let query = from.chain([("limit", limit.to_string())]);
                let path = with_query(path("v1", &["backfill", room_id.as_str()]), query);
                self.pdus(SignedRequest::get(server, path, Bounds::EVENTS)).await
            }
            Fetch::MissingEvents {
                room_id,
                earliest,
                latest,
                limit,
                min_depth,
            } => {
                #[derive(Deserialize)]
                struct Answer {
                    events: Vec<RawPdu>,
                }
                let path = path("v1", &["get_missing_events", room_id.as_str()]);
                // Keys in their order, and nothing but numbers and ids: canonical JSON.
                let body = json!({
                    "earliest_events": earliest,
                    "latest_events": latest,
                    "limit": limit,
                    "min_depth": min_depth,
                });
                let request =
                    SignedRequest::with_body(Method::POST, server, path, body.to_string(), Bounds::EVENTS);
                let answer: Answer = self.ask_signed(request).await?;
                Ok(answer.events)
            }
        }
    }

    async fn pdus(&self, request: SignedRequest<'_>) -> Result<Vec<RawPdu>, FederationError> {
        #[derive(Deserialize)]
        struct Answer {
            pdus: Vec<RawPdu>,
        }
        let answer: Answer = self.ask_signed(request).await?;
        Ok(answer.pdus)
    }

    pub(crate) async fn fetch_state_ids(
        &self,
        server: &ServerName,
        room_id: &RoomId,
        at: &EventId,
    ) -> Result<FetchedStateIds, FederationError> {
        #[derive(Deserialize)]
        struct Answer {
            pdu_ids: Vec<OwnedEventId>,
            auth_chain_ids: Vec<OwnedEventId>,
        }
        let path = path("v1", &["state_ids", room_id.as_str()]);
        let path = with_query(path, [("event_id", at.to_string())]);
        let answer: Answer = self
            .ask_signed(SignedRequest::get(server, path, Bounds::EVENTS))
            .await?;
        Ok(FetchedStateIds {
            state: answer.pdu_ids,
            auth_chain: answer.auth_chain_ids,
        })
    }
}
