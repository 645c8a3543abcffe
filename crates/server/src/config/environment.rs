//! Keys from the environment: `GATEHOUSE__TABLE__KEY=value`.

use toml::{Table, Value};

const PREFIX: &str = "GATEHOUSE__";

/// Puts what the environment says over what the file says. Returns the variables that were used.
pub(super) fn merge(table: &mut Table, variables: impl Iterator<Item = (String, String)>) -> Vec<String> {
    let mut used = Vec::new();
    for (name, text) in variables {
        let Some(path) = name.strip_prefix(PREFIX) else {
            continue;
        };
        let path: Vec<String> = path.split("__").map(str::to_ascii_lowercase).collect();
        if put(table, &path, value(&text)) {
            used.push(name);
        }
    }
    used
}

fn put(table: &mut Table, path: &[String], value: Value) -> bool {
    match path {
        [] => false,
        [key] => {
            table.insert(key.clone(), value);
            true
        }
        [first, rest @ ..] => match table
            .entry(first.clone())
            .or_insert_with(|| Value::Table(Table::new()))
        {
            Value::Table(inner) => put(inner, rest, value),
            _ => false,
        },
    }
}

/// Numbers, booleans, lists and tables as in TOML; everything else is a string and needs no quotes.
fn value(text: &str) -> Value {
    let document = format!("value = {text}");
    let parsed = document
        .parse::<Table>()
        .ok()
        .and_then(|mut table| table.remove("value"));
    match parsed {
        Some(Value::Datetime(_)) | None => Value::String(text.to_owned()),
        Some(value) => value,
    }
}
