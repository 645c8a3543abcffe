//! Which servers may take part in a room (client-server API, `m.room.server_acl`).

use std::collections::HashSet;

use ruma::ServerName;
use serde::Deserialize;
use serde_json::{Value, value::RawValue};

/// A room's server ACL, made ready once for an event and then asked often (E29).
#[derive(Debug, Clone, Default)]
pub struct ServerAcl {
    denies_ip_literals: bool,
    allow: Globs,
    deny: Globs,
}

/// Fields of the wrong type count as absent: an event that cannot be read must not open or close a room at random.
#[derive(Deserialize, Default)]
struct Content {
    #[serde(default)]
    allow_ip_literals: Value,
    #[serde(default)]
    allow: Value,
    #[serde(default)]
    deny: Value,
}

impl ServerAcl {
    /// Reads the content of an `m.room.server_acl` event. A room without such an event has no ACL at all; one with an
    /// empty content lets nobody in.
    pub fn parse(content: &RawValue) -> Self {
        let content: Content = serde_json::from_str(content.get()).unwrap_or_default();
        Self {
            denies_ip_literals: content.allow_ip_literals == Value::Bool(false),
            allow: Globs::of(&content.allow),
            deny: Globs::of(&content.deny),
        }
    }

    /// Whether a server may take part. Its port does not matter, and neither does the case of its name (E30).
    pub fn allows(&self, server: &ServerName) -> bool {
        if self.denies_ip_literals && server.is_ip_literal() {
            return false;
        }
        let name = server.host().to_ascii_lowercase();
        !self.deny.matches(&name) && self.allow.matches(&name)
    }
}

/// A list of patterns, in lower case.
#[derive(Debug, Clone, Default)]
struct Globs {
    /// Without wildcards: found at once, however many there are.
    names: HashSet<String>,
    patterns: Vec<Glob>,
    /// Whether `*` is among them.
    everything: bool,
}

impl Globs {
    fn of(list: &Value) -> Self {
        let mut globs = Self::default();
        for glob in list.as_array().into_iter().flatten().filter_map(Value::as_str) {
            let glob = glob.to_ascii_lowercase();
            if !glob.contains(['*', '?']) {
                globs.names.insert(glob);
            } else if glob.bytes().all(|byte| byte == b'*') {
                globs.everything = true;
            } else {
                globs.patterns.push(Glob::of(&glob));
            }
        }
        globs
    }

    fn matches(&self, name: &str) -> bool {
        let letters = letters_of(name);
        let may_match = |glob: &&Glob| glob.letters & !letters == 0;
        self.everything
            || self.names.contains(name)
            || self
                .patterns
                .iter()
                .filter(may_match)
                .any(|glob| glob.matches(name.as_bytes()))
    }
}

/// A pattern cut at its `*`. Each piece is looked for once, behind the one before it, so that no pattern makes it try
/// again.
#[derive(Debug, Clone)]
struct Glob {
    /// A name without these is not looked through at all.
    letters: u128,
    /// What the name begins with.
    first: Box<[u8]>,
    /// `None`: the first piece is the whole name.
    behind: Option<Behind>,
}

/// What comes behind a `*`.
#[derive(Debug, Clone)]
struct Behind {
    /// Somewhere, in this order.
    middle: Box<[Box<[u8]>]>,
    /// What the name ends with.
    last: Box<[u8]>,
}

impl Glob {
    fn of(glob: &str) -> Self {
        let (first, rest) = match glob.split_once('*') {
            Some((first, rest)) => (first, Some(rest)),
            None => (glob, None),
        };
        let behind = rest.map(|rest| {
            let (middle, last) = rest.rsplit_once('*').unwrap_or(("", rest));
            let pieces = middle.split('*').filter(|piece| !piece.is_empty());
            Behind {
                middle: pieces.map(|piece| piece.as_bytes().into()).collect(),
                last: last.as_bytes().into(),
            }
        });
        Self {
            letters: letters_of(glob) & !letters_of("*?"),
            first: first.as_bytes().into(),
            behind,
        }
    }

    fn matches(&self, name: &[u8]) -> bool {
        let Some(Behind { middle, last }) = &self.behind else {
            return self.first.len() == name.len() && is_at_start(&self.first, name);
        };
        let Some(between) = name.len().checked_sub(last.len()) else {
            return false;
        };
        let (mut rest, end) = name.split_at(between);
        if !is_at_start(last, end) || !is_at_start(&self.first, rest) {
            return false;
        }
        rest = rest.get(self.first.len()..).unwrap_or_default();
        for piece in middle {
            let found = rest
                .windows(piece.len())
                .position(|window| is_at_start(piece, window));
            let Some(found) = found else { return false };
            rest = rest.get(found + piece.len()..).unwrap_or_default();
        }
        true
    }
}

/// The ASCII characters of a text, a bit each.
fn letters_of(text: &str) -> u128 {
    let ascii = text.bytes().filter(u8::is_ascii);
    ascii.fold(0, |letters, byte| letters | 1 << byte)
}

/// Whether `text` begins with what `piece` wants, in which `?` is any one byte.
fn is_at_start(piece: &[u8], text: &[u8]) -> bool {
    piece.len() <= text.len()
        && piece
            .iter()
            .zip(text)
            .all(|(&wanted, &byte)| wanted == byte || wanted == b'?')
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    fn acl(content: &str) -> ServerAcl {
        ServerAcl::parse(&RawValue::from_string(content.to_owned()).unwrap())
    }

    fn check(content: &str, server: &str, allowed: bool) {
        let server = <&ServerName>::try_from(server).unwrap();
        assert_eq!(acl(content).allows(server), allowed, "{content} {server}");
    }

    #[test]
    fn the_patterns_decide() {
        let everybody = r#"{"allow":["*"]}"#;
        check(everybody, "example.org", true);
        check(everybody, "1.2.3.4:80", true);
        let but_evil = r#"{"allow":["*"],"deny":["evil.example","*.evil.example"]}"#;
        check(but_evil, "evil.example", false);
        check(but_evil, "evil.example:8448", false);
        check(but_evil, "a.b.evil.example", false);
        check(but_evil, "notevil.example", true);
        let pattern = r#"{"allow":["matrix-??.*.org","*a*b*"]}"#;
        check(pattern, "matrix-01.x.org", true);
        check(pattern, "matrix-1.x.org", false);
        check(pattern, "matrix-01.org", false);
        check(pattern, "xaxbx", true);
        check(pattern, "xbxax", false);
        check(r#"{"allow":["a*a"]}"#, "a", false);
        check(r#"{"allow":["a*a"]}"#, "aa", true);
        check(r#"{"allow":["a.b"]}"#, "axb", false);
    }

    #[test]
    fn nobody_is_allowed_by_an_empty_list() {
        for content in [
            "{}",
            r#"{"allow":"*"}"#,
            r#"{"allow":[1,null]}"#,
            "[]",
            r#"{"deny":[]}"#,
        ] {
            check(content, "example.org", false);
        }
    }

    #[test]
    fn e30_case_and_port_do_not_matter() {
        check(
            r#"{"allow":["*"],"deny":["EVIL.example"]}"#,
            "evil.EXAMPLE:1",
            false,
        );
        check(
            r#"{"allow":["*"],"deny":["*.Evil.Example"]}"#,
            "a.eVil.example",
            false,
        );
    }

    #[test]
    fn e30_addresses_are_allowed_unless_the_room_says_no() {
        let no = r#"{"allow":["*"],"allow_ip_literals":false}"#;
        for server in ["1.2.3.4", "1.2.3.4:8448", "[::1]", "[2001:db8::1]:8448"] {
            check(no, server, false);
            check(r#"{"allow":["*"],"allow_ip_literals":"no"}"#, server, true);
        }
        check(no, "example.org", true);
    }

    #[test]
    fn e29_ten_thousand_patterns_are_asked_in_a_millisecond() {
        let globs: Vec<_> = ["*a*a*a*b", "*a*a*a*b*", "?*a*?b?*", "a*b"]
            .iter()
            .cycle()
            .take(10_000)
            .collect();
        let content = serde_json::json!({"allow": ["*"], "deny": globs}).to_string();
        let acl = acl(&content);
        let name = "a".repeat(230);
        let server = <&ServerName>::try_from(name.as_str()).unwrap();
        let fastest = (0..20)
            .map(|_| {
                let began = Instant::now();
                assert!(acl.allows(server));
                began.elapsed()
            })
            .min()
            .unwrap();
        let most = if cfg!(debug_assertions) { 50 } else { 1 };
        assert!(fastest < Duration::from_millis(most), "{fastest:?}");
    }
}
