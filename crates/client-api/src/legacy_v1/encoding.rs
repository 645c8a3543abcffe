//! Events in the shape of 2015: the sender is `user_id`, and what is in `unsigned` today stands beside the content.

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use gatehouse_http::ApiError;
use http::header;
use serde_json::{Map, Value};

/// What was not in `unsigned` then.
const LIFTED: [&str; 5] = [
    "age",
    "prev_content",
    "redacted_because",
    "replaces_state",
    "transaction_id",
];

/// Puts every event of a response into the old shape. Today's fields stay, for those who know them.
pub(super) async fn response(response: Response) -> Response {
    if !response.status().is_success() {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    // The body is in memory already: the pages answer with JSON that they have made.
    let shaped = match axum::body::to_bytes(body, usize::MAX).await {
        Ok(bytes) => serde_json::from_slice::<Value>(&bytes),
        Err(_) => return broken(),
    };
    let Ok(mut value) = shaped else {
        return broken();
    };
    shape(&mut value);
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, Body::from(value.to_string()))
}

fn broken() -> Response {
    ApiError::internal("The server could not put its answer into the form of this API.").into_response()
}

/// Shapes every event in the value. What users wrote is not looked into, though it may look like an event.
fn shape(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(shape),
        Value::Object(fields) => {
            if is_event(fields) {
                shape_event(fields);
            } else {
                let others = fields.iter_mut().filter(|(key, _)| *key != "content");
                others.for_each(|(_, value)| shape(value));
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn is_event(fields: &Map<String, Value>) -> bool {
    ["type", "sender", "content"]
        .iter()
        .all(|field| fields.contains_key(*field))
}

fn shape_event(event: &mut Map<String, Value>) {
    if let Some(sender) = event.get("sender").cloned() {
        event.insert("user_id".to_owned(), sender);
    }
    if event.get("type").and_then(Value::as_str) == Some("m.room.create")
        && let (Some(creator), Some(Value::Object(content))) =
            (event.get("sender").cloned(), event.get_mut("content"))
    {
        // From room version 11 on, whoever sent it is the creator, and nothing else says so.
        content.entry("creator").or_insert(creator);
    }
    let unsigned = event.get("unsigned").and_then(Value::as_object);
    let lifted = LIFTED
        .into_iter()
        .filter_map(|field| Some((field.to_owned(), unsigned?.get(field)?.clone())));
    let mut lifted: Map<String, Value> = lifted.collect();
    if let Some(redaction) = lifted.get_mut("redacted_because") {
        shape(redaction);
    }
    if event.get("type").and_then(Value::as_str) == Some("m.room.member")
        && let Some(membership) = event.get("content").and_then(|content| content.get("membership"))
    {
        lifted.insert("membership".to_owned(), membership.clone());
    }
    event.extend(lifted);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shaped(mut value: Value) -> Value {
        shape(&mut value);
        value
    }

    #[test]
    fn an_event_has_the_fields_of_2015_beside_todays() {
        let event = json!({
            "type": "m.room.member", "sender": "@a:s", "state_key": "@a:s", "content": {"membership": "join"},
            "unsigned": {"age": 5, "prev_content": {"membership": "invite"}, "replaces_state": "$b"},
        });
        let shaped = shaped(json!({"chunk": [event]}));
        let event = &shaped["chunk"][0];
        assert_eq!(event["user_id"], "@a:s");
        assert_eq!(event["sender"], "@a:s");
        assert_eq!(event["age"], 5);
        assert_eq!(event["prev_content"], json!({"membership": "invite"}));
        assert_eq!(event["replaces_state"], "$b");
        assert_eq!(event["membership"], "join");
    }

    #[test]
    fn a_room_has_a_creator_whatever_its_version() {
        let create = json!({"type": "m.room.create", "sender": "@a:s", "content": {"room_version": "11"}});
        assert_eq!(shaped(create)["content"]["creator"], "@a:s");
        let create = json!({"type": "m.room.create", "sender": "@a:s", "content": {"creator": "@b:s"}});
        assert_eq!(shaped(create)["content"]["creator"], "@b:s");
    }

    #[test]
    fn the_redaction_in_an_event_is_shaped_too() {
        let redaction =
            json!({"type": "m.room.redaction", "sender": "@b:s", "content": {}, "unsigned": {"age": 1}});
        let event = json!({"type": "x", "sender": "@a:s", "content": {}, "unsigned": {"redacted_because": redaction}});
        let shaped = shaped(event);
        assert_eq!(shaped["redacted_because"]["user_id"], "@b:s");
        assert_eq!(shaped["redacted_because"]["age"], 1);
    }

    #[test]
    fn what_users_wrote_stays_as_it_is() {
        let inner = json!({"type": "x", "sender": "@c:s", "content": {}});
        let event = json!({"type": "x", "sender": "@a:s", "content": {"quoted": inner}});
        assert_eq!(shaped(event)["content"]["quoted"], inner);
        let data = json!({"account_data": [{"type": "x", "content": {"quoted": inner}}]});
        assert_eq!(shaped(data.clone()), data);
    }
}
