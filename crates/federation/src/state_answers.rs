//! Questions about a room's state, whose answers may be long: they are read as they come ([`crate::answer_splitter`]).

use gatehouse_outbound::OutboundStream;
use gatehouse_rooms::remote_servers::{MAX_STATE_PART, RawPdu, SentJoin, StatePart, WantedState};
use http::Method;
use ruma::{EventId, OwnedServerName, RoomId, ServerName};
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use tokio::sync::{SemaphorePermit, mpsc};

use crate::{
    Federation, FederationError,
    answer_splitter::{AnswerSplitter, Expected, Piece},
    path::{path, with_query},
    signed::{Bounds, SignedRequest, refusal},
};

/// Servers in a room that are looked at.
const MAX_SERVERS: usize = 100_000;
/// How long an event may be here: 65,536 bytes of it count, and then there is what may be escaped, and `unsigned`.
const MAX_EVENT_BYTES: usize = 256 << 10;
/// The names of the servers in a room.
const MAX_SERVERS_BYTES: usize = 16 << 20;
/// Events of one answer, whatever their length.
const MAX_EVENTS: usize = 500_000;
/// How much of a part is gathered before it is handed over.
const MAX_PART_BYTES: usize = 4 << 20;
/// How long the answer may be that is no success.
const MAX_REFUSAL: usize = 64 << 10;

const JOINED: Expected = Expected {
    lists: &["state", "auth_chain"],
    fields: &["event", "members_omitted", "servers_in_room"],
    in_pair: false,
    max_element: MAX_EVENT_BYTES,
    max_field: MAX_SERVERS_BYTES,
    max_elements: MAX_EVENTS,
};

const STATE: Expected = Expected {
    lists: &["pdus", "auth_chain"],
    fields: &[],
    in_pair: false,
    max_element: MAX_EVENT_BYTES,
    max_field: 0,
    max_elements: MAX_EVENTS,
};

/// An answer that is read as it comes. It has its place among those who ask until its end.
struct Answer<'a> {
    stream: OutboundStream,
    splitter: AnswerSplitter,
    _place: SemaphorePermit<'a>,
}

impl Answer<'_> {
    /// Adds the next pieces; `false`: all of the answer is here.
    async fn next(&mut self, pieces: &mut Vec<Piece>) -> Result<bool, FederationError> {
        let Some(chunk) = self.stream.chunk().await? else {
            return Ok(false);
        };
        let fed = self.splitter.feed(&chunk, pieces);
        fed.map_err(|_| FederationError::BadAnswer)?;
        Ok(true)
    }

    /// Whether what came was the whole of it.
    fn finish(self) -> Result<(), FederationError> {
        self.splitter.finish().map_err(|_| FederationError::BadAnswer)
    }
}

impl Federation {
    async fn ask_in_parts(
        &self,
        request: SignedRequest<'_>,
        expected: Expected,
    ) -> Result<Answer<'_>, FederationError> {
        let place = self.place_to_ask(request.bounds).await?;
        let stream = self.open_at_once(request).await?;
        match stream.status() {
            200..=299 => Ok(Answer {
                stream,
                splitter: AnswerSplitter::new(expected),
                _place: place,
            }),
            _ => Err(refusal(&stream.at_most(MAX_REFUSAL).whole().await?)),
        }
    }

    /// Falls back to version 1 of the operation, whose answer is the second of a pair.
    pub(crate) async fn send_join(
        &self,
        server: &ServerName,
        room_id: &RoomId,
        event_id: &EventId,
        pdu: &str,
        wanted: WantedState,
    ) -> Result<SentJoin, FederationError> {
        let put = |version: &str, query: Option<(&'static str, String)>| {
            let path = path(version, &["send_join", room_id.as_str(), event_id.as_str()]);
            let path = with_query(path, query);
            SignedRequest::with_body(Method::PUT, server, path, pdu.to_owned(), Bounds::JOIN)
        };
        let omit = (wanted == WantedState::WithoutMembers).then(|| ("omit_members", "true".to_owned()));
        let answer = match self.ask_in_parts(put("v2", omit), JOINED).await {
            Err(error) if error.is_unknown_operation() => {
                let in_pair = Expected {
                    in_pair: true,
                    ..JOINED
                };
                self.ask_in_parts(put("v1", None), in_pair).await
            }
            answer => answer,
        };
        joined(answer?).await
    }

    /// Hands the state over as it comes, and nothing more once nobody takes it.
    pub(crate) async fn fetch_state(
        &self,
        server: &ServerName,
        room_id: &RoomId,
        at: &EventId,
        parts: mpsc::Sender<StatePart>,
    ) -> Result<(), FederationError> {
        let path = path("v1", &["state", room_id.as_str()]);
        let path = with_query(path, [("event_id", at.to_string())]);
        let request = SignedRequest::get(server, path, Bounds::STATE);
        let mut answer = self.ask_in_parts(request, STATE).await?;
        let mut pieces = Vec::new();
        let mut gathered = Gathered::default();
        while answer.next(&mut pieces).await? {
            for piece in pieces.drain(..) {
                let Piece::Element(list, pdu) = piece else {
                    continue;
                };
                if let Some(part) = gathered.add(list, pdu)
                    && parts.send(part).await.is_err()
                {
                    return Ok(());
                }
            }
        }
        answer.finish()?;
        if let Some(part) = gathered.take() {
            // Whoever takes no more has dropped the other end.
            _ = parts.send(part).await;
        }
        Ok(())
    }
}

/// Names that are none are left out.
async fn joined(mut answer: Answer<'_>) -> Result<SentJoin, FederationError> {
    let mut joined = SentJoin::default();
    let mut pieces = Vec::new();
    while answer.next(&mut pieces).await? {
        for piece in pieces.drain(..) {
            match piece {
                Piece::Element("state", pdu) => joined.state.push(pdu),
                Piece::Element(_, pdu) => joined.auth_chain.push(pdu),
                Piece::Field("event", event) => joined.event = read(&event)?,
                Piece::Field("members_omitted", omitted) => {
                    joined.members_omitted = read::<Option<bool>>(&omitted)?.unwrap_or_default();
                }
                Piece::Field(_, servers) => {
                    let servers: Option<Vec<String>> = read(&servers)?;
                    joined.servers_in_room = servers
                        .unwrap_or_default()
                        .into_iter()
                        .take(MAX_SERVERS)
                        .filter_map(|server| OwnedServerName::try_from(server).ok())
                        .collect();
                }
            }
        }
    }
    answer.finish()?;
    Ok(joined)
}

fn read<T: DeserializeOwned>(json: &RawValue) -> Result<T, FederationError> {
    serde_json::from_str(json.get()).map_err(|_| FederationError::BadAnswer)
}

/// Events of one list that are not handed over yet.
#[derive(Default)]
struct Gathered {
    list: &'static str,
    pdus: Vec<RawPdu>,
    bytes: usize,
}

impl Gathered {
    /// Takes an event, and gives back what there was when that is enough or of another list.
    fn add(&mut self, list: &'static str, pdu: RawPdu) -> Option<StatePart> {
        let is_full = self.pdus.len() == MAX_STATE_PART || self.bytes + pdu.get().len() > MAX_PART_BYTES;
        let part = if is_full || self.list != list {
            self.take()
        } else {
            None
        };
        self.list = list;
        self.bytes += pdu.get().len();
        self.pdus.push(pdu);
        part
    }

    fn take(&mut self) -> Option<StatePart> {
        self.bytes = 0;
        let pdus = std::mem::take(&mut self.pdus);
        match self.list {
            _ if pdus.is_empty() => None,
            "pdus" => Some(StatePart::State(pdus)),
            _ => Some(StatePart::AuthChain(pdus)),
        }
    }
}
