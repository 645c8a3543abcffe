//! Paths of requests. What is signed is the path as it is sent, so it is made here and nowhere else.

use std::fmt::Write as _;

/// A path of the server-server API with its segments encoded, such as `/_matrix/federation/v1/event/%24x`.
pub(crate) fn path(version: &str, segments: &[&str]) -> String {
    let mut path = format!("/_matrix/federation/{version}");
    for segment in segments {
        path.push('/');
        encode(segment, &mut path);
    }
    path
}

/// The path with a query.
pub(crate) fn with_query<'a>(mut path: String, pairs: impl IntoIterator<Item = (&'a str, String)>) -> String {
    for (index, (name, value)) in pairs.into_iter().enumerate() {
        path.push(if index == 0 { '?' } else { '&' });
        path.push_str(name);
        path.push('=');
        encode(&value, &mut path);
    }
    path
}

/// RFC 3986: all but the unreserved characters.
fn encode(text: &str, out: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            _ = write!(out, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_do_not_change_the_shape_of_a_path() {
        assert_eq!(
            path("v2", &["send_join", "!a/b?c:d", "$ä#%"]),
            "/_matrix/federation/v2/send_join/%21a%2Fb%3Fc%3Ad/%24%C3%A4%23%25"
        );
        let queried = with_query(
            "/x".to_owned(),
            [("v", "$a&b=c".to_owned()), ("limit", "1 +".to_owned())],
        );
        assert_eq!(queried, "/x?v=%24a%26b%3Dc&limit=1%20%2B");
    }
}
