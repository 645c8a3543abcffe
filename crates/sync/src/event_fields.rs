//! `event_fields` of a filter: which fields of an event to send.

use serde_json::{Map, Value, value::RawValue};

/// Keeps of an event, as JSON, only the fields at these paths. A path that leads nowhere keeps nothing.
pub(crate) fn keep_fields(event: &RawValue, paths: &[String]) -> Option<Box<RawValue>> {
    let event: Map<String, Value> = serde_json::from_str(event.get()).ok()?;
    let mut kept = Map::new();
    for path in paths {
        copy(&event, &mut kept, &parts(path));
    }
    serde_json::value::to_raw_value(&kept).ok()
}

/// The parts of a path; `\.` is a dot in a name, `\\` a backslash.
fn parts(path: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut chars = path.chars();
    while let Some(char) = chars.next() {
        if char == '.' {
            parts.push(String::new());
            continue;
        }
        let literal = if char == '\\' {
            chars.next().unwrap_or(char)
        } else {
            char
        };
        if let Some(part) = parts.last_mut() {
            part.push(literal);
        }
    }
    parts
}

fn copy(from: &Map<String, Value>, to: &mut Map<String, Value>, path: &[String]) {
    let Some((name, rest)) = path.split_first() else {
        return;
    };
    match from.get(name) {
        Some(value) if rest.is_empty() => {
            to.insert(name.clone(), value.clone());
        }
        Some(Value::Object(inner)) => {
            let into = to
                .entry(name.clone())
                .or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(into) = into {
                copy(inner, into, rest);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(event: &str, paths: &[&str]) -> String {
        let event = RawValue::from_string(event.to_owned()).unwrap();
        let paths: Vec<_> = paths.iter().map(|path| (*path).to_owned()).collect();
        keep_fields(&event, &paths).unwrap().get().to_owned()
    }

    #[test]
    fn only_the_named_fields_are_kept() {
        let event =
            r#"{"type":"m.room.message","sender":"@a:s","content":{"body":"x","msgtype":"m.text","a.b":1}}"#;
        assert_eq!(kept(event, &["type"]), r#"{"type":"m.room.message"}"#);
        assert_eq!(kept(event, &["content.body"]), r#"{"content":{"body":"x"}}"#);
        assert_eq!(kept(event, &[r"content.a\.b"]), r#"{"content":{"a.b":1}}"#);
        assert_eq!(
            kept(event, &["content.body", "content.msgtype"]),
            r#"{"content":{"body":"x","msgtype":"m.text"}}"#
        );
        assert_eq!(kept(event, &["nothing", "type.x"]), "{}");
        assert_eq!(kept(event, &[]), "{}");
    }
}
