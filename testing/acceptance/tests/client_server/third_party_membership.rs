//! `third_party_membership.yaml`: inviting an address, with the bundled identity service.

use gatehouse_testkit::{Answer, RateLimits, User, rate, user::escaped};
use serde_json::{Value, json};

use crate::mail::{Mailed, mailed, mailed_with};

/// The bundled identity service, as clients name it.
const ID_SERVER: &str = "matrix.test.example";

const BOB: &str = "bob@mail.example";

fn body(address: &str) -> Value {
    json!({ "id_server": ID_SERVER, "medium": "email", "address": address })
}

async fn invite(user: &User<'_>, room: &str, body: Value) -> Answer {
    user.post(&format!("/rooms/{}/invite", escaped(room)), body).await
}

/// A request to the identity service, with a token of its own.
async fn identity(mailed: &Mailed, token: &str, path: &str, body: &Value) -> Answer {
    let path = format!("/_matrix/identity/v2{path}");
    mailed.server.request_with(token, "POST", &path, Some(body)).await
}

/// The user's token at the identity service.
async fn identity_token(mailed: &Mailed, user: &User<'_>) -> String {
    let path = format!("/user/{}/openid/request_token", escaped(&user.id));
    let openid = user.post(&path, json!({})).await.ok();
    let registered = identity(mailed, "", "/account/register", &openid).await.ok();
    registered["token"].as_str().unwrap().to_owned()
}

/// The user proves the address to the identity service, and binds it.
async fn prove_and_bind(mailed: &Mailed, user: &User<'_>, address: &str) {
    let token = identity_token(mailed, user).await;
    let asked = json!({ "client_secret": "s3cret", "email": address, "send_attempt": 1 });
    let answer = identity(mailed, &token, "/validate/email/requestToken", &asked)
        .await
        .ok();
    let sid = answer["sid"].as_str().unwrap();
    let link = mailed.link_to(address).await;
    let validation = link.split_once("token=").unwrap().1;
    let validation = validation.split('&').next().unwrap();
    let submitted = json!({ "sid": sid, "client_secret": "s3cret", "token": validation });
    let proven = identity(mailed, &token, "/validate/email/submitToken", &submitted)
        .await
        .ok();
    assert_eq!(proven["success"], true);
    let creds =
        json!({ "id_server": ID_SERVER, "id_access_token": token, "sid": sid, "client_secret": "s3cret" });
    user.post("/account/3pid/bind", creds).await.ok();
}

/// Waits until the user is invited to the room.
async fn invited(user: &User<'_>, room: &str) {
    let mut since = String::new();
    for _ in 0..20 {
        let sync = user.sync(&since, 2_000).await;
        if sync["rooms"]["invite"].get(room).is_some() {
            return;
        }
        since = sync["next_batch"].as_str().unwrap().to_owned();
    }
    panic!("{} is not invited", user.id);
}

async fn third_party_events(user: &User<'_>, room: &str) -> Vec<Value> {
    let state = user.whole_state(room).await;
    let events = state.as_array().unwrap().iter();
    events
        .filter(|event| event["type"] == "m.room.third_party_invite")
        .cloned()
        .collect()
}

#[tokio::test]
async fn an_address_is_invited_and_whoever_proves_it_comes_in() {
    for prefix in ["v3", "r0", "api/v1"] {
        let mailed = mailed().await;
        let alice = mailed.server.user("alice").await;
        let room = alice
            .create_room(json!({ "name": "Cats", "room_version": "11" }))
            .await;
        let path = format!("/_matrix/client/{prefix}/rooms/{}/invite", escaped(&room));
        alice.request("POST", &path, Some(&body(BOB))).await.ok();
        let events = third_party_events(&alice, &room).await;
        assert_eq!(events.len(), 1);
        assert!(
            !events[0].to_string().contains(BOB),
            "the address is in the event"
        );
        assert_eq!(events[0]["content"]["public_keys"].as_array().unwrap().len(), 2);
        let mail = mailed.mailbox.next_to(BOB).await.unwrap();
        assert!(mail.subject.contains("Cats"), "{}", mail.subject);
        let bob = mailed.server.user("bob").await;
        prove_and_bind(&mailed, &bob, BOB).await;
        invited(&bob, &room).await;
        let member = alice.state(&room, "m.room.member", &bob.id).await.ok();
        assert_eq!(member["third_party_invite"]["signed"]["mxid"], json!(bob.id));
        bob.join(&room).await.ok();
    }
}

#[tokio::test]
async fn an_address_that_is_somebodys_is_an_ordinary_invite() {
    let mailed = mailed().await;
    let (alice, bob) = (mailed.server.user("alice").await, mailed.server.user("bob").await);
    prove_and_bind(&mailed, &bob, BOB).await;
    let room = alice.create_room(json!({})).await;
    let token = identity_token(&mailed, &alice).await;
    let mut with_token = body("BOB@Mail.example");
    with_token["id_access_token"] = json!(token);
    invite(&alice, &room, with_token).await.ok();
    assert!(third_party_events(&alice, &room).await.is_empty());
    bob.join(&room).await.ok();
    // And once the address is nobody's again, it is waited for.
    let unbind = json!({ "medium": "email", "address": BOB, "id_server": ID_SERVER });
    let answer = bob.post("/account/3pid/unbind", unbind).await.ok();
    assert_eq!(answer["id_server_unbind_result"], "success");
    let room = alice.create_room(json!({ "invite_3pid": [body(BOB)] })).await;
    assert_eq!(third_party_events(&alice, &room).await.len(), 1);
}

#[tokio::test]
async fn t17_only_trusted_servers_are_asked_and_with_the_users_own_token() {
    let mailed = mailed_with(|config| config.identity_servers.trusted = Vec::new()).await;
    let (alice, bob) = (mailed.server.user("alice").await, mailed.server.user("bob").await);
    let room = alice.create_room(json!({})).await;
    let before = alice.whole_state(&room).await;
    for server in [
        "elsewhere.example",
        "127.0.0.1:1",
        "user@matrix.test.example",
        "matrix.test.example/x",
        "",
    ] {
        let mut other = body(BOB);
        other["id_server"] = json!(server);
        invite(&alice, &room, other)
            .await
            .refused(403, "M_SERVER_NOT_TRUSTED");
    }
    for token in [identity_token(&mailed, &bob).await, "nonsense".to_owned()] {
        let mut stolen = body(BOB);
        stolen["id_access_token"] = json!(token);
        invite(&alice, &room, stolen).await.forbidden("id_access_token");
    }
    assert_eq!(alice.whole_state(&room).await, before);
}

#[tokio::test]
async fn i04_what_is_no_address_is_refused() {
    let mailed = mailed().await;
    let alice = mailed.server.user("alice").await;
    let room = alice.create_room(json!({})).await;
    let before = alice.whole_state(&room).await;
    for address in [
        "",
        "bob",
        "bob@mail.example@evil.example",
        "Bob <bob@mail.example>",
        "bob@mail.example\r\nBcc: x@y.example",
    ] {
        invite(&alice, &room, body(address))
            .await
            .refused(400, "M_INVALID_PARAM");
    }
    let mut fax = body(BOB);
    fax["medium"] = json!("fax");
    invite(&alice, &room, fax).await.refused(400, "M_INVALID_PARAM");
    let phone = json!({ "id_server": ID_SERVER, "medium": "msisdn", "address": "447700900123" });
    invite(&alice, &room, phone).await.refused(400, "M_UNKNOWN");
    assert_eq!(alice.whole_state(&room).await, before);
}

#[tokio::test]
async fn t33_guests_invite_nobody() {
    let mailed = mailed().await;
    let guest = mailed.server.guest().await;
    invite(&guest, "!any:test.example", body(BOB))
        .await
        .refused(403, "M_GUEST_ACCESS_FORBIDDEN");
}

#[tokio::test]
async fn t04_invites_by_address_are_counted_by_sender_and_by_address() {
    let mailed = mailed_with(|config| {
        config.rate_limits = RateLimits {
            enabled: true,
            third_party_invites: Some(rate(0.001, 2)),
            registration: Some(rate(1_000.0, 1_000)),
            ..RateLimits::default()
        };
    })
    .await;
    let (alice, carol) = (
        mailed.server.user("alice").await,
        mailed.server.user("carol").await,
    );
    let room = alice.create_room(json!({})).await;
    for address in ["a@mail.example", "b@mail.example"] {
        invite(&alice, &room, body(address)).await.ok();
    }
    let before = alice.whole_state(&room).await;
    invite(&alice, &room, body("c@mail.example"))
        .await
        .refused(429, "M_LIMIT_EXCEEDED");
    assert_eq!(alice.whole_state(&room).await, before);
    for _ in 0..2 {
        let room = carol.create_room(json!({})).await;
        let answer = invite(&carol, &room, body("d@mail.example")).await;
        answer.ok();
    }
    let dave = mailed.server.user("dave").await;
    let room = dave.create_room(json!({})).await;
    invite(&dave, &room, body("d@mail.example"))
        .await
        .refused(429, "M_LIMIT_EXCEEDED");
}
