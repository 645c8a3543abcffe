//! Where a person may be sent after proving an address: only to sites that the operator names, since anybody can have
//! a message sent that leads there.

/// Longer links are nobody's (as for other URLs that clients give).
const MAX_BYTES: usize = 2_048;

/// Whether the link leads to one of these hosts by HTTP. A host stands for itself alone, not for what is below it.
///
/// What browsers read in more than one way is refused, so that no reading of it leads elsewhere.
pub(crate) fn is_allowed(link: &str, hosts: &[String]) -> bool {
    link.len() <= MAX_BYTES
        && host(link).is_some_and(|host| hosts.iter().any(|it| it.eq_ignore_ascii_case(host)))
}

/// The host and port as they stand in the link.
fn host(link: &str) -> Option<&str> {
    let plain = |byte: u8| byte.is_ascii_graphic() && byte != b'\\';
    if !link.bytes().all(plain) {
        return None;
    }
    let rest = link
        .strip_prefix("https://")
        .or_else(|| link.strip_prefix("http://"))?;
    let authority = rest.split(['/', '?', '#']).next()?;
    (!authority.is_empty() && !authority.contains('@')).then_some(authority)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_only_to_hosts_that_the_operator_names() {
        let hosts = ["chat.example.org".to_owned(), "app.example.org:8443".to_owned()];
        for good in [
            "https://chat.example.org",
            "http://Chat.example.org/welcome?a=b#c",
            "https://app.example.org:8443/",
        ] {
            assert!(is_allowed(good, &hosts), "{good}");
        }
        for bad in [
            "",
            "javascript:alert(1)",
            "file:///etc/passwd",
            "//chat.example.org",
            "HTTPS://chat.example.org",
            "https:chat.example.org",
            "https://evil.example",
            "https://evil.chat.example.org",
            "https://chat.example.org.evil.example",
            "https://chat.example.org@evil.example",
            "https://chat.example.org:8448",
            "https://app.example.org",
            "https://evil.example\\@chat.example.org",
            "https://chat.example.org\\.evil.example",
            "https://chat.example.org\r\nSet-Cookie: a=b",
            "https://chat.example.org/\t",
            "https://chat.example.org/ä",
        ] {
            assert!(!is_allowed(bad, &hosts), "{bad}");
        }
        assert!(!is_allowed(
            &format!("https://chat.example.org/{}", "a".repeat(2_048)),
            &hosts
        ));
        assert!(
            !is_allowed("https://chat.example.org", &[]),
            "nowhere unless configured"
        );
    }
}
