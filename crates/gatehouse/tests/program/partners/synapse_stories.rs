//! Our identity service, with Synapse as the homeserver of those who use it.

use gatehouse_test_mailbox::Mailbox;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{
    authority::Authority,
    gatehouse::{Gatehouse, Role},
    identity_account::IdentityAccount,
    invitation::{assert_invited_by, assert_joined, the_invitation},
    partner::until,
    person::Person,
    sms_gateway::SmsGateway,
    synapse::Synapse,
};

const BOB: &str = "bob@mail.example";

/// A Gatehouse whose identity service sends mail, and a Synapse whose users name it.
struct World {
    mailbox: Mailbox,
    gatehouse: Gatehouse,
    synapse: Synapse,
    _dir: TempDir,
}

impl World {
    async fn begin() -> Self {
        Self::begin_with(Role::Homeserver, "").await
    }

    /// With a Gatehouse run as this, with these settings beside those for mail.
    async fn begin_with(role: Role, settings: &str) -> Self {
        let dir = TempDir::new().unwrap();
        let authority = Authority::found(dir.path());
        let mailbox = Mailbox::start().await.unwrap();
        let settings = format!(
            "[email]\nsmtp_host = \"127.0.0.1\"\nsmtp_port = {}\nsmtp_tls = \"none\"\n\
             from = \"Gatehouse <gatehouse@id.example>\"\n\n{settings}",
            mailbox.port()
        );
        let gatehouse = Gatehouse::start(dir.path(), &authority, role, &settings);
        let delegate = format!(
            "account_threepid_delegates: {{msisdn: 'https://{}'}}",
            gatehouse.name
        );
        let synapse = Synapse::start(dir.path(), &authority, &delegate).await;
        Self {
            mailbox,
            gatehouse,
            synapse,
            _dir: dir,
        }
    }

    async fn person(&self, name: &str) -> Person {
        let person = Person::register(&self.synapse.url, name).await;
        assert!(person.id.ends_with(&self.synapse.name), "{}", person.id);
        person
    }

    /// The person, known to our identity service by an `OpenID` token that it checks at Synapse.
    async fn account(&self, person: &Person) -> IdentityAccount {
        IdentityAccount::register(self.gatehouse.url(), person).await
    }

    /// What an invite of the address says. Synapse knows no other form.
    fn invite(&self, address: &str, account: &IdentityAccount) -> Value {
        json!({
            "id_server": self.gatehouse.name,
            "id_access_token": account.token,
            "medium": "email",
            "address": address,
        })
    }

    /// The person proves the address to our identity service, and has Synapse bind it.
    async fn bind(&self, person: &Person, account: &IdentityAccount, address: &str) {
        let proof = account.prove(&self.mailbox, address).await;
        let body = json!({
            "id_server": self.gatehouse.name,
            "id_access_token": account.token,
            "sid": proof.sid,
            "client_secret": proof.client_secret,
        });
        person.done("POST", "/v3/account/3pid/bind", Some(body)).await;
    }

    /// Whoever was invited into the room by address comes in, once they have proven and bound it like this.
    async fn lets_in(&self, alice: &Person, room: &str, bind: impl AsyncFn(&Person)) {
        let invitation = the_invitation(alice, room, BOB).await;
        let mail = self.mailbox.next_to(BOB).await.unwrap();
        assert!(mail.defects.is_empty(), "{:?}", mail.defects);
        assert!(
            mail.text.contains("alice") && mail.text.contains("Tea party"),
            "who invites, and into what: {}",
            mail.text
        );
        let bob = self.person("bob").await;
        bind(&bob).await;
        bob.until_invited(room).await;
        let member = alice.member(room, &bob.id).await;
        assert_invited_by(&invitation, &member, &bob, &self.gatehouse.name);
        bob.join(room).await;
        assert_joined(alice, room, &bob).await;
    }
}

#[tokio::test]
async fn whoever_binds_an_address_that_synapse_invites_is_let_in() {
    for role in [Role::Homeserver, Role::IdentityServer] {
        let world = World::begin_with(role, "").await;
        let alice = world.person("alice").await;
        let account = world.account(&alice).await;
        let room = alice.create_room(json!({ "name": "Tea party" })).await;
        alice.invite(&room, world.invite(BOB, &account)).await;
        let bind = async |bob: &Person| {
            let account = world.account(bob).await;
            world.bind(bob, &account, BOB).await;
        };
        world.lets_in(&alice, &room, bind).await;
    }
}

#[tokio::test]
async fn an_address_that_is_known_here_is_an_ordinary_invite_of_synapse() {
    let world = World::begin().await;
    let (alice, bob) = (world.person("alice").await, world.person("bob").await);
    let account = world.account(&bob).await;
    world.bind(&bob, &account, BOB).await;
    let room = alice.create_room(json!({})).await;
    let account = world.account(&alice).await;
    alice.invite(&room, world.invite(BOB, &account)).await;
    assert_eq!(alice.invitations(&room).await, Vec::<Value>::new());
    let member = alice.member(&room, &bob.id).await;
    assert_eq!(member["membership"], "invite");
    assert_eq!(member["third_party_invite"], Value::Null);
    bob.until_invited(&room).await;
    bob.join(&room).await;
    assert_joined(&alice, &room, &bob).await;
}

#[tokio::test]
async fn synapse_makes_a_room_with_addresses_invited_through_us() {
    let world = World::begin().await;
    let (alice, carol) = (world.person("alice").await, world.person("carol").await);
    let account = world.account(&carol).await;
    world.bind(&carol, &account, "carol@mail.example").await;
    let account = world.account(&alice).await;
    let invites = [BOB, "carol@mail.example"].map(|address| world.invite(address, &account));
    let room = json!({ "name": "Tea party", "room_version": "11", "invite_3pid": invites });
    let room = alice.create_room(room).await;
    assert_eq!(
        alice.member(&room, &carol.id).await["membership"],
        "invite",
        "we know her"
    );
    // Early clients know no accounts there, and ask no homeserver.
    let bind = async |bob: &Person| {
        let account = IdentityAccount::legacy(world.gatehouse.url());
        let proof = account.prove(&world.mailbox, BOB).await;
        account.bind(&proof, bob).await;
    };
    world.lets_in(&alice, &room, bind).await;
}

#[tokio::test]
async fn an_invitation_that_synapse_has_revoked_lets_nobody_in_of_whom_we_tell() {
    let world = World::begin().await;
    let (alice, bob) = (world.person("alice").await, world.person("bob").await);
    let account = world.account(&alice).await;
    let room = alice.create_room(json!({ "name": "Tea party" })).await;
    alice.invite(&room, world.invite(BOB, &account)).await;
    let invitation = the_invitation(&alice, &room, BOB).await;
    world.mailbox.next_to(BOB).await.unwrap();
    alice.revoke(&room, &invitation).await;
    let account = world.account(&bob).await;
    world.bind(&bob, &account, BOB).await;
    world.synapse.until_it_refuses().await;
    until("a homeserver refuses invitations", || world.gatehouse.log()).await;
    assert_eq!(alice.member(&room, &bob.id).await, Value::Null);
}

#[tokio::test]
async fn synapse_takes_an_address_back_in_its_own_name() {
    // Synapse signs for the host where it finds the service, whatever that calls itself.
    let named = "[identity_service]\nserver_name = \"id.example\"\n";
    for (role, settings) in [(Role::Homeserver, ""), (Role::IdentityServer, named)] {
        let world = World::begin_with(role, settings).await;
        let (alice, bob) = (world.person("alice").await, world.person("bob").await);
        let account = world.account(&bob).await;
        world.bind(&bob, &account, BOB).await;
        let unbind = json!({ "id_server": world.gatehouse.name, "medium": "email", "address": BOB });
        let answer = bob.done("POST", "/v3/account/3pid/unbind", Some(unbind)).await;
        assert_eq!(answer["id_server_unbind_result"], "success");
        let account = world.account(&alice).await;
        let room = alice.create_room(json!({})).await;
        alice.invite(&room, world.invite(BOB, &account)).await;
        the_invitation(&alice, &room, BOB).await;
        let member = alice.member(&room, &bob.id).await;
        assert_eq!(member, Value::Null, "the address is nobody's");
    }
}

#[tokio::test]
async fn synapse_has_numbers_proven_by_us_over_the_legacy_api() {
    let gateway = SmsGateway::start().await;
    let sms = format!("[sms]\nurl = \"{}\"\n", gateway.url);
    let world = World::begin_with(Role::Homeserver, &sms).await;
    let bob = world.person("bob").await;
    let asked = json!({
        "country": "GB",
        "phone_number": "07700 900123",
        "client_secret": "s3cret",
        "send_attempt": 1,
    });
    let path = "/v3/account/3pid/msisdn/requestToken";
    let answer = bob.done("POST", path, Some(asked)).await;
    let sid = answer["sid"].as_str().unwrap();
    let code = gateway.code_to("+447700900123").await;
    let submit = async |token: &str| {
        let body = json!({ "client_secret": "s3cret", "sid": sid, "token": token });
        let path = "/unstable/add_threepid/msisdn/submit_token";
        bob.ask("POST", path, Some(body)).await
    };
    let (_, guessed) = submit("000000").await;
    assert_ne!(guessed["success"], true, "{guessed}");
    let add = async || {
        let auth = json!({ "type": "m.login.password", "password": "wonderland",
            "identifier": { "type": "m.id.user", "user": bob.id } });
        let body = json!({ "client_secret": "s3cret", "sid": sid, "auth": auth });
        bob.ask("POST", "/v3/account/3pid/add", Some(body)).await
    };
    assert_eq!(add().await.0, 400, "nothing is proven");
    let (status, answer) = submit(&code).await;
    assert_eq!((status, &answer["success"]), (200, &json!(true)), "{answer}");
    let (status, answer) = add().await;
    assert_eq!(status, 200, "{answer}");
    let addresses = bob.done("GET", "/v3/account/3pid", None).await;
    assert_eq!(addresses["threepids"][0]["address"], "447700900123");
}
