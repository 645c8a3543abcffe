//! Links that open a room in a client.

use minijinja::{Value, context};
use ruma::{RoomId, ServerName};

/// A client that pages offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// As people know it.
    pub name: String,
    /// Where it opens a room: `{room}` stands for the room's id and `{via}` for a server that is in it, both escaped for
    /// a URL.
    pub url: String,
}

/// A link on a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClientLink {
    name: String,
    url: String,
}

impl From<ClientLink> for Value {
    fn from(link: ClientLink) -> Self {
        context! { name => link.name, url => link.url }
    }
}

/// The links to the room: the clients that the operator chose, then the two that work with any client.
pub(crate) fn client_links(clients: &[Client], room_id: &RoomId, via: &ServerName) -> Vec<ClientLink> {
    let (room, via) = (escaped(room_id.as_str()), escaped(via.as_str()));
    let chosen = clients.iter().map(|client| ClientLink {
        name: client.name.clone(),
        url: client.url.replace("{room}", &room).replace("{via}", &via),
    });
    let opaque = escaped(room_id.as_str().trim_start_matches('!'));
    let any = [
        ClientLink {
            name: "The Matrix client on this device".to_owned(),
            url: format!("matrix:roomid/{opaque}?action=join&via={via}"),
        },
        ClientLink {
            name: "Choose a client (matrix.to)".to_owned(),
            url: format!("https://matrix.to/#/{room}?via={via}"),
        },
    ];
    chosen.chain(any).collect()
}

fn escaped(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes())
        .collect::<String>()
        .replace('+', "%20")
}

#[cfg(test)]
mod tests {
    use ruma::{room_id, server_name};

    use super::*;

    #[test]
    fn rooms_open_in_the_clients_of_the_operator_and_in_any_other() {
        let clients = [Client {
            name: "Element".to_owned(),
            url: "https://app.example/#/room/{room}?via={via}".to_owned(),
        }];
        let links = client_links(
            &clients,
            room_id!("!a/b:hs.example:8448"),
            server_name!("hs.example:8448"),
        );
        let urls: Vec<_> = links.iter().map(|link| link.url.as_str()).collect();
        assert_eq!(
            urls,
            [
                "https://app.example/#/room/%21a%2Fb%3Ahs.example%3A8448?via=hs.example%3A8448",
                "matrix:roomid/a%2Fb%3Ahs.example%3A8448?action=join&via=hs.example%3A8448",
                "https://matrix.to/#/%21a%2Fb%3Ahs.example%3A8448?via=hs.example%3A8448",
            ]
        );
    }
}
