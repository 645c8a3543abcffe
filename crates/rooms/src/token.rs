//! Pagination tokens: one form for `/sync`, `/messages`, `/members?at=` and all other pages.

use std::{fmt, str::FromStr};

use gatehouse_store::Position;
use thiserror::Error;

/// A point between two events: after everything at its position and before, ahead of everything later.
///
/// So paginating back from a token starts with the event at its position, and forward with the one after it; what
/// `/sync` hands out as `next_batch` and `prev_batch` works wherever a token is taken. Opaque to clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub Position);

/// The text is not a token that this server has given out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "This is not a pagination token of this server; leave it out, or take it from the response of an earlier request."
)]
pub struct InvalidToken;

impl Token {
    /// Ahead of everything that the store holds.
    pub const START: Self = Self(Position::ZERO);

    /// The point just before the event at this position.
    #[must_use]
    pub fn before(position: Position) -> Self {
        Self(position.previous())
    }

    /// The point just after the event at this position.
    #[must_use]
    pub fn after(position: Position) -> Self {
        Self(position)
    }

    /// Everything at and before this position lies behind the token.
    pub fn position(self) -> Position {
        self.0
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "t{}", self.0.number())
    }
}

impl FromStr for Token {
    type Err = InvalidToken;

    fn from_str(text: &str) -> Result<Self, InvalidToken> {
        let digits = text.strip_prefix('t').ok_or(InvalidToken)?;
        // `u64::from_str` would take a sign.
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(InvalidToken);
        }
        let number = digits.parse().map_err(|_| InvalidToken)?;
        Position::new(number).map(Self).ok_or(InvalidToken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_reads_back_as_it_was_written() {
        for number in [0, 1, 42, Position::MAX.number()] {
            let token = Token(Position::new(number).unwrap());
            assert_eq!(token.to_string().parse(), Ok(token));
        }
    }

    #[test]
    fn other_text_is_refused() {
        for text in [
            "",
            "t",
            "5",
            "t-1",
            "t+1",
            "t 1",
            "s1",
            "t1_2",
            "t1x",
            "t9223372036854775808",
            "t99999999999999999999",
        ] {
            assert_eq!(text.parse::<Token>(), Err(InvalidToken), "{text}");
        }
    }

    #[test]
    fn before_and_after_an_event_enclose_it_alone() {
        let position = Position::new(7).unwrap();
        assert_eq!(Token::before(position).position().next(), position);
        assert_eq!(Token::after(position).position(), position);
    }
}
