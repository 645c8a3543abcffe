//! A server that lies: in what it sends, to each server something else, and in what it answers.
//!
//! What it answers about *state* it refuses or garbles, and never cuts short: no server can notice that, whoever wrote it,
//! and none could agree with the others afterwards.

use std::sync::Arc;

use bytes::Bytes;
use gatehouse_events::{RoomVersion, SigningKey, json::canonical_object};
use http::{HeaderValue, Request, Response, StatusCode, header::AUTHORIZATION};
use ruma::{CanonicalJsonObject, OwnedServerName, signatures::hash_and_sign_event};
use serde_json::{Value, json};

use crate::{
    dice::Dice,
    network::{SEND, server_name_in},
};

/// The one who lies.
pub struct Liar {
    /// Its number.
    pub number: usize,
    /// Its name.
    pub name: OwnedServerName,
    /// What it signs with.
    pub key: Arc<SigningKey>,
    /// The version of the room that it lies about.
    pub version: RoomVersion,
    /// The server in whose name it forges.
    pub victim: OwnedServerName,
}

impl Liar {
    /// The request as it is sent; only transactions are lied in.
    pub fn request(&self, dice: &mut Dice, request: Request<Bytes>) -> Option<Request<Bytes>> {
        let is_transaction = request.uri().path().starts_with(SEND);
        if !is_transaction || dice.happens(300) {
            return Some(request);
        }
        let (mut parts, body) = request.into_parts();
        let mut body: Value = serde_json::from_slice(&body).ok()?;
        if let Some(Value::Array(pdus)) = body.get_mut("pdus") {
            let told = std::mem::take(pdus);
            for pdu in told {
                pdus.extend(self.pdu(dice, pdu));
            }
            if dice.happens(300) {
                dice.shuffle(pdus);
            }
            pdus.truncate(50);
        }
        let body = gatehouse_events::json::canonical(body).ok()?.to_string();
        let uri = parts.uri.path_and_query()?.as_str();
        let destination = server_name_in(&parts.uri)?;
        let signed = self.authorization(&destination, parts.method.as_str(), uri, &body)?;
        parts
            .headers
            .insert(AUTHORIZATION, HeaderValue::from_str(&signed).ok()?);
        Some(Request::from_parts(parts, Bytes::from(body)))
    }

    fn authorization(&self, destination: &str, method: &str, uri: &str, body: &str) -> Option<String> {
        let content: Value = serde_json::from_str(body).ok()?;
        let signed = json!({
            "method": method, "uri": uri, "origin": self.name, "destination": destination, "content": content,
        });
        let signed = gatehouse_events::json::canonical(signed).ok()?.to_string();
        let sig = {
            use ruma::signatures::KeyPair as _;
            self.key.sign(signed.as_bytes()).base64()
        };
        Some(format!(
            "X-Matrix origin=\"{}\",destination=\"{destination}\",key=\"{}\",sig=\"{sig}\"",
            self.name,
            self.key.key_id()
        ))
    }

    /// What becomes of an event on its way out.
    fn pdu(&self, dice: &mut Dice, pdu: Value) -> Vec<Value> {
        match dice.below(12) {
            0 => Vec::new(),
            1 => vec![garbled(dice, pdu)],
            2 => self.signed_anew(dice, &pdu, |_| {}).into_iter().collect(),
            3 => {
                let other = self.signed_anew(dice, &pdu, |_| {});
                other.into_iter().chain([pdu]).collect()
            }
            4 => self
                .signed_anew(dice, &pdu, |event| {
                    event.insert("auth_events".to_owned(), json!([]));
                })
                .into_iter()
                .collect(),
            5 => {
                let sender = format!("@steady:{}", self.victim);
                let forged = self.signed_anew(dice, &pdu, |event| {
                    event.insert("sender".to_owned(), json!(sender));
                });
                forged.into_iter().chain([pdu]).collect()
            }
            6 => vec![pdu.clone(), pdu],
            7 => {
                let junk = [
                    json!({}),
                    json!(7),
                    json!({ "room_id": pdu.get("room_id") }),
                    json!({ "room_id": pdu.get("room_id"), "type": "m.room.message", "depth": -1.5 }),
                ];
                dice.pick(&junk).cloned().into_iter().chain([pdu]).collect()
            }
            8 => {
                let deep = self.signed_anew(dice, &pdu, |event| {
                    event.insert("depth".to_owned(), json!(9_007_199_254_740_991_u64));
                });
                deep.into_iter().collect()
            }
            9 => {
                let orphan = self.signed_anew(dice, &pdu, |event| {
                    event.insert(
                        "prev_events".to_owned(),
                        json!(["$nobody-has-this-event-whatever-they-say-0"]),
                    );
                });
                orphan.into_iter().chain([pdu]).collect()
            }
            _ => vec![pdu],
        }
    }

    /// Another event in the place of this one, with good hash and signature.
    fn signed_anew(
        &self,
        dice: &mut Dice,
        pdu: &Value,
        change: impl FnOnce(&mut serde_json::Map<String, Value>),
    ) -> Option<Value> {
        let mut event = pdu.as_object()?.clone();
        for field in ["hashes", "signatures", "unsigned"] {
            event.remove(field);
        }
        let number = dice.number() % 1_000_000;
        if event.contains_key("event_id") {
            event.insert(
                "event_id".to_owned(),
                json!(format!("$lie{number}:{}", self.name)),
            );
        }
        let content = event.get_mut("content")?.as_object_mut()?;
        content.insert("lie".to_owned(), json!(number));
        change(&mut event);
        let mut event: CanonicalJsonObject = canonical_object(event).ok()?;
        let rules = self.version.rules();
        hash_and_sign_event(self.name.as_str(), &*self.key, &mut event, &rules.redaction).ok()?;
        serde_json::to_value(event).ok()
    }

    /// The answer as it is given.
    pub fn answer(&self, dice: &mut Dice, path: &str, answer: Response<Bytes>) -> Response<Bytes> {
        // Single events may be parts of a state.
        let is_of_events = ["/get_missing_events/", "/backfill/", "/event_auth/"]
            .iter()
            .any(|part| path.contains(part));
        let (parts, body) = answer.into_parts();
        let whole = |status: StatusCode, body: Bytes| {
            let mut answer = Response::new(body);
            *answer.status_mut() = status;
            answer
        };
        match dice.below(10) {
            0 => whole(StatusCode::INTERNAL_SERVER_ERROR, Bytes::from_static(b"{}")),
            1 => whole(StatusCode::OK, Bytes::from_static(b"[1, 2")),
            2 => whole(StatusCode::OK, Bytes::from_static(b"{}")),
            3..=6 if is_of_events => match kept_back(dice, &body) {
                Some(body) => Response::from_parts(parts, body),
                None => Response::from_parts(parts, body),
            },
            _ => Response::from_parts(parts, body),
        }
    }
}

/// Some events are kept back, some garbled.
fn kept_back(dice: &mut Dice, body: &Bytes) -> Option<Bytes> {
    let mut body: Value = serde_json::from_slice(body).ok()?;
    for field in ["events", "pdus", "auth_chain"] {
        let Some(Value::Array(events)) = body.get_mut(field) else {
            continue;
        };
        // In an order of their own: that of an answer may be any.
        let mut told = std::mem::take(events);
        told.sort_by_cached_key(ToString::to_string);
        for event in told {
            match dice.below(4) {
                0 => {}
                1 => events.push(garbled(dice, event)),
                _ => events.push(event),
            }
        }
        dice.shuffle(events);
    }
    Some(Bytes::from(body.to_string()))
}

/// The event with something else in it, under the old signature.
fn garbled(dice: &mut Dice, mut pdu: Value) -> Value {
    let number = dice.number() % 1_000_000;
    if let Some(event) = pdu.as_object_mut() {
        match dice.below(3) {
            0 => _ = event.insert("origin_server_ts".to_owned(), json!(number)),
            1 => _ = event.insert("signatures".to_owned(), json!({})),
            _ => {
                if let Some(Value::Object(content)) = event.get_mut("content") {
                    content.insert("lie".to_owned(), json!(number));
                }
            }
        }
    }
    pdu
}
