//! Ids as paths and bodies name them, and the grammar of aliases.

use gatehouse_directory::alias_grammar::{MAX_ALIAS_BYTES, local_alias, parse_alias};
use gatehouse_events::RoomVersion;
use ruma::{EventId, RoomId, RoomOrAliasId, ServerName, UserId, server_name};

pub(super) const CORPUS: &[&[u8]] = &[
    b"@alice:example.org",
    b"@al.ic_e=/+-:example.org:8448",
    b"@Historical!:[::1]:8008",
    b"#room:example.org",
    b"#\xE2\x98\x95:1.2.3.4:80",
    b"!opaque:example.org",
    b"!31hneApxJ_1o-63DmFrpeqnkFfWppnzWso1JvH3ogLM",
    b"$event:example.org",
    b"$Rqnc-F-dvnEYJTyHq_iKxU2bZ1CI92-kuZq3a5lr5Zg",
    b"example.org:8448",
    b"12",
];

/// The longest id that there is (appendices, "Common Identifier Format").
const MAX_ID_BYTES: usize = 255;

/// An id that is read is the text itself, its parts can be taken, and it is not too long.
pub fn identifier(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else {
        return false;
    };
    let accepted = [
        user(text),
        room(text),
        event(text),
        alias(text),
        server(text),
        version(text),
    ];
    accepted.contains(&true)
}

fn user(text: &str) -> bool {
    let Ok(id) = UserId::parse(text) else {
        return false;
    };
    assert!(text.len() <= MAX_ID_BYTES && id.as_str() == text);
    assert_eq!(format!("@{}:{}", id.localpart(), id.server_name()), text);
    true
}

fn room(text: &str) -> bool {
    if let Ok(id) = RoomOrAliasId::parse(text) {
        assert_eq!(id.is_room_id(), RoomId::parse(text).is_ok());
    }
    let Ok(id) = RoomId::parse(text) else {
        return false;
    };
    assert!(text.len() <= MAX_ID_BYTES && id.as_str() == text);
    id.server_name();
    true
}

fn event(text: &str) -> bool {
    let Ok(id) = EventId::parse(text) else {
        return false;
    };
    // Without a server name its form has no longest; who keeps one checks its length.
    assert_eq!(id.as_str(), text);
    id.localpart();
    id.server_name();
    true
}

fn alias(text: &str) -> bool {
    let server = server_name!("example.org");
    if let Ok(alias) = local_alias(text, server) {
        assert_eq!((alias.alias(), alias.server_name()), (text, server));
        assert_eq!(parse_alias(alias.as_str()), Ok(alias));
    }
    let Ok(alias) = parse_alias(text) else {
        return false;
    };
    assert!(text.len() <= MAX_ALIAS_BYTES && alias.as_str() == text);
    assert_eq!(format!("#{}:{}", alias.alias(), alias.server_name()), text);
    assert!(!text.contains(char::is_whitespace));
    true
}

fn server(text: &str) -> bool {
    let Ok(name) = ServerName::parse(text) else {
        return false;
    };
    assert_eq!(name.as_str(), text);
    let port = name.port().map(|port| format!(":{port}")).unwrap_or_default();
    assert!(text.starts_with(name.host()) && text.len() >= name.host().len() + port.len());
    true
}

fn version(text: &str) -> bool {
    text.parse::<RoomVersion>().is_ok_and(|version| {
        assert_eq!(version.name(), text);
        true
    })
}
