//! Our homeserver, with Sydent as the identity server that its users name.

use gatehouse_test_mailbox::Mailbox;
use gatehouse_testkit::user::escaped;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{
    authority::Authority,
    gatehouse::{Gatehouse, Role},
    identity_account::IdentityAccount,
    invitation::{assert_invited_by, assert_joined, the_invitation},
    person::Person,
    sydent::{Kind, Sydent, TERMS},
};

const BOB: &str = "bob@mail.example";

/// Sydent, a Gatehouse that trusts it and has no identity service of its own, and where mail to anybody arrives.
struct World {
    mailbox: Mailbox,
    sydent: Sydent,
    gatehouse: Gatehouse,
    _dir: TempDir,
}

impl World {
    async fn begin(kind: Kind) -> Self {
        let dir = TempDir::new().unwrap();
        let authority = Authority::found(dir.path());
        let mailbox = Mailbox::start().await.unwrap();
        let sydent = Sydent::start(dir.path(), &authority, &mailbox, kind).await;
        // Sydent speaks no TLS, so that the operator has to say so.
        let settings = format!(
            "[identity_service]\nenabled = false\n\n[identity_servers]\ntrusted = [\"http://{}\"]\n",
            sydent.name
        );
        let gatehouse = Gatehouse::start(dir.path(), &authority, Role::Homeserver, &settings);
        Self {
            mailbox,
            sydent,
            gatehouse,
            _dir: dir,
        }
    }

    async fn person(&self, name: &str) -> Person {
        Person::register(self.gatehouse.url(), name).await
    }

    /// The person, known to Sydent by an `OpenID` token that it checks at their homeserver.
    async fn account(&self, person: &Person) -> IdentityAccount {
        IdentityAccount::register(&self.sydent.url(), person).await
    }

    /// What an invite of the address says.
    fn invite(&self, address: &str, account: Option<&IdentityAccount>) -> Value {
        let mut body = json!({ "id_server": self.sydent.name, "medium": "email", "address": address });
        if let Some(token) = account.and_then(|account| account.token.as_ref()) {
            body["id_access_token"] = json!(token);
        }
        body
    }

    /// The person proves the address to Sydent, and has their homeserver bind it, with a token for Sydent or without.
    async fn bind(&self, person: &Person, account: &IdentityAccount, address: &str) {
        let proof = account.prove(&self.mailbox, address).await;
        let mut body = json!({
            "id_server": self.sydent.name,
            "sid": proof.sid,
            "client_secret": proof.client_secret,
        });
        if let Some(token) = &account.token {
            body["id_access_token"] = json!(token);
        }
        person.done("POST", "/v3/account/3pid/bind", Some(body)).await;
    }

    /// Whoever was invited into the room by address comes in, once they have proven it.
    async fn lets_in(&self, alice: &Person, room: &str, account: impl AsyncFn(&Person) -> IdentityAccount) {
        let invitation = the_invitation(alice, room, BOB).await;
        let mail = self.mailbox.next_to(BOB).await.unwrap();
        assert!(mail.defects.is_empty(), "{:?}", mail.defects);
        assert!(
            mail.text.contains("alice") && mail.text.contains("Tea party"),
            "who invites, and into what: {}",
            mail.text
        );
        let bob = self.person("bob").await;
        assert_eq!(alice.member(room, &bob.id).await, Value::Null);
        self.bind(&bob, &account(&bob).await, BOB).await;
        bob.until_invited(room).await;
        let member = alice.member(room, &bob.id).await;
        assert_invited_by(&invitation, &member, &bob, &self.sydent.name);
        bob.join(room).await;
        assert_joined(alice, room, &bob).await;
    }
}

#[tokio::test]
async fn whoever_binds_an_invited_address_at_sydent_is_let_in() {
    let world = World::begin(Kind::Ordinary).await;
    let alice = world.person("alice").await;
    let room = alice.create_room(json!({ "name": "Tea party" })).await;
    let account = world.account(&alice).await;
    alice.invite(&room, world.invite(BOB, Some(&account))).await;
    let account = async |bob: &Person| world.account(bob).await;
    world.lets_in(&alice, &room, account).await;
}

#[tokio::test]
async fn the_founding_form_goes_to_sydent_with_a_token_that_the_homeserver_asks_for() {
    for prefix in ["api/v1", "r0"] {
        let world = World::begin(Kind::Ordinary).await;
        let alice = world.person("alice").await;
        let room = alice.create_room(json!({ "name": "Tea party" })).await;
        let path = format!("/{prefix}/rooms/{}/invite", escaped(&room));
        alice.done("POST", &path, Some(world.invite(BOB, None))).await;
        let account = async |_: &Person| IdentityAccount::legacy(&world.sydent.url());
        world.lets_in(&alice, &room, account).await;
    }
}

#[tokio::test]
async fn the_founding_form_goes_to_a_sydent_that_has_the_legacy_api_alone() {
    let world = World::begin(Kind::Legacy).await;
    let alice = world.person("alice").await;
    let room = alice.create_room(json!({ "name": "Tea party" })).await;
    alice.invite(&room, world.invite(BOB, None)).await;
    let account = async |_: &Person| IdentityAccount::legacy(&world.sydent.url());
    world.lets_in(&alice, &room, account).await;
}

#[tokio::test]
async fn an_address_that_sydent_knows_is_an_ordinary_invite() {
    for kind in [Kind::Ordinary, Kind::Legacy] {
        let world = World::begin(kind).await;
        let (alice, bob) = (world.person("alice").await, world.person("bob").await);
        let account = IdentityAccount::legacy(&world.sydent.url());
        let proof = account.prove(&world.mailbox, BOB).await;
        account.bind(&proof, &bob).await;
        let room = alice.create_room(json!({})).await;
        alice.invite(&room, world.invite("BOB@mail.example", None)).await;
        assert_eq!(alice.invitations(&room).await, Vec::<Value>::new());
        let member = alice.member(&room, &bob.id).await;
        assert_eq!(member["membership"], "invite");
        assert_eq!(member["third_party_invite"], Value::Null);
        bob.until_invited(&room).await;
        bob.join(&room).await;
        assert_joined(&alice, &room, &bob).await;
    }
}

#[tokio::test]
async fn a_room_is_made_with_addresses_invited_through_sydent() {
    let world = World::begin(Kind::Ordinary).await;
    let (alice, carol) = (world.person("alice").await, world.person("carol").await);
    let account = world.account(&carol).await;
    world.bind(&carol, &account, "carol@mail.example").await;
    let account = world.account(&alice).await;
    let invites = [
        world.invite(BOB, Some(&account)),
        world.invite("carol@mail.example", None),
    ];
    let room = alice
        .create_room(json!({ "name": "Tea party", "invite_3pid": invites }))
        .await;
    assert_eq!(
        alice.member(&room, &carol.id).await["membership"],
        "invite",
        "Sydent knows her"
    );
    let account = async |bob: &Person| world.account(bob).await;
    world.lets_in(&alice, &room, account).await;
}

#[tokio::test]
async fn a_revoked_invitation_lets_nobody_in_of_whom_sydent_tells() {
    let world = World::begin(Kind::Ordinary).await;
    let (alice, bob) = (world.person("alice").await, world.person("bob").await);
    let room = alice.create_room(json!({ "name": "Tea party" })).await;
    alice.invite(&room, world.invite(BOB, None)).await;
    let invitation = the_invitation(&alice, &room, BOB).await;
    let mail = world.mailbox.next_to(BOB).await.unwrap();
    alice.revoke(&room, &invitation).await;
    let account = world.account(&bob).await;
    world.bind(&bob, &account, BOB).await;
    world.sydent.until_refused().await;
    assert_eq!(alice.member(&room, &bob.id).await, Value::Null);
    // Nor does the mail itself.
    let signed = account.sign(mail.link().unwrap(), &bob).await;
    let path = format!("/v3/join/{}", escaped(&room));
    let (status, answer) = bob
        .ask("POST", &path, Some(json!({ "third_party_signed": signed })))
        .await;
    assert_eq!((status, &answer["errcode"]), (403, &json!("M_FORBIDDEN")));
    assert_eq!(alice.member(&room, &bob.id).await, Value::Null);
}

#[tokio::test]
async fn whoever_has_sydents_mail_signs_with_it_and_is_let_in() {
    for kind in [Kind::Ordinary, Kind::Legacy] {
        let world = World::begin(kind).await;
        let (alice, bob) = (world.person("alice").await, world.person("bob").await);
        let room = alice.create_room(json!({ "name": "Tea party" })).await;
        alice.invite(&room, world.invite(BOB, None)).await;
        let mail = world.mailbox.next_to(BOB).await.unwrap();
        let account = IdentityAccount::legacy(&world.sydent.url());
        let signed = account.sign(mail.link().unwrap(), &bob).await;
        bob.join_with(&room, json!({ "third_party_signed": signed }))
            .await;
        assert_joined(&alice, &room, &bob).await;
    }
}

#[tokio::test]
async fn an_address_is_taken_back_from_sydent_in_the_homeservers_name() {
    for kind in [Kind::Ordinary, Kind::Legacy] {
        let world = World::begin(kind).await;
        let (alice, bob) = (world.person("alice").await, world.person("bob").await);
        let account = IdentityAccount::legacy(&world.sydent.url());
        world.bind(&bob, &account, BOB).await;
        let unbind = json!({ "id_server": world.sydent.name, "medium": "email", "address": BOB });
        let answer = bob.done("POST", "/v3/account/3pid/unbind", Some(unbind)).await;
        assert_eq!(answer["id_server_unbind_result"], "success");
        let room = alice.create_room(json!({})).await;
        alice.invite(&room, world.invite(BOB, None)).await;
        the_invitation(&alice, &room, BOB).await;
        assert_eq!(
            alice.member(&room, &bob.id).await,
            Value::Null,
            "the address is nobody's"
        );
    }
}

#[tokio::test]
async fn nobody_agrees_to_sydents_terms_but_the_user() {
    let world = World::begin(Kind::WithTerms).await;
    let alice = world.person("alice").await;
    let room = alice.create_room(json!({ "name": "Tea party" })).await;
    let account = world.account(&alice).await;
    let path = format!("/v3/rooms/{}/invite", escaped(&room));
    for account in [None, Some(&account)] {
        let (status, answer) = alice.ask("POST", &path, Some(world.invite(BOB, account))).await;
        assert_eq!((status, &answer["errcode"]), (403, &json!("M_TERMS_NOT_SIGNED")));
    }
    assert_eq!(alice.invitations(&room).await, Vec::<Value>::new());
    account.agree(TERMS).await;
    alice.invite(&room, world.invite(BOB, None)).await;
    the_invitation(&alice, &room, BOB).await;
}

#[tokio::test]
async fn an_address_that_sydent_has_seen_proven_is_added_to_the_account() {
    for kind in [Kind::Ordinary, Kind::Legacy] {
        let world = World::begin(kind).await;
        let bob = world.person("bob").await;
        let account = IdentityAccount::legacy(&world.sydent.url());
        let proof = account.prove(&world.mailbox, BOB).await;
        let creds = |client_secret: &str| {
            let creds = json!({
                "id_server": world.sydent.name,
                "sid": proof.sid,
                "client_secret": client_secret,
            });
            Some(json!({ "three_pid_creds": creds }))
        };
        let (status, answer) = bob.ask("POST", "/r0/account/3pid", creds("guessed")).await;
        assert_eq!(
            (status, &answer["errcode"]),
            (400, &json!("M_SESSION_NOT_VALIDATED")),
            "{answer}"
        );
        bob.done("POST", "/r0/account/3pid", creds(&proof.client_secret))
            .await;
        let addresses = bob.done("GET", "/v3/account/3pid", None).await;
        let addresses = addresses["threepids"].as_array().unwrap().clone();
        let [address] = addresses.as_slice() else {
            panic!("expected one address: {addresses:?}");
        };
        assert_eq!(address["address"], BOB);
        assert_eq!(address["medium"], "email");
    }
}
