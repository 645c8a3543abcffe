//! Sockets, files and processes are reached from few crates; the first layer does not even wait.

use crate::tidy::{Complaint, paths::paths, source::Source};

/// Crates that may open files and sockets.
const MAY_REACH_OUT: &[&str] = &[
    "store-embedded",
    "store-postgres",
    "outbound",
    "mail",
    "http",
    "federation",
    "media",
    "server",
    "gatehouse",
];

/// The first layer: same arguments, same answer.
const PURE: &[&str] = &["events"];

/// The conformance suite is test code that other crates use: it starts children to kill them.
const SUITE: &str = "crates/store/src/conformance/";

/// Modules that reach out of the process.
const OUTSIDE: &[&[&str]] = &[
    &["std", "fs"],
    &["std", "net"],
    &["std", "process"],
    &["std", "os", "unix", "net"],
    &["tokio", "fs"],
    &["tokio", "net"],
    &["tokio", "process"],
];

/// Types of `std::net` that are only numbers.
const ONLY_NUMBERS: &[&str] = &[
    "IpAddr",
    "Ipv4Addr",
    "Ipv6Addr",
    "SocketAddr",
    "SocketAddrV4",
    "SocketAddrV6",
    "AddrParseError",
];

pub(crate) fn check(sources: &[Source]) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    for source in sources.iter().filter(|source| source.is_production()) {
        if !MAY_REACH_OUT.contains(&source.krate.as_str()) && !source.path.starts_with(SUITE) {
            for path in paths(&source.tokens) {
                let segments: Vec<&str> = path.segments.iter().map(String::as_str).collect();
                if reaches_out(&segments) {
                    complaints.push(Complaint::new(
                        source.place(path.line),
                        format!("{} is for {} only", segments.join("::"), MAY_REACH_OUT.join(", ")),
                    ));
                }
            }
        }
        if PURE.contains(&source.krate.as_str()) {
            for token in source
                .tokens
                .iter()
                .filter(|token| token.is_word("async") || token.is_word("await"))
            {
                complaints.push(Complaint::new(
                    source.place(token.line),
                    "the first layer has no asynchronous code",
                ));
            }
        }
    }
    complaints
}

fn reaches_out(segments: &[&str]) -> bool {
    OUTSIDE.iter().any(|outside| segments.starts_with(outside))
        && !segments.get(2).is_some_and(|name| ONLY_NUMBERS.contains(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaints(krate: &str, text: &str) -> usize {
        let path = format!("crates/{krate}/src/a.rs");
        check(&[Source::new(krate, &path, "src/a.rs", text.to_owned())]).len()
    }

    #[test]
    fn an_engine_opens_no_files_and_no_sockets() {
        assert_eq!(complaints("rooms", "use std::{fs, net::TcpStream};"), 2);
        assert_eq!(complaints("rooms", "fn a() { tokio::fs::read(b); }"), 1);
        assert_eq!(complaints("server", "use std::fs;"), 0);
    }

    #[test]
    fn an_address_is_only_a_number() {
        assert_eq!(complaints("accounts", "use std::net::IpAddr;"), 0);
    }

    #[test]
    fn the_first_layer_does_not_wait() {
        assert_eq!(complaints("events", "async fn a() {}"), 1);
    }
}
