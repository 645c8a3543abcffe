use gatehouse_events::SigningKey;
use ruma::{CanonicalJsonObject, OwnedServerName, owned_server_name};

use super::{handing_on::neighbours, identity_server::sign_with, *};
use crate::IdentityServerError;

#[tokio::test]
async fn a_bound_address_is_invited_in_the_name_of_the_inviter() {
    for version in versions() {
        let (world, token) = World::invited(version).await;
        let signed = world.identity.sign(&block(&world.bob, &token));
        world.bind(signed.clone()).await;
        let member = world.state("m.room.member", world.bob.as_str()).await.unwrap();
        assert_eq!(member["membership"], "invite");
        assert_eq!(member["third_party_invite"]["display_name"], "b...@m...");
        assert_eq!(member["third_party_invite"]["signed"], signed);
        let before = world.events().await;
        world.bind(signed).await;
        assert_eq!(world.events().await, before, "what is said twice is done once");
        world
            .rooms
            .join(&world.bob, &world.room, &Join::default())
            .await
            .unwrap();
        assert_eq!(world.membership(&world.bob).await, MembershipState::Join);
    }
}

#[tokio::test]
async fn who_shows_the_signed_block_joins() {
    for version in versions() {
        let (world, token) = World::invited(version).await;
        let with_sender = json!({ "mxid": world.bob, "sender": world.alice, "token": token });
        let signed = world.identity.sign(&with_sender);
        world.join_with(&world.bob, signed).await.unwrap();
        assert_eq!(world.membership(&world.bob).await, MembershipState::Join);
    }
}

#[tokio::test]
async fn t05_a_signature_by_another_key_is_refused() {
    let (world, token) = World::invited(newest()).await;
    let own = SigningKey::from_seed([1; 32], "0").unwrap();
    let forged = sign_with(&own, &block(&world.bob, &token));
    world.is_refused(forged, ThirdPartyRefusal::WrongSignature).await;
    let mut altered = world.identity.sign(&block(&user("carol"), &token));
    altered["mxid"] = json!(world.bob);
    world.is_refused(altered, ThirdPartyRefusal::WrongSignature).await;
    let mut unsigned = world.identity.sign(&block(&world.bob, &token));
    unsigned["signatures"] = json!({});
    world
        .is_refused(unsigned, ThirdPartyRefusal::WrongSignature)
        .await;
}

#[tokio::test]
async fn t05_a_true_signature_among_false_ones_counts() {
    let (world, token) = World::invited(newest()).await;
    let mut signed = world.identity.sign(&block(&world.bob, &token));
    signed["signatures"]["other.example"] = json!({ "ed25519:0": "AAAA", "curve:1": "x" });
    signed["signatures"]["id.example"]["ed25519:9"] = json!("nonsense");
    world.join_with(&world.bob, signed).await.unwrap();
}

#[tokio::test]
async fn t06_a_block_for_another_user_is_refused() {
    let (world, token) = World::invited(newest()).await;
    let carols = world.identity.sign(&block(&user("carol"), &token));
    world.is_refused(carols, ThirdPartyRefusal::OtherUser).await;
}

#[tokio::test]
async fn t07_only_the_one_who_invited_the_address_is_the_sender() {
    let (world, token) = World::invited(newest()).await;
    let carol = user("carol");
    let before = world.events().await;
    let signed = world.identity.sign(&block(&world.bob, &token));
    world.bind_as(&world.bob, &carol, &world.room, signed).await;
    assert_eq!(world.events().await, before);
}

#[tokio::test]
async fn t08_a_token_of_another_room_is_unknown() {
    let (mut world, token) = World::invited(newest()).await;
    world.room = room(
        &world.rooms,
        &world.alice,
        "11".parse().unwrap(),
        Preset::PrivateChat,
    )
    .await;
    let signed = world.identity.sign(&block(&world.bob, &token));
    world.is_refused(signed, ThirdPartyRefusal::UnknownToken).await;
}

#[tokio::test]
async fn t09_an_invitation_that_was_taken_back_is_refused() {
    for gone in [
        "{}",
        r#"{"public_keys":[]}"#,
        r#"{"public_keys":"x","public_key":1}"#,
        r#"{"public_keys":[1]}"#,
        r#"{"public_key":null,"display_name":"x"}"#,
    ] {
        let (world, token) = World::invited(newest()).await;
        world.set_state("m.room.third_party_invite", &token, gone).await;
        let signed = world.identity.sign(&block(&world.bob, &token));
        world.is_refused(signed, ThirdPartyRefusal::Revoked).await;
    }
    let (world, token) = World::invited(newest()).await;
    let nonsense = r#"{"public_keys":[{"public_key":"no key"}],"display_name":"x"}"#;
    world
        .set_state("m.room.third_party_invite", &token, nonsense)
        .await;
    let signed = world.identity.sign(&block(&world.bob, &token));
    world.is_refused(signed, ThirdPartyRefusal::WrongSignature).await;
}

#[tokio::test]
async fn t10_a_used_token_does_not_bring_back_who_was_kicked() {
    let (world, token) = World::invited(newest()).await;
    let signed = world.identity.sign(&block(&world.bob, &token));
    world.join_with(&world.bob, signed.clone()).await.unwrap();
    world
        .rooms
        .kick(&world.alice, &world.bob, &world.room, &plain())
        .await
        .unwrap();
    let refused = world.join_with(&world.bob, signed.clone()).await.unwrap_err();
    assert!(matches!(
        refused,
        WriteError::Refused(Refusal::ThirdParty(ThirdPartyRefusal::Used))
    ));
    world.bind(signed.clone()).await;
    assert_eq!(world.membership(&world.bob).await, MembershipState::Leave);
    // And the room forgets the invitation, as its sender still may.
    assert_eq!(
        world.state("m.room.third_party_invite", &token).await,
        Some(json!({}))
    );
    world.is_refused(signed, ThirdPartyRefusal::Revoked).await;
}

#[tokio::test]
async fn t11_a_token_is_for_one_user() {
    let (world, token) = World::invited(newest()).await;
    world.bind(world.identity.sign(&block(&world.bob, &token))).await;
    let carol = user("carol");
    let carols = world.identity.sign(&block(&carol, &token));
    let refused = world.join_with(&carol, carols).await.unwrap_err();
    assert!(matches!(
        refused,
        WriteError::Refused(Refusal::ThirdParty(ThirdPartyRefusal::Used))
    ));
    assert_eq!(world.membership(&carol).await, MembershipState::Leave);
}

#[tokio::test]
async fn t11_of_two_who_use_a_token_at_once_one_comes_in() {
    let (world, token) = World::invited(newest()).await;
    let carol = user("carol");
    let bobs = world.identity.sign(&block(&world.bob, &token));
    let carols = world.identity.sign(&block(&carol, &token));
    let (one, other) = tokio::join!(world.join_with(&world.bob, bobs), world.join_with(&carol, carols));
    assert_eq!(
        u8::from(one.is_ok()) + u8::from(other.is_ok()),
        1,
        "{one:?} {other:?}"
    );
}

#[tokio::test]
async fn t12_the_inviter_may_have_left_but_not_been_banned() {
    for version in versions() {
        let (world, token) = World::invited(version).await;
        world
            .rooms
            .invite(&world.alice, &user("carol"), &world.room, &plain())
            .await
            .unwrap();
        world
            .rooms
            .join(&user("carol"), &world.room, &Join::default())
            .await
            .unwrap();
        world
            .rooms
            .leave(&world.alice, &world.room, &plain())
            .await
            .unwrap();
        world.bind(world.identity.sign(&block(&world.bob, &token))).await;
        assert_eq!(world.membership(&world.bob).await, MembershipState::Invite);
    }
    let world = World::new("11".parse().unwrap()).await;
    let carol = user("carol");
    world
        .rooms
        .invite(&world.alice, &carol, &world.room, &plain())
        .await
        .unwrap();
    world
        .rooms
        .join(&carol, &world.room, &Join::default())
        .await
        .unwrap();
    world
        .rooms
        .invite_by_address(&carol, &world.room, &invite())
        .await
        .unwrap();
    let token = world.identity.last_token();
    world
        .rooms
        .ban(&world.alice, &carol, &world.room, &plain())
        .await
        .unwrap();
    let signed = world.identity.sign(&block(&world.bob, &token));
    world.is_refused(signed, ThirdPartyRefusal::InviterBanned).await;
}

#[tokio::test]
async fn t13_who_is_banned_stays_out() {
    let (world, token) = World::invited(newest()).await;
    world
        .rooms
        .ban(&world.alice, &world.bob, &world.room, &plain())
        .await
        .unwrap();
    let before = world.events().await;
    let signed = world.identity.sign(&block(&world.bob, &token));
    world.bind(signed.clone()).await;
    let refused = world.join_with(&world.bob, signed).await.unwrap_err();
    assert!(matches!(
        refused,
        WriteError::Refused(Refusal::TargetBanned(_) | Refusal::Banned)
    ));
    assert_eq!(world.events().await, before);
}

#[tokio::test]
async fn t14_a_key_that_its_server_does_not_vouch_for_is_refused() {
    let (world, token) = World::invited(newest()).await;
    let signed = world.identity.sign(&block(&world.bob, &token));
    *world.identity.validity.lock() = Ok(false);
    world
        .is_refused(signed.clone(), ThirdPartyRefusal::KeyNotValid)
        .await;
    *world.identity.validity.lock() = Err(IdentityServerError::Unreachable);
    let before = world.events().await;
    let refused = world.join_with(&world.bob, signed.clone()).await.unwrap_err();
    assert!(matches!(
        refused,
        WriteError::IdentityServer(IdentityServerError::Unreachable)
    ));
    let bound = bound(&world.bob, &world.alice, &world.room, &signed);
    let later = world.rooms.accept_bound(&bound).await;
    assert!(later.is_err(), "whoever delivers is told to try again");
    assert_eq!(world.events().await, before);
    // A failure is never kept, nor taken for a yes.
    *world.identity.validity.lock() = Ok(true);
    world.bind(signed).await;
    assert_eq!(world.membership(&world.bob).await, MembershipState::Invite);
}

#[tokio::test]
async fn t18_nothing_is_done_for_users_of_others_or_nobody() {
    let (world, token) = World::invited(newest()).await;
    let before = world.events().await;
    for name in ["@nobody:s", "@bob:elsewhere"] {
        let mxid: OwnedUserId = name.try_into().unwrap();
        let signed = world.identity.sign(&block(&mxid, &token));
        world.bind_as(&mxid, &world.alice, &world.room, signed).await;
    }
    assert_eq!(world.events().await, before);
}

fn exchange(world: &World, mxid: &UserId, signed: &Value) -> Value {
    json!({
        "type": "m.room.member",
        "room_id": world.room,
        "sender": world.alice,
        "state_key": mxid,
        "content": {
            "membership": "invite",
            "displayname": "Somebody else",
            "third_party_invite": { "display_name": "Somebody else", "signed": signed },
        },
    })
}

async fn exchanged(world: &World, origin: &OwnedServerName, event: &Value) -> Result<(), WriteError> {
    let event: CanonicalJsonObject = content(&event.to_string());
    world
        .rooms
        .exchange_third_party_invite(origin, &world.room, &event)
        .await
}

#[tokio::test]
async fn t19_another_server_hands_in_a_block_and_we_make_the_event() {
    let (world, _, token) = neighbours().await;
    let dave: OwnedUserId = "@dave:elsewhere".try_into().unwrap();
    let elsewhere = owned_server_name!("elsewhere");
    let good = exchange(&world, &dave, &world.identity.sign(&block(&dave, &token)));
    let before = world.events().await;
    for (field, value) in [
        ("type", json!("m.room.message")),
        ("room_id", json!("!other:s")),
        ("sender", json!("@dave:elsewhere")),
        ("state_key", json!("@bob:s")),
        ("state_key", json!("dave")),
        ("content", json!({ "membership": "join" })),
        ("content", json!({ "membership": "invite" })),
        ("content", json!([])),
    ] {
        let mut wrong = good.clone();
        wrong[field] = value;
        let refused = exchanged(&world, &elsewhere, &wrong).await.unwrap_err();
        assert!(
            matches!(refused, WriteError::BadContent(_)),
            "{field}: {refused:?}"
        );
    }
    let third = owned_server_name!("third.example");
    assert!(matches!(
        exchanged(&world, &third, &good).await,
        Err(WriteError::BadContent(_))
    ));
    assert_eq!(world.events().await, before);
    exchanged(&world, &elsewhere, &good).await.unwrap();
    let member = world.state("m.room.member", dave.as_str()).await.unwrap();
    assert_eq!(
        member["third_party_invite"]["display_name"], "b...@m...",
        "E02: nothing of theirs is kept"
    );
    assert_eq!(member.get("displayname"), None);
}

#[test]
fn t18_only_whole_bodies_of_bounded_length_are_read() {
    let invite = json!({ "room_id": "!r:s", "sender": "@a:s",
        "signed": { "mxid": "@b:s", "token": "t", "signatures": {} } });
    let read = |body: Value| BoundAddress::read(&content(&body.to_string())).map(|bound| bound.invites.len());
    assert_eq!(read(json!({ "mxid": "@b:s" })), Some(0));
    assert_eq!(
        read(json!({ "mxid": "@b:s", "invites": vec![invite.clone(); 100] })),
        Some(100)
    );
    assert_eq!(
        read(json!({ "mxid": "@b:s", "invites": vec![invite.clone(); 101] })),
        None
    );
    for (field, value) in [
        ("room_id", json!("nowhere")),
        ("sender", json!(1)),
        ("signed", json!({})),
        ("signed", json!({ "mxid": "b", "token": "t", "signatures": {} })),
        (
            "signed",
            json!({ "mxid": "@b:s", "token": "t", "signatures": [] }),
        ),
    ] {
        let mut wrong = invite.clone();
        wrong[field] = value;
        assert_eq!(
            read(json!({ "mxid": "@b:s", "invites": [wrong] })),
            None,
            "{field}"
        );
    }
    assert_eq!(read(json!({ "mxid": "b", "invites": [] })), None);
    assert_eq!(read(json!({ "mxid": "@b:s", "invites": {} })), None);
}

#[tokio::test]
async fn keys_in_either_alphabet_of_base64_count() {
    for alphabet in [["+", "/"], ["-", "_"]] {
        let world = World::new(newest()).await;
        *world.identity.alphabet.lock() = alphabet;
        assert!(
            world
                .identity
                .public_key()
                .contains(alphabet.map(|end| end.chars().next().unwrap())),
            "a key that tells the alphabets apart"
        );
        world
            .rooms
            .invite_by_address(&world.alice, &world.room, &invite())
            .await
            .unwrap();
        let signed = world
            .identity
            .sign(&block(&world.bob, &world.identity.last_token()));
        world.join_with(&world.bob, signed).await.unwrap();
    }
}
