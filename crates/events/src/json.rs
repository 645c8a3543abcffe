//! JSON from the network: bounded in depth before it is parsed, and canonical where events are made of it.

use ruma::{CanonicalJsonObject, CanonicalJsonValue, Int};
use serde_json::Value;
use thiserror::Error;

/// How deeply objects and arrays may nest, the outermost included (limits, "JSON nesting").
pub const MAX_DEPTH: usize = 100;

/// With this key `serde_json` tells itself that a string holds JSON. From outside it would bring in values that nobody
/// has looked at: nested more deeply than anything here can read again.
pub const RESERVED_KEY: &str = "$serde_json::private::RawValue";

/// Why bytes are not acceptable JSON. The sentences are for whoever sent them.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum JsonInputError {
    /// Not JSON: `M_NOT_JSON`.
    #[error("the body is not JSON")]
    NotJson,
    /// Nested too deeply: `M_BAD_JSON`.
    #[error("the JSON is nested too deeply: {MAX_DEPTH} levels at most")]
    TooDeep,
    /// Not an object: `M_BAD_JSON`.
    #[error("the JSON must be an object")]
    NotAnObject,
    /// An object has the key that no object may have: `M_BAD_JSON`.
    #[error("the JSON has an object with the key {RESERVED_KEY}, which this server cannot keep")]
    ReservedKey,
    /// A number that events cannot hold: `M_BAD_JSON`.
    #[error("numbers in events must be integers between -(2^53)+1 and 2^53-1, without fraction or exponent")]
    Number,
}

/// Whether brackets nest within [`MAX_DEPTH`] and no object has the [`RESERVED_KEY`]. One pass over the bytes, no
/// recursion; says nothing else of them.
pub fn check_shape(bytes: &[u8]) -> Result<(), JsonInputError> {
    let mut depth = 0_usize;
    let mut in_string = false;
    let mut escaped = false;
    for (at, &byte) in bytes.iter().enumerate() {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => {
                in_string = true;
                if bytes.get(at..).is_some_and(begins_with_reserved_key) {
                    return Err(JsonInputError::ReservedKey);
                }
            }
            b'{' | b'[' => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return Err(JsonInputError::TooDeep);
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

/// Whether the string that begins here is the reserved one, however it is escaped, and a key.
fn begins_with_reserved_key(bytes: &[u8]) -> bool {
    // Nearly every string ends here.
    if !matches!(bytes, [b'"', b'$' | b'\\', ..]) {
        return false;
    }
    let mut values = serde_json::Deserializer::from_slice(bytes).into_iter::<String>();
    let is_reserved = matches!(values.next(), Some(Ok(text)) if text == RESERVED_KEY);
    let after = bytes.get(values.byte_offset()..).unwrap_or_default();
    is_reserved && after.trim_ascii_start().starts_with(b":")
}

/// Parses bytes as any JSON value of acceptable shape.
pub fn parse_value(bytes: &[u8]) -> Result<Value, JsonInputError> {
    check_shape(bytes)?;
    serde_json::from_slice(bytes).map_err(|_| JsonInputError::NotJson)
}

/// Parses bytes as the content of an event: an object of canonical JSON.
///
/// The text itself must be free of fractions and exponents: `1.0` and `1e3` are refused although they are whole, and
/// so is `-0` (appendices, canonical JSON).
pub fn parse_content(bytes: &[u8]) -> Result<CanonicalJsonObject, JsonInputError> {
    match canonical(parse_value(bytes)?)? {
        CanonicalJsonValue::Object(object) => Ok(object),
        _ => Err(JsonInputError::NotAnObject),
    }
}

/// A parsed value as canonical JSON; errs on numbers that it cannot hold.
pub fn canonical(value: Value) -> Result<CanonicalJsonValue, JsonInputError> {
    Ok(match value {
        Value::Null => CanonicalJsonValue::Null,
        Value::Bool(bool) => CanonicalJsonValue::Bool(bool),
        Value::Number(number) => {
            // `serde_json` keeps anything written with a fraction, an exponent or as `-0` as a float.
            let integer = number.as_i64().and_then(Int::new).ok_or(JsonInputError::Number)?;
            CanonicalJsonValue::Integer(integer)
        }
        Value::String(string) => CanonicalJsonValue::String(string),
        Value::Array(items) => {
            CanonicalJsonValue::Array(items.into_iter().map(canonical).collect::<Result<_, _>>()?)
        }
        Value::Object(fields) => CanonicalJsonValue::Object(canonical_object(fields)?),
    })
}

/// A parsed object as canonical JSON; errs on numbers that it cannot hold.
pub fn canonical_object(
    fields: serde_json::Map<String, Value>,
) -> Result<CanonicalJsonObject, JsonInputError> {
    fields
        .into_iter()
        .map(|(key, value)| Ok((key, canonical(value)?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn e27_numbers_that_events_cannot_hold_are_refused() {
        for number in [
            "1.5",
            "1.0",
            "1e3",
            "-0",
            "9007199254740992",
            "-9007199254740992",
            "1e400",
        ] {
            let body = format!(r#"{{"n":{number}}}"#);
            let error = parse_content(body.as_bytes()).expect_err(number);
            assert!(
                matches!(error, JsonInputError::Number | JsonInputError::NotJson),
                "{number}: {error:?}"
            );
        }
        for number in ["0", "-1", "9007199254740991", "-9007199254740991"] {
            parse_content(format!(r#"{{"n":{number}}}"#).as_bytes()).expect(number);
        }
        for text in [
            r#"{"n":NaN}"#,
            r#"{"n":Infinity}"#,
            r#"{"s":"\ud800"}"#,
            "{} x",
            "",
            "\u{feff}{}",
        ] {
            assert_eq!(
                parse_content(text.as_bytes()),
                Err(JsonInputError::NotJson),
                "{text}"
            );
        }
    }

    #[test]
    fn json_in_strings_is_not_taken_for_json() {
        for body in [
            r#"{"$serde_json::private::RawValue":"{}"}"#,
            r#"{"a":[{"$serde_json::private::RawValue" : "[[]]"}]}"#,
            r#"{"a":{"\u0024serde_json::private::RawValue":"1"}}"#,
            r#"{"a":{"$serde_js\u006fn::private::RawValue":"1"}}"#,
        ] {
            assert_eq!(
                parse_value(body.as_bytes()),
                Err(JsonInputError::ReservedKey),
                "{body}"
            );
        }
        for body in [
            r#"{"a":"$serde_json::private::RawValue"}"#,
            r#"{"a":{"$serde_json::private::RawValue.":"{}"}}"#,
            r#"{"a":{"\"$serde_json::private::RawValue":"{}"}}"#,
        ] {
            assert_eq!(
                parse_value(body.as_bytes()).unwrap().to_string(),
                body,
                "kept as it is"
            );
        }
    }

    #[test]
    fn depth_is_bounded_before_parsing() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert_eq!(check_shape(nested(MAX_DEPTH).as_bytes()), Ok(()));
        assert_eq!(
            check_shape(nested(MAX_DEPTH + 1).as_bytes()),
            Err(JsonInputError::TooDeep)
        );
        assert_eq!(
            check_shape(nested(1_000_000).as_bytes()),
            Err(JsonInputError::TooDeep)
        );
        let in_string = format!(r#"{{"a":"{}\"{}"}}"#, "[".repeat(200), "{".repeat(200));
        assert_eq!(check_shape(in_string.as_bytes()), Ok(()));
    }
}
