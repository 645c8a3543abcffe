//! Budgets: how long a file and a function may be.

use crate::tidy::{
    Complaint,
    rust::{Token, after_closing},
    source::Source,
};

/// Nineteen of twenty production files are at most this long.
const FILE_P95: usize = 450;

/// No production file is longer.
const FILE_LIMIT: usize = 700;

/// No function is longer, signature and braces counted.
const FUNCTION_LIMIT: usize = 70;

/// An endpoint decodes, calls an engine, encodes; more is an engine's work.
const ENDPOINT_LIMIT: usize = 40;

/// The crates whose asynchronous functions are endpoints.
const ENDPOINT_CRATES: &[&str] = &["client-api", "admin-api"];

pub(crate) fn check(sources: &[Source]) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    let mut lengths = Vec::new();
    for source in sources.iter().filter(|source| source.is_production()) {
        let lines = source.production_lines();
        lengths.push(lines);
        if lines > FILE_LIMIT {
            complaints.push(Complaint::new(
                &source.path,
                format!("{lines} lines; the limit is {FILE_LIMIT}"),
            ));
        }
        for function in functions(&source.tokens) {
            let is_endpoint = function.is_async && ENDPOINT_CRATES.contains(&source.krate.as_str());
            let limit = if is_endpoint {
                ENDPOINT_LIMIT
            } else {
                FUNCTION_LIMIT
            };
            if function.lines > limit {
                complaints.push(Complaint::new(
                    source.place(function.line),
                    format!(
                        "`{}` has {} lines; the limit is {limit}",
                        function.name, function.lines
                    ),
                ));
            }
        }
        if let Some(token) = code_in_root(source) {
            complaints.push(Complaint::new(
                source.place(token.line),
                "lib.rs has no code: documentation, modules and re-exports only",
            ));
        }
    }
    lengths.sort_unstable();
    let p95 = percentile(&lengths, 95);
    if p95 > FILE_P95 {
        complaints.push(Complaint::new(
            "crates",
            format!("p95 of file lengths is {p95}; the budget is {FILE_P95}"),
        ));
    }
    complaints
}

/// The value below which so many of a hundred lie; 0 for none.
pub(crate) fn percentile(sorted: &[usize], of_a_hundred: usize) -> usize {
    let rank = (sorted.len() * of_a_hundred).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

struct Function {
    name: String,
    line: usize,
    lines: usize,
    is_async: bool,
}

fn functions(tokens: &[Token]) -> Vec<Function> {
    let mut found = Vec::new();
    for (index, token) in tokens.iter().enumerate().filter(|(_, token)| token.is_word("fn")) {
        // A function pointer type has no name.
        let Some(name) = tokens.get(index + 1).and_then(Token::word) else {
            continue;
        };
        let Some(open) = body(tokens, index + 2) else {
            continue;
        };
        let close = after_closing(tokens, open).saturating_sub(1);
        let last = tokens.get(close).map_or(token.line, |token| token.line);
        let is_async = index > 0 && tokens.get(index - 1).is_some_and(|token| token.is_word("async"));
        found.push(Function {
            name: name.to_owned(),
            line: token.line,
            lines: last + 1 - token.line,
            is_async,
        });
    }
    found
}

/// The brace that opens a function's body; `None` when it is only declared.
fn body(tokens: &[Token], start: usize) -> Option<usize> {
    let mut at = start;
    while let Some(token) = tokens.get(at) {
        if token.is_mark('{') {
            return Some(at);
        }
        if token.is_mark(';') {
            return None;
        }
        at = if token.is_mark('(') || token.is_mark('[') {
            after_closing(tokens, at)
        } else {
            at + 1
        };
    }
    None
}

fn code_in_root(source: &Source) -> Option<&Token> {
    if source.local != "src/lib.rs" {
        return None;
    }
    let code = [
        "fn",
        "struct",
        "enum",
        "union",
        "impl",
        "trait",
        "const",
        "static",
        "macro_rules",
        "type",
    ];
    source
        .tokens
        .iter()
        .find(|token| token.word().is_some_and(|word| code.contains(&word)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaints(krate: &str, local: &str, text: &str) -> Vec<Complaint> {
        check(&[Source::new(
            krate,
            &format!("crates/{krate}/{local}"),
            local,
            text.to_owned(),
        )])
    }

    #[test]
    fn a_function_has_a_budget() {
        let long = |lines: usize| format!("fn a(b: [u8; 3]) {{\n{}}}", "c();\n".repeat(lines - 2));
        assert!(complaints("rooms", "src/a.rs", &long(70)).is_empty());
        assert_eq!(complaints("rooms", "src/a.rs", &long(71)).len(), 1);
    }

    #[test]
    fn an_endpoint_has_a_smaller_budget() {
        let long = |lines: usize| format!("pub(crate) async fn a() {{\n{}}}", "c();\n".repeat(lines - 2));
        assert!(complaints("client-api", "src/a.rs", &long(40)).is_empty());
        assert_eq!(complaints("client-api", "src/a.rs", &long(41)).len(), 1);
    }

    #[test]
    fn a_file_has_a_limit() {
        assert_eq!(complaints("rooms", "src/a.rs", &"\n".repeat(701)).len(), 2);
    }

    #[test]
    fn a_root_has_no_code() {
        assert_eq!(
            complaints("rooms", "src/lib.rs", "mod a; pub use a::B; fn c() {}").len(),
            1
        );
    }

    #[test]
    fn a_percentile_is_one_of_the_values() {
        let values: Vec<usize> = (1..=100).collect();
        assert_eq!(
            (percentile(&values, 95), percentile(&[], 95), percentile(&[7], 50)),
            (95, 0, 7)
        );
    }
}
