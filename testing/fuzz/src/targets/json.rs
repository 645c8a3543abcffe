//! `gatehouse_events::json`: depth and canonical JSON.

use gatehouse_events::json::{JsonInputError, MAX_DEPTH, check_shape, parse_content, parse_value};
use serde_json::Value;

pub(super) const CORPUS: &[&[u8]] = &[
    br#"{"body":"hello \u2615 \"quoted\" \\ \ud83d\ude00","msgtype":"m.text","n":[0,-1,9007199254740991]}"#,
    br#"{"a":{"b":{"c":[[[[{"d":null}]]]]}},"":true,"\u0000":false}"#,
    br#"{"n":1.5}"#,
    br#"{"n":-0}"#,
    br#"[1,2,{"a":"[[[[{{{{"}]"#,
    br#"{"same":1,"same":2}"#,
    br#"{"a":{"$serde_json::private::RawValue":"[[[]]]"}}"#,
    br#"{"\u0024serde_json::private::RawValue":"{\"a\":1}"}"#,
    br#"{"$serde_json::private::Number":"1"}"#,
    b" {\n\t} ",
];

/// What is accepted is bounded in depth, has the meaning of its text, and its canonical form is its own canonical form.
pub fn json(data: &[u8]) -> bool {
    let value = parse_value(data);
    match &value {
        Ok(value) => {
            assert!(depth(value) <= MAX_DEPTH, "accepted, and too deep");
            assert_eq!(check_shape(data), Ok(()));
            assert!(
                objects(value) <= openings(data),
                "objects that the text does not have"
            );
        }
        Err(JsonInputError::TooDeep) => assert!(openings(data) > MAX_DEPTH, "refused, and not deep"),
        Err(_) => {}
    }
    let Ok(content) = parse_content(data) else {
        return false;
    };
    assert!(value.as_ref().is_ok_and(Value::is_object));
    let text = serde_json::to_string(&content).unwrap_or_default();
    let again = parse_content(text.as_bytes());
    assert_eq!(again.as_ref(), Ok(&content));
    assert_eq!(
        again.ok().and_then(|again| serde_json::to_string(&again).ok()),
        Some(text)
    );
    true
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or_default(),
        Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or_default(),
        _ => 0,
    }
}

fn objects(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(objects).sum::<usize>(),
        Value::Object(fields) => 1 + fields.values().map(objects).sum::<usize>(),
        _ => 0,
    }
}

/// The brackets that open outside strings.
fn openings(data: &[u8]) -> usize {
    let (mut in_string, mut escaped) = (false, false);
    data.iter()
        .filter(|&&byte| {
            let opens = !in_string && matches!(byte, b'{' | b'[');
            in_string ^= byte == b'"' && !escaped;
            escaped = in_string && byte == b'\\' && !escaped;
            opens
        })
        .count()
}
