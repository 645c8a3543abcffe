use super::*;
use crate::{
    IdentityServerError, create::CreateRoom, identity_servers::StoredInvite, tables::USED_INVITE_TOKENS,
    write_tests::house::request,
};

#[tokio::test]
async fn an_unknown_address_is_remembered_by_the_room() {
    for version in versions() {
        let (world, token) = World::invited(version).await;
        let event = world.state("m.room.third_party_invite", &token).await.unwrap();
        assert_eq!(event["display_name"], "b...@m...");
        assert_eq!(event["public_keys"][0]["public_key"], event["public_key"]);
        assert_eq!(event["key_validity_url"], "https://id.example/isvalid");
        assert!(!event.to_string().contains("bob"), "an address is in an event");
        let facts = world.identity.facts.lock().clone().unwrap();
        assert_eq!(facts.room_join_rules.as_deref(), Some("invite"));
    }
}

#[tokio::test]
async fn a_known_address_is_an_ordinary_invite() {
    let world = World::new(newest()).await;
    *world.identity.owner.lock() = Some(world.bob.clone());
    world
        .rooms
        .invite_by_address(&world.alice, &world.room, &invite())
        .await
        .unwrap();
    assert_eq!(world.membership(&world.bob).await, MembershipState::Invite);
    let again = world.rooms.join(&world.bob, &world.room, &Join::default()).await;
    again.unwrap();
    let refused = world
        .rooms
        .invite_by_address(&world.alice, &world.room, &invite())
        .await
        .unwrap_err();
    assert!(
        matches!(refused, WriteError::Refused(Refusal::AlreadyJoined(_))),
        "{refused:?}"
    );
}

#[tokio::test]
async fn who_may_not_invite_is_told_before_anybody_is_asked() {
    let world = World::new(newest()).await;
    let carol = user("carol");
    let refused = world
        .rooms
        .invite_by_address(&carol, &world.room, &invite())
        .await;
    assert!(matches!(
        refused,
        Err(WriteError::Refused(Refusal::InviterNotInRoom))
    ));
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
        .set_state("m.room.power_levels", "", r#"{"invite":50,"users":{}}"#)
        .await;
    let before = world.events().await;
    let refused = world
        .rooms
        .invite_by_address(&carol, &world.room, &invite())
        .await;
    assert!(matches!(
        refused,
        Err(WriteError::Refused(Refusal::PowerTooLow { .. }))
    ));
    assert_eq!((world.identity.asked(), world.events().await), (0, before));
}

#[tokio::test]
async fn t20_a_display_name_that_holds_the_address_is_refused() {
    let world = World::new(newest()).await;
    let before = world.events().await;
    for name in ["bob@mail.example", "I am BOB@Mail.Example!"] {
        *world.identity.display_name.lock() = name.to_owned();
        let refused = world
            .rooms
            .invite_by_address(&world.alice, &world.room, &invite())
            .await;
        let bad = WriteError::IdentityServer(IdentityServerError::BadAnswer).to_string();
        assert_eq!(refused.unwrap_err().to_string(), bad);
    }
    assert_eq!(world.events().await, before);
}

async fn create(world: &World, change: impl FnOnce(&mut CreateRoom)) -> Result<OwnedRoomId, WriteError> {
    let mut asked = request(newest(), Preset::PrivateChat);
    asked.name = Some("Cats".to_owned());
    asked.invite_3pid = vec![invite()];
    change(&mut asked);
    world.rooms.create(&world.alice, &asked, None).await
}

#[tokio::test]
async fn a_new_room_invites_addresses_or_is_not_made() {
    let mut world = World::new(newest()).await;
    world.room = create(&world, |_| {}).await.unwrap();
    let token = world.identity.last_token();
    assert!(world.state("m.room.third_party_invite", &token).await.is_some());
    assert_eq!(
        world.identity.facts.lock().clone().unwrap().room_name.as_deref(),
        Some("Cats")
    );
    *world.identity.owner.lock() = Some(world.bob.clone());
    world.room = create(&world, |_| {}).await.unwrap();
    assert_eq!(world.membership(&world.bob).await, MembershipState::Invite);
    // Whom the room invites already is not invited twice.
    world.room = create(&world, |asked| asked.invite = vec![user("bob")])
        .await
        .unwrap();
    assert_eq!(world.membership(&world.bob).await, MembershipState::Invite);
    *world.identity.owner.lock() = None;
    *world.identity.display_name.lock() = "bob@mail.example".to_owned();
    let before = world.events().await;
    assert!(create(&world, |_| {}).await.is_err());
    assert_eq!(world.events().await, before, "half a room was made");
}

#[tokio::test]
async fn b11_an_address_that_a_new_room_names_twice_is_invited_once() {
    let mut world = World::new(newest()).await;
    world.room = create(&world, |asked| asked.invite_3pid = vec![invite(), invite()])
        .await
        .unwrap();
    assert_eq!(world.identity.tokens(), 1);
}

/// Answers of an identity server that no room keeps.
const UNSOUND: [fn(&mut StoredInvite); 12] = [
    |stored| stored.token = String::new(),
    |stored| stored.token = "t".repeat(256),
    |stored| stored.token = "for bob@mail.example".to_owned(),
    |stored| stored.public_keys.clear(),
    |stored| stored.public_keys = vec![stored.public_keys[0].clone(); 9],
    |stored| stored.public_keys[0].public_key = "AAAA".to_owned(),
    |stored| stored.public_keys[0].public_key = "no key at all".to_owned(),
    |stored| stored.public_keys[0].key_validity_url = "https://id.example/?for=bob%40mail.example".to_owned(),
    |stored| stored.public_keys[0].key_validity_url = format!("https://id.example/{}", "x".repeat(3_000)),
    |stored| stored.display_name = "b o b @ m a i l . e x a m p l e".to_owned(),
    |stored| stored.display_name = "x".repeat(3_000),
    |stored| {
        let mut other = stored.public_keys[0].clone();
        other.public_key = String::new();
        stored.public_keys.push(other);
    },
];

#[tokio::test]
async fn t20_t21_a_room_keeps_no_nonsense_and_no_address() {
    let world = World::new(newest()).await;
    let before = world.events().await;
    for (number, spoil) in UNSOUND.into_iter().enumerate() {
        *world.identity.spoil.lock() = Some(spoil);
        let refused = world
            .rooms
            .invite_by_address(&world.alice, &world.room, &invite())
            .await;
        assert!(
            matches!(
                refused,
                Err(WriteError::IdentityServer(IdentityServerError::BadAnswer))
            ),
            "{number}: {refused:?}"
        );
    }
    let mut by_phone = invite();
    by_phone.address = Threepid::parse("msisdn", "447700900123").unwrap();
    for name in ["+447700900123", "+44 (7700) 900-123"] {
        *world.identity.spoil.lock() = None;
        *world.identity.display_name.lock() = name.to_owned();
        let refused = world
            .rooms
            .invite_by_address(&world.alice, &world.room, &by_phone)
            .await;
        assert!(refused.is_err(), "{name}");
    }
    assert_eq!(world.events().await, before);
}

#[tokio::test]
async fn nobody_is_asked_for_a_room_whose_creator_may_not_invite() {
    let world = World::new("11".parse().unwrap()).await;
    let before = world.events().await;
    let refused = create(&world, |asked| {
        asked.version = "11".parse().unwrap();
        asked.power_level_content_override = content(r#"{"invite":101}"#);
    })
    .await;
    assert!(
        matches!(refused, Err(WriteError::Refused(Refusal::PowerTooLow { .. }))),
        "{refused:?}"
    );
    assert_eq!((world.identity.asked(), world.events().await), (0, before));
}

/// What the identity server of this process keeps, in a table of ours.
fn kept_row(token: &str) -> ((OwnedRoomId, String), (OwnedUserId,)) {
    let nowhere = "!kept:s".try_into().unwrap();
    ((nowhere, token.to_owned()), (user("kept"),))
}

fn with_row(stored: &mut StoredInvite) {
    let (key, row) = kept_row(&stored.token);
    stored.beside.put(&USED_INVITE_TOKENS, &key, &row);
}

fn with_row_in_vain(stored: &mut StoredInvite) {
    with_row(stored);
    // As when somebody has bound the address meanwhile.
    let (key, row) = kept_row("never");
    stored.beside.expect(&USED_INVITE_TOKENS, &key, Some(&row));
}

async fn kept(world: &World) -> usize {
    let rows = world
        .store
        .scan(&USED_INVITE_TOKENS, &Range::all(), Direction::Forward, 10)
        .await;
    rows.unwrap().len()
}

#[tokio::test]
async fn r30_what_is_kept_here_is_committed_with_the_rooms_event_or_not_at_all() {
    let mut world = World::new(newest()).await;
    *world.identity.spoil.lock() = Some(with_row);
    world
        .rooms
        .invite_by_address(&world.alice, &world.room, &invite())
        .await
        .unwrap();
    assert_eq!(kept(&world).await, 1);
    world.room = create(&world, |_| {}).await.unwrap();
    assert_eq!(kept(&world).await, 2);
    *world.identity.spoil.lock() = Some(with_row_in_vain);
    let before = world.events().await;
    let refused = world
        .rooms
        .invite_by_address(&world.alice, &world.room, &invite())
        .await;
    assert!(matches!(refused, Err(WriteError::Contended)), "{refused:?}");
    let refused = create(&world, |_| {}).await;
    assert!(matches!(refused, Err(WriteError::Contended)), "{refused:?}");
    assert_eq!((kept(&world).await, world.events().await), (2, before));
}

#[tokio::test]
async fn an_address_that_becomes_somebodys_meanwhile_is_an_ordinary_invite() {
    let world = World::new(newest()).await;
    *world.identity.spoil.lock() = Some(with_row_in_vain);
    *world.identity.then_owned_by.lock() = Some(world.bob.clone());
    world
        .rooms
        .invite_by_address(&world.alice, &world.room, &invite())
        .await
        .unwrap();
    assert_eq!(world.membership(&world.bob).await, MembershipState::Invite);
    assert_eq!(kept(&world).await, 0);
    let token = world.identity.last_token();
    assert_eq!(world.state("m.room.third_party_invite", &token).await, None);
}

#[tokio::test]
async fn b11_the_same_invitation_is_one_event() {
    let world = World::new(newest()).await;
    let invited = async |sender: &UserId, spoil: fn(&mut StoredInvite)| {
        *world.identity.spoil.lock() = Some(spoil);
        let invite = invite();
        let invited = world.rooms.invite_by_address(sender, &world.room, &invite);
        invited.await.unwrap();
        world.events().await
    };
    let same: fn(&mut StoredInvite) = |stored| stored.token = "same".to_owned();
    let first = invited(&world.alice, same).await;
    assert_eq!(
        invited(&world.alice, same).await,
        first,
        "what is said twice is done once"
    );
    let other = invited(&world.alice, |stored| stored.token = "other".to_owned()).await;
    assert_eq!(other, first + 1);
    // Taken back, and invited anew.
    world.set_state("m.room.third_party_invite", "same", "{}").await;
    assert_eq!(invited(&world.alice, same).await, other + 2);
    let event = world.state("m.room.third_party_invite", "same").await.unwrap();
    assert_eq!(event["display_name"], "b...@m...");
}
