//! Nobody has the server contact what is in its own network, whatever they name (security.md I01, T14, T16, T17).

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use gatehouse_events::SigningKey;
use gatehouse_testkit::{started, user::escaped};
use ruma::{CanonicalJsonObject, signatures::sign_json};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::{
    hostile::{Hostile, invite, join},
    mail::{mailed, mailed_with},
};

/// Something on this machine that nobody is to reach.
struct Private {
    port: u16,
    connections: Arc<AtomicUsize>,
}

impl Private {
    async fn start() -> Self {
        // IPv6 with IPv4 inside, where the machine has it.
        let listener = match TcpListener::bind("[::]:0").await {
            Ok(listener) => listener,
            Err(_) => TcpListener::bind("127.0.0.1:0").await.unwrap(),
        };
        let port = listener.local_addr().unwrap().port();
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&connections);
        tokio::spawn(async move {
            while listener.accept().await.is_ok() {
                counted.fetch_add(1, Ordering::SeqCst);
            }
        });
        Self { port, connections }
    }

    /// It, in every way in which a URL may say it.
    fn names(&self) -> Vec<String> {
        let hosts = [
            "127.0.0.1",
            "localhost",
            "127.1",
            "0x7f.1",
            "2130706433",
            "0",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "[::127.0.0.1]",
            "[64:ff9b::7f00:1]",
        ];
        hosts.map(|host| format!("{host}:{}", self.port)).to_vec()
    }

    fn is_untouched(&self) {
        assert_eq!(self.connections.load(Ordering::SeqCst), 0);
    }
}

#[tokio::test]
async fn t14_i01_the_url_of_a_key_leads_to_no_private_address() {
    let private = Private::start().await;
    let server = started().await;
    let (alice, bob, carol) = (
        server.user("alice").await,
        server.user("bob").await,
        server.user("carol").await,
    );
    let room = alice.create_room(json!({})).await;
    alice.act_on("invite", &room, &carol.id).await.ok();
    carol.join(&room).await.ok();
    let key = SigningKey::from_seed([5; 32], "0").unwrap();
    let mut urls = vec![
        "file:///etc/passwd".to_owned(),
        "nonsense".to_owned(),
        String::new(),
    ];
    for name in private.names() {
        urls.push(format!("http://{name}/isvalid"));
        urls.push(format!("https://{name}/isvalid"));
    }
    for (number, url) in urls.iter().enumerate() {
        let token = format!("carols{number}");
        let event = json!({
            "display_name": "b...",
            "public_key": key.public_key_base64(),
            "key_validity_url": url,
            "public_keys": [{ "public_key": key.public_key_base64(), "key_validity_url": url }],
        });
        carol
            .set_state(&room, "m.room.third_party_invite", &token, event)
            .await
            .ok();
        let block = json!({ "mxid": bob.id, "token": token });
        let mut block: CanonicalJsonObject = serde_json::from_value(block).unwrap();
        sign_json("id.example", &key, &mut block).unwrap();
        let before = alice.whole_state(&room).await;
        let refused = join(&bob, &room, &serde_json::to_value(block).unwrap()).await;
        assert_eq!(refused.status, 502, "{url}: {}", refused.body);
        refused.refused(502, "M_UNKNOWN");
        assert_eq!(alice.whole_state(&room).await, before);
    }
    private.is_untouched();
}

#[tokio::test]
async fn t17_i01_an_identity_server_in_a_private_network_is_not_contacted() {
    let private = Private::start().await;
    // Whichever servers may be named: any, or none.
    for trusted in [vec!["*".to_owned()], Vec::new()] {
        let mailed = mailed_with(|config| config.identity_servers.trusted = trusted).await;
        let alice = mailed.server.user("alice").await;
        let room = alice.create_room(json!({})).await;
        let before = alice.whole_state(&room).await;
        let path = format!("/rooms/{}/invite", escaped(&room));
        for name in private.names() {
            let mut body = json!({ "id_server": name, "medium": "email", "address": "bob@mail.example" });
            alice
                .post(&path, body.clone())
                .await
                .refused(403, "M_SERVER_NOT_TRUSTED");
            body["id_access_token"] = json!("secret");
            alice.post(&path, body).await.refused(403, "M_SERVER_NOT_TRUSTED");
            let creds =
                json!({ "id_server": name, "id_access_token": "secret", "sid": "s", "client_secret": "c" });
            alice
                .post("/account/3pid/bind", creds)
                .await
                .refused(403, "M_SERVER_NOT_TRUSTED");
        }
        assert_eq!(alice.whole_state(&room).await, before);
    }
    private.is_untouched();
}

#[tokio::test]
async fn t16_a_named_server_is_reached_at_its_own_port_only() {
    let (named, other) = (Hostile::start().await, Hostile::start().await);
    let server = named.trusted().await;
    let alice = server.user("alice").await;
    let room = alice.create_room(json!({})).await;
    invite(&alice, &room, &other)
        .await
        .refused(403, "M_SERVER_NOT_TRUSTED");
    assert_eq!(other.times_asked(), 0);
    invite(&alice, &room, &named).await.ok();
    assert!(named.times_asked() > 0);
}

#[tokio::test]
async fn t16_the_bundled_server_is_asked_without_a_connection() {
    // Its name leads nowhere.
    let mailed = mailed().await;
    let alice = mailed.server.user("alice").await;
    let room = alice.create_room(json!({})).await;
    let path = format!("/rooms/{}/invite", escaped(&room));
    let body =
        json!({ "id_server": "matrix.test.example", "medium": "email", "address": "bob@mail.example" });
    alice.post(&path, body).await.ok();
    let state = alice.whole_state(&room).await;
    let invitation = state
        .as_array()
        .unwrap()
        .iter()
        .find(|event| event["type"] == "m.room.third_party_invite");
    let url = &invitation.unwrap()["content"]["key_validity_url"];
    assert!(
        url.as_str().unwrap().starts_with("https://matrix.test.example/"),
        "{url}"
    );
    mailed.mailbox.next_to("bob@mail.example").await.unwrap();
    assert_ne!(state, Value::Null);
}
