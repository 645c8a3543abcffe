//! `gatehouse_rooms::token`: the tokens of sync and of pages.

use gatehouse_rooms::token::Token;

pub(super) const CORPUS: &[&[u8]] = &[
    b"t0",
    b"t42",
    b"t0042",
    b"t9223372036854775807",
    b"t9223372036854775808",
    b"s1_2_3",
    b"t",
];

/// A token that is read is written again, short, and read the same.
pub fn token(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else {
        return false;
    };
    let Ok(token) = text.parse::<Token>() else {
        return false;
    };
    let written = token.to_string();
    assert!(written.len() <= 20, "{written}");
    assert_eq!(written.parse(), Ok(token));
    let position = token.position();
    assert!(Token::before(position) <= token && token <= Token::after(position.next()));
    assert!(Token::START <= token);
    true
}
