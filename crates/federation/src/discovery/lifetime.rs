//! How long an answer may be believed, as its headers say.

use gatehouse_outbound::OutboundAnswer;
use http::header::{CACHE_CONTROL, DATE, EXPIRES};

/// When the answer says nothing (server-server API: 24 hours).
const UNSAID_MS: u64 = 24 * 3_600 * 1_000;

/// The bounds: shorter would be a question with each request, longer than 48 hours the specification forbids.
const SHORTEST_MS: u64 = 5 * 60 * 1_000;
pub(super) const LONGEST_MS: u64 = 48 * 3_600 * 1_000;

/// For how long, in milliseconds.
pub(super) fn lifetime_ms(answer: &OutboundAnswer) -> u64 {
    let said = answer
        .header(&CACHE_CONTROL)
        .and_then(of_cache_control)
        .or_else(|| of_expires(answer));
    said.unwrap_or(UNSAID_MS).clamp(SHORTEST_MS, LONGEST_MS)
}

fn of_cache_control(header: &str) -> Option<u64> {
    let directives: Vec<String> = header
        .split(',')
        .map(|directive| directive.trim().to_ascii_lowercase())
        .collect();
    if directives.iter().any(|it| it == "no-store" || it == "no-cache") {
        return Some(0);
    }
    let age = directives.iter().find_map(|it| it.strip_prefix("max-age="))?;
    let seconds: u64 = age.trim_matches('"').parse().ok()?;
    Some(seconds.saturating_mul(1_000))
}

/// By the answerer's own clock, when it tells it. What cannot be read has expired (RFC 9111, 5.3).
fn of_expires(answer: &OutboundAnswer) -> Option<u64> {
    let expires = answer.header(&EXPIRES)?;
    let Ok(expires) = httpdate::parse_http_date(expires) else {
        return Some(0);
    };
    let said = httpdate::parse_http_date(answer.header(&DATE)?).ok()?;
    let lifetime = expires.duration_since(said).unwrap_or_default();
    Some(u64::try_from(lifetime.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue};

    use super::*;

    fn check(headers: &[(&str, &str)], expected_s: u64) {
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::try_from(*name).unwrap(),
                    HeaderValue::from_str(value).unwrap(),
                )
            })
            .collect();
        let answer = OutboundAnswer {
            status: 200,
            content_type: None,
            headers: headers.clone(),
            body: Vec::new().into(),
        };
        assert_eq!(lifetime_ms(&answer), expected_s * 1_000, "{headers:?}");
    }

    #[test]
    fn answers_are_believed_as_long_as_they_say_within_bounds() {
        check(&[], 24 * 3_600);
        check(&[("cache-control", "public, Max-Age=3600")], 3_600);
        check(&[("cache-control", "max-age=1")], 300);
        check(&[("cache-control", "max-age=99999999999999999999")], 24 * 3_600);
        check(&[("cache-control", "max-age=9999999")], 48 * 3_600);
        check(&[("cache-control", "no-store, max-age=9999")], 300);
        check(&[("cache-control", "no-cache")], 300);
        let date = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");
        check(&[date, ("expires", "Sun, 06 Nov 1994 10:49:37 GMT")], 7_200);
        check(&[date, ("expires", "Sun, 06 Nov 1994 07:49:37 GMT")], 300);
        check(&[date, ("expires", "0")], 300);
        check(
            &[
                date,
                ("expires", "Sun, 06 Nov 1994 10:49:37 GMT"),
                ("cache-control", "max-age=600"),
            ],
            600,
        );
    }
}
