//! A homeserver and an identity server as two processes that know each other by address only. Both say the same
//! `server_name`, as operators do who run the two for one domain.

mod world;

use serde_json::json;

use self::world::World;

const BOB: &str = "bob@mail.example";

#[tokio::test]
async fn whoever_is_invited_by_mail_comes_in_through_an_identity_server_apart() {
    let world = World::start().await;
    let alice = world.register("alice").await;
    let room = world.create_room(&alice, "Cats").await;
    // As clients of 2015 do it, without a token: the homeserver gets one, and so has its OpenID token checked.
    world.invite(&alice, &room, BOB).await;
    let events = world.third_party_invites(&alice, &room).await;
    assert_eq!(events.len(), 1);
    let content = &events[0]["content"];
    assert!(!content.to_string().contains(BOB), "{content}");
    let asks = content["key_validity_url"].as_str().unwrap();
    assert!(asks.starts_with(&world.identity.url), "{content}");
    let mail = world.mailbox.next_to(BOB).await.unwrap();
    assert!(mail.subject.contains("Cats"), "{}", mail.subject);
    let page = world.page(mail.link().unwrap()).await;
    for text in ["Cats", "alice", world.homeserver_name(), world.identity_name()] {
        assert!(page.contains(text), "{text}: {page}");
    }
    assert!(!page.contains("<form"), "{page}");
    let bob = world.register("bob").await;
    world.bind(&bob, BOB).await;
    world.invited(&bob, &room).await;
    world.join(&bob, &room).await;
    let page = world.page(mail.link().unwrap()).await;
    assert!(page.contains("has been accepted"), "{page}");
    // From now on the address is a user's, who is invited like anybody else.
    let room = world.create_room(&alice, "Dogs").await;
    world.invite(&alice, &room, BOB).await;
    assert!(world.third_party_invites(&alice, &room).await.is_empty());
    world.join(&bob, &room).await;
}

#[tokio::test]
async fn an_identity_server_apart_takes_addresses_back_when_the_homeserver_asks() {
    let world = World::start().await;
    let alice = world.register("alice").await;
    let bob = world.register("bob").await;
    world.bind(&bob, BOB).await;
    let body = json!({ "medium": "email", "address": BOB, "id_server": world.identity_name() });
    let unbound = world.post(&bob, "/account/3pid/unbind", body).await;
    assert_eq!(unbound["id_server_unbind_result"], "success", "{unbound}");
    let room = world.create_room(&alice, "Cats").await;
    world.invite(&alice, &room, BOB).await;
    assert_eq!(world.third_party_invites(&alice, &room).await.len(), 1);
}

#[tokio::test]
async fn an_invitation_reaches_a_homeserver_that_was_away_when_the_address_was_bound() {
    let mut world = World::start().await;
    let alice = world.register("alice").await;
    let room = world.create_room(&alice, "Cats").await;
    world.invite(&alice, &room, BOB).await;
    let bob = world.register("bob").await;
    let proven = world.proven(&bob, BOB).await;
    world.stop_homeserver();
    proven.bind(&world, &bob).await;
    world.kill_identity_server();
    world.start_again();
    world.invited(&bob, &room).await;
    world.join(&bob, &room).await;
}

#[tokio::test]
async fn tokens_that_no_homeserver_gave_are_refused() {
    let world = World::start().await;
    world.register("alice").await;
    for (token, name) in [
        ("invented", world.homeserver_name().to_owned()),
        // Nobody listens there, and it may not be asked whether somebody does.
        ("invented", "127.0.0.1:1".to_owned()),
        ("invented", world.identity_name().to_owned()),
    ] {
        let body = json!({
            "access_token": token, "token_type": "Bearer", "matrix_server_name": name, "expires_in": 60,
        });
        let path = "/_matrix/identity/v2/account/register";
        let (status, answer) = world
            .identity
            .request("POST", path, None, Some(body))
            .await
            .unwrap();
        assert!([401, 502].contains(&status), "{name}: {answer}");
        assert!(answer.get("token").is_none(), "{name}: {answer}");
    }
}
