//! `wildcard_matches` of `gatehouse_rooms::filter`, beside a slow one that is plainly right.

use gatehouse_rooms::filter::wildcard_matches;

use super::halves;

pub(super) const CORPUS: &[&[u8]] = &[
    b"m.room.*\xFFm.room.message",
    b"*\xFFanything",
    b"a*b*c\xFFaxbybzc",
    b"*ab*ab\xFFabab",
    b"**\xFF",
    b"a*a\xFFa",
    b"\xE2\x98\x95*\xFF\xE2\x98\x95\xE2\x98\x95",
];

/// Longer ones would be slow for the slow one.
const LONGEST: usize = 300;

/// Says the same as a table of every prefix of the pattern with every prefix of the text.
pub fn wildcard(data: &[u8]) -> bool {
    let (pattern, text) = halves(data);
    let (Ok(pattern), Ok(text)) = (std::str::from_utf8(pattern), std::str::from_utf8(text)) else {
        return false;
    };
    let matches = wildcard_matches(pattern, text);
    if pattern.len().max(text.len()) <= LONGEST {
        assert_eq!(
            matches,
            by_table(pattern.as_bytes(), text.as_bytes()),
            "{pattern} {text}"
        );
    }
    matches
}

/// `row` says of each prefix of the text whether the pattern so far matches it.
fn by_table(pattern: &[u8], text: &[u8]) -> bool {
    let mut row = vec![false; text.len() + 1];
    if let Some(empty) = row.first_mut() {
        *empty = true;
    }
    for &wanted in pattern {
        row = if wanted == b'*' {
            row.iter()
                .scan(false, |seen, &matches| {
                    *seen |= matches;
                    Some(*seen)
                })
                .collect()
        } else {
            let longer = row
                .iter()
                .zip(text)
                .map(|(&matches, &byte)| matches && byte == wanted);
            std::iter::once(false).chain(longer).collect()
        };
    }
    row.last().copied().unwrap_or_default()
}
