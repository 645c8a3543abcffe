//! An invitation by address that three servers take part in: the inviter's, the invitee's, and the identity server's.

use std::sync::atomic::{AtomicUsize, Ordering};

use gatehouse_server::config::SmtpTls;
use gatehouse_test_mailbox::Mailbox;
use gatehouse_testkit::{TestServer, User, neighbours::free_name, user::escaped};
use serde_json::{Value, json};

use crate::town::{Town, agree, join_via};

const BOB: &str = "bob@mail.example";

/// The third server, whose bundled identity service all ask, and what it mails.
struct Identity {
    server: TestServer,
    mailbox: Mailbox,
    name: String,
    /// How many addresses were bound.
    bound: AtomicUsize,
}

impl Identity {
    async fn start(town: &Town) -> Self {
        let mailbox = Mailbox::start().await.unwrap();
        let name = free_name().unwrap();
        let server = town
            .neighbours
            .named(&name, |config| {
                config.public_baseurl = Some(format!("https://{name}"));
                config.email.smtp_host = Some("127.0.0.1".to_owned());
                config.email.smtp_port = Some(mailbox.port());
                config.email.smtp_tls = SmtpTls::None;
                config.email.from = Some("Test <matrix@test.example>".to_owned());
            })
            .await;
        Self {
            server,
            mailbox,
            name,
            bound: AtomicUsize::new(0),
        }
    }

    async fn ask(&self, token: &str, path: &str, body: &Value) -> Value {
        let path = format!("/_matrix/identity/v2{path}");
        self.server
            .request_with(token, "POST", &path, Some(body))
            .await
            .ok()
    }

    /// The user's token here, for which their homeserver vouches.
    async fn token_of(&self, user: &User<'_>) -> String {
        let path = format!("/user/{}/openid/request_token", escaped(&user.id));
        let openid = user.post(&path, json!({})).await.ok();
        let registered = self.ask("", "/account/register", &openid).await;
        registered["token"].as_str().unwrap().to_owned()
    }

    /// The user proves the address, and has their homeserver bind it.
    async fn bind(&self, user: &User<'_>, address: &str) {
        let token = self.token_of(user).await;
        // A session is for one use.
        let secret = format!("secret{}", self.bound.fetch_add(1, Ordering::Relaxed));
        let asked = json!({ "client_secret": secret, "email": address, "send_attempt": 1 });
        let answer = self.ask(&token, "/validate/email/requestToken", &asked).await;
        let sid = answer["sid"].as_str().unwrap();
        let mail = self.mailbox.next_to(address).await.unwrap();
        let code = mail.text.split_once("token=").unwrap().1;
        let code = code
            .split(|c: char| c == '&' || c.is_whitespace())
            .next()
            .unwrap();
        let submitted = json!({ "sid": sid, "client_secret": secret, "token": code });
        let proven = self.ask(&token, "/validate/email/submitToken", &submitted).await;
        assert_eq!(proven["success"], true);
        let creds = json!({ "id_server": self.name, "id_access_token": token, "sid": sid,
            "client_secret": secret });
        user.post("/account/3pid/bind", creds).await.ok();
    }

    fn invitation(&self) -> Value {
        json!({ "id_server": self.name, "medium": "email", "address": BOB })
    }
}

async fn invite(user: &User<'_>, room: &str, body: Value) {
    user.post(&format!("/rooms/{}/invite", escaped(room)), body)
        .await
        .ok();
}

#[tokio::test]
async fn an_address_that_is_bound_on_another_server_brings_its_owner_into_the_room() {
    let town = Town::new().await;
    let identity = Identity::start(&town).await;
    let (alice, bob) = town.people().await;
    for version in ["1", "6", "11", "12"] {
        let room = alice
            .create_room(json!({ "name": "Cats", "room_version": version }))
            .await;
        invite(&alice, &room, identity.invitation()).await;
        let mail = identity.mailbox.next_to(BOB).await.unwrap();
        assert!(mail.subject.contains("Cats"), "{}", mail.subject);
        identity.bind(&bob, BOB).await;
        bob.sees_room_as("invite", &room).await;
        alice.sees_membership(&room, &bob.id, "invite").await;
        let member = alice.state(&room, "m.room.member", &bob.id).await.ok();
        assert_eq!(member["third_party_invite"]["signed"]["mxid"], bob.id.as_str());
        bob.join(&room).await.ok();
        alice.sees_membership(&room, &bob.id, "join").await;
        agree(&alice, &bob, &room).await;
        let unbind = json!({ "medium": "email", "address": BOB, "id_server": identity.name });
        bob.post("/account/3pid/unbind", unbind).await.ok();
    }
}

#[tokio::test]
async fn an_address_that_is_somebodys_elsewhere_is_an_ordinary_invite() {
    let town = Town::new().await;
    let identity = Identity::start(&town).await;
    let (alice, bob) = town.people().await;
    identity.bind(&bob, BOB).await;
    let room = alice.create_room(json!({})).await;
    invite(&alice, &room, identity.invitation()).await;
    bob.sees_room_as("invite", &room).await;
    let state = alice.whole_state(&room).await;
    let waiting = state
        .as_array()
        .unwrap()
        .iter()
        .any(|event| event["type"] == "m.room.third_party_invite");
    assert!(!waiting, "{state}");
    bob.join(&room).await.ok();
    agree(&alice, &bob, &room).await;
}

#[tokio::test]
async fn t09_an_invitation_that_was_taken_back_lets_nobody_in_from_another_server() {
    let town = Town::new().await;
    let identity = Identity::start(&town).await;
    let (alice, bob) = town.people().await;
    let room = alice.create_room(json!({})).await;
    invite(&alice, &room, identity.invitation()).await;
    let state = alice.whole_state(&room).await;
    let waiting = state
        .as_array()
        .unwrap()
        .iter()
        .find(|event| event["type"] == "m.room.third_party_invite")
        .unwrap();
    let token = waiting["state_key"].as_str().unwrap();
    alice
        .set_state(&room, "m.room.third_party_invite", token, json!({}))
        .await
        .ok();
    let open = alice.create_room(json!({})).await;
    invite(&alice, &open, identity.invitation()).await;
    for _ in [&room, &open] {
        identity.mailbox.next_to(BOB).await.unwrap();
    }
    identity.bind(&bob, BOB).await;
    // Both invitations are told together; the one that stands arrives.
    bob.sees_room_as("invite", &open).await;
    join_via(&bob, &room, &alice).await.refused(403, "M_FORBIDDEN");
    let member = alice.state(&room, "m.room.member", &bob.id).await;
    assert_eq!(member.status, 404, "{member:?}");
}
