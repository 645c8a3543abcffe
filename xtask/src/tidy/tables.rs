//! Only its owner names a table: constants in `tables.rs`, named after the crate, seen by that crate alone.

use std::collections::BTreeMap;

use crate::tidy::{
    Complaint,
    rust::{Kind, Token},
    source::Source,
};

/// The crates of the contract itself, which make tables for their own checks.
const CONTRACT: &[&str] = &["store", "store-embedded", "store-postgres"];

pub(crate) fn check(sources: &[Source]) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    let mut owners: BTreeMap<String, String> = BTreeMap::new();
    for source in sources.iter().filter(|source| source.is_production()) {
        if CONTRACT.contains(&source.krate.as_str()) {
            continue;
        }
        for made in tables_made(&source.tokens) {
            let place = source.place(made.line);
            if !is_tables_file(source) {
                complaints.push(Complaint::new(
                    &place,
                    "a table is declared in its crate's tables.rs",
                ));
            }
            if made.is_public {
                complaints.push(Complaint::new(
                    &place,
                    "a table is `pub(crate)`: only its owner names it",
                ));
            }
            let Some(name) = made.name else {
                complaints.push(Complaint::new(
                    &place,
                    "a table's name is written where it is declared",
                ));
                continue;
            };
            let owner = name.split('.').next().unwrap_or_default();
            if owner.replace('_', "-") != source.krate {
                complaints.push(Complaint::new(
                    &place,
                    format!("table `{name}` is named after its owner: `{}.…`", source.krate),
                ));
            }
            if let Some(first) = owners.insert(name.clone(), place.clone()) {
                complaints.push(Complaint::new(
                    &place,
                    format!("table `{name}` is also declared at {first}"),
                ));
            }
        }
    }
    complaints
}

fn is_tables_file(source: &Source) -> bool {
    source.local.ends_with("/tables.rs") || source.local.contains("/tables/")
}

struct TableMade {
    name: Option<String>,
    line: usize,
    is_public: bool,
}

/// Every `Table::new(…)`, also with type arguments between.
fn tables_made(tokens: &[Token]) -> Vec<TableMade> {
    let mut made = Vec::new();
    for (index, token) in tokens.iter().enumerate() {
        if !token.is_word("new") || !tokens.get(index + 1).is_some_and(|token| token.is_mark('(')) {
            continue;
        }
        // Other crates have tables too (TOML's), but none that is given a name.
        let nameless = tokens.get(index + 2).is_some_and(|token| token.is_mark(')'));
        if nameless || !names_table(tokens, index) {
            continue;
        }
        let name = match tokens.get(index + 2).map(|token| &token.kind) {
            Some(Kind::Text(name)) => Some(name.clone()),
            _ => None,
        };
        made.push(TableMade {
            name,
            line: token.line,
            is_public: is_public(tokens, index),
        });
    }
    made
}

/// Whether the path that ends in the `new` at `index` begins with `Table`.
fn names_table(tokens: &[Token], index: usize) -> bool {
    let before: Vec<&Token> = tokens.iter().take(index).rev().take(3).collect();
    match before.as_slice() {
        [first, second, third] if first.is_mark(':') && second.is_mark(':') => {
            third.is_word("Table")
                || (third.is_mark('>') && {
                    let statement = tokens
                        .iter()
                        .take(index)
                        .rev()
                        .take_while(|token| !token.is_mark(';') && !token.is_mark('='));
                    statement.clone().any(|token| token.is_word("Table"))
                })
        }
        _ => false,
    }
}

/// Whether the constant that is being declared is `pub` without a restriction.
fn is_public(tokens: &[Token], index: usize) -> bool {
    let Some(at) = (0..index).rev().find(|at| {
        tokens
            .get(*at)
            .is_some_and(|token| token.is_word("const") || token.is_word("static") || token.is_mark(';'))
    }) else {
        return false;
    };
    at > 0 && tokens.get(at - 1).is_some_and(|token| token.is_word("pub"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaints(local: &str, text: &str) -> usize {
        let path = format!("crates/rooms/{local}");
        check(&[Source::new("rooms", &path, local, text.to_owned())]).len()
    }

    #[test]
    fn a_table_stands_in_its_owners_file() {
        let text = "pub(crate) const A: Table<(X,), Y> = Table::new(\"rooms.a\");";
        assert_eq!(complaints("src/tables.rs", text), 0);
        assert_eq!(complaints("src/join.rs", text), 1);
    }

    #[test]
    fn a_table_is_named_after_its_owner() {
        assert_eq!(
            complaints("src/tables.rs", "const A: Table<X, Y> = Table::new(\"sync.a\");"),
            1
        );
    }

    #[test]
    fn a_table_is_not_public() {
        assert_eq!(
            complaints(
                "src/tables.rs",
                "pub const A: Table<X, Y> = Table::new(\"rooms.a\");"
            ),
            1
        );
    }

    #[test]
    fn a_name_is_used_once() {
        let text =
            "const A: Table<X, Y> = Table::new(\"rooms.a\"); const B: Table<X, Y> = Table::new(\"rooms.a\");";
        assert_eq!(complaints("src/tables.rs", text), 1);
    }
}
