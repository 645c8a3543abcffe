//! The paths that a file names, `use` trees unfolded: `use a::{b, c::d}` is `a::b` and `a::c::d`.

use crate::tidy::rust::{Kind, Token};

/// A path of at least two segments, and the line that it starts on.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Path {
    pub(crate) segments: Vec<String>,
    pub(crate) line: usize,
}

/// Trees deeper than this are not unfolded further; rustfmt's widest are four deep.
const DEEPEST: usize = 16;

/// Every path in the tokens, in order.
pub(crate) fn paths(tokens: &[Token]) -> Vec<Path> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if starts_path(tokens, at) {
            at = tree(tokens, at, &[], &mut found, 0);
        } else {
            at += 1;
        }
    }
    found.retain(|path| path.segments.len() > 1);
    found
}

/// `$crate::…` stands in a macro and is a path of whoever uses it.
fn starts_path(tokens: &[Token], at: usize) -> bool {
    let in_macro = at
        .checked_sub(1)
        .and_then(|before| tokens.get(before))
        .is_some_and(|token| token.is_mark('$'));
    !in_macro && tokens.get(at).is_some_and(|token| token.word().is_some()) && is_separator(tokens, at + 1)
}

fn is_separator(tokens: &[Token], at: usize) -> bool {
    let is_colon = |index: usize| tokens.get(index).is_some_and(|token| token.is_mark(':'));
    is_colon(at) && is_colon(at + 1)
}

/// Read `word(::word)*` with perhaps `::{trees}` at its end; returns the index after it.
fn tree(tokens: &[Token], start: usize, prefix: &[String], found: &mut Vec<Path>, depth: usize) -> usize {
    let line = tokens.get(start).map_or(0, |token| token.line);
    let mut segments = prefix.to_vec();
    let mut at = start;
    while let Some(word) = tokens.get(at).and_then(Token::word) {
        segments.push(word.to_owned());
        at += 1;
        if !is_separator(tokens, at) {
            break;
        }
        at += 2;
        if tokens.get(at).is_some_and(|token| token.is_mark('{')) && depth < DEEPEST {
            return group(tokens, at + 1, &segments, found, depth + 1);
        }
    }
    found.push(Path { segments, line });
    at.max(start + 1)
}

/// Read the comma-separated trees of a brace; returns the index after the closing one.
fn group(tokens: &[Token], start: usize, prefix: &[String], found: &mut Vec<Path>, depth: usize) -> usize {
    let mut at = start;
    while let Some(token) = tokens.get(at) {
        match &token.kind {
            Kind::Mark('}') => return at + 1,
            Kind::Word(word) if word == "as" => at += 2,
            Kind::Word(_) => at = tree(tokens, at, prefix, found, depth),
            Kind::Mark('*') => {
                found.push(Path {
                    segments: prefix.to_vec(),
                    line: token.line,
                });
                at += 1;
            }
            _ => at += 1,
        }
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::rust;

    fn check(text: &str, expected: &[&str]) {
        let found: Vec<String> = paths(&rust::tokens(text))
            .into_iter()
            .map(|path| path.segments.join("::"))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn use_trees_are_unfolded() {
        check(
            "use std::{fs, net::{IpAddr, TcpStream}, io as inout};",
            &["std::fs", "std::net::IpAddr", "std::net::TcpStream", "std::io"],
        );
    }

    #[test]
    fn paths_in_expressions_are_found() {
        check(
            "let a = tokio::fs::read(b)?; c.d(); e::<F>::g()",
            &["tokio::fs::read"],
        );
    }

    #[test]
    fn paths_for_users_of_a_macro_are_not_ours() {
        check("$crate::a::b(); crate::c", &["a::b", "crate::c"]);
    }

    #[test]
    fn a_glob_names_its_parent() {
        check("use super::rust::*;", &["super::rust"]);
    }
}
