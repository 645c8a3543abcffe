//! What a room alias may look like (appendices, "Room aliases"), and whose it is.

use ruma::{OwnedRoomAliasId, RoomAliasId, ServerName};
use thiserror::Error;

/// An alias with sigil and server name is at most this many bytes long (appendices).
pub const MAX_ALIAS_BYTES: usize = 255;

/// Why a text is not an alias that this server can give to a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum InvalidAlias {
    /// Not of the form `#name:server`.
    #[error("A room alias has the form #name:server, without spaces and of at most 255 bytes.")]
    Form,
    /// It belongs to another server.
    #[error("This alias ends with another server's name; only that server can give it to a room.")]
    OtherServer,
}

/// Reads an alias of any server.
pub fn parse_alias(text: &str) -> Result<OwnedRoomAliasId, InvalidAlias> {
    let alias = RoomAliasId::parse(text).map_err(|_| InvalidAlias::Form)?;
    if text.len() > MAX_ALIAS_BYTES || !is_local_part(alias.alias()) {
        return Err(InvalidAlias::Form);
    }
    Ok(alias)
}

/// The local alias of this name, as `createRoom` takes it: without sigil and server name.
pub fn local_alias(name: &str, server_name: &ServerName) -> Result<OwnedRoomAliasId, InvalidAlias> {
    if name.contains(':') || name.starts_with('#') {
        return Err(InvalidAlias::Form);
    }
    parse_alias(&format!("#{name}:{server_name}"))
}

fn is_local_part(name: &str) -> bool {
    !name.is_empty()
        && !name
            .chars()
            .any(|character| character.is_whitespace() || character.is_control())
}

#[cfg(test)]
mod tests {
    use ruma::server_name;

    use super::*;

    #[test]
    fn a_name_may_hold_any_script_but_no_space() {
        let server = server_name!("example.org:8448");
        assert_eq!(local_alias("☕", server).unwrap(), "#☕:example.org:8448");
        for name in [
            "",
            "a b",
            "a:b",
            "#a",
            "a\tb",
            "a\u{0}b",
            "a\u{a0}b",
            &"x".repeat(240),
        ] {
            assert_eq!(local_alias(name, server), Err(InvalidAlias::Form), "{name:?}");
        }
    }

    #[test]
    fn an_alias_has_sigil_name_and_server() {
        assert!(parse_alias("#a:b.org").is_ok());
        for text in ["a:b.org", "#a", "#:b.org", "%a:b.org", "#a:", "#a b:c.org", ""] {
            assert_eq!(parse_alias(text), Err(InvalidAlias::Form), "{text:?}");
        }
    }
}
