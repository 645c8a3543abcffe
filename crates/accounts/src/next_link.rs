//! Where whoever has proven an address may be sent on: only to hosts that the operator names, since anybody can have
//! a message sent that leads there.

/// Longer links are nobody's.
const MAX_BYTES: usize = 2_048;

/// Whether the link leads to one of these hosts by HTTP. What can be read in more than one way leads nowhere.
pub(crate) fn is_allowed(link: &str, hosts: &[String]) -> bool {
    let plain = link.len() <= MAX_BYTES && link.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    let rest = link
        .strip_prefix("https://")
        .or_else(|| link.strip_prefix("http://"));
    let host = rest.and_then(|rest| rest.split(['/', '?', '#']).next());
    plain && host.is_some_and(|host| hosts.iter().any(|allowed| allowed.eq_ignore_ascii_case(host)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_only_to_hosts_that_the_operator_names() {
        let hosts = ["app.example".to_owned(), "app.example:8443".to_owned()];
        for good in [
            "https://app.example",
            "http://APP.example/a?b#c",
            "https://app.example:8443/",
        ] {
            assert!(is_allowed(good, &hosts), "{good}");
            assert!(!is_allowed(good, &[]), "{good}");
        }
        for bad in [
            "",
            "javascript:alert(1)",
            "//app.example",
            "https:app.example",
            "https://app.example@evil.example",
            "https://evil.example\\@app.example",
            "https://app.example.evil.example",
            "https://sub.app.example",
            "https://app.example:1",
            "https://app.example/\r\nX: y",
            "https://app.example/ä",
        ] {
            assert!(!is_allowed(bad, &hosts), "{bad}");
        }
        assert!(!is_allowed(
            &format!("https://app.example/{}", "a".repeat(MAX_BYTES)),
            &hosts
        ));
    }
}
