//! State, members and summaries.

use ruma::{events::room::member::MembershipState, room_id};
use serde_json::json;

use super::fixture::{House, user, viewer};
use crate::{ReadError, members::MembersQuery, token::Token};

#[tokio::test]
async fn d07_who_left_sees_the_state_of_then() {
    let house = House::new();
    let (owner, reader, late) = (user("owner"), user("reader"), user("late"));
    let room = house.room(&owner).await;
    house
        .state(&room, &owner, "m.room.name", "", json!({ "name": "then" }))
        .await;
    house.member(&room, &reader, &reader, "join").await;
    house.member(&room, &owner, &reader, "ban").await;
    house
        .state(&room, &owner, "m.room.name", "", json!({ "name": "now" }))
        .await;
    house
        .state(&room, &owner, "m.room.topic", "", json!({ "topic": "new" }))
        .await;
    house.member(&room, &late, &late, "join").await;

    let state = house.rooms.room_state(viewer(&reader), &room).await.unwrap();
    let text: Vec<_> = state
        .iter()
        .map(|event| event.event.content.get().to_owned())
        .collect();
    assert!(text.iter().any(|content| content.contains("then")));
    assert!(
        !text
            .iter()
            .any(|content| content.contains("now") || content.contains("late"))
    );
    let name = house
        .rooms
        .room_state_event(viewer(&reader), &room, "m.room.name", "")
        .await
        .unwrap();
    assert_eq!(name.content().get(), r#"{"name":"then"}"#);
    let topic = house
        .rooms
        .room_state_event(viewer(&reader), &room, "m.room.topic", "")
        .await;
    assert!(matches!(topic, Err(ReadError::StateNotFound)));
    let members = house
        .rooms
        .members(viewer(&reader), &room, &MembersQuery::default())
        .await
        .unwrap();
    assert_eq!(members.len(), 2, "the owner and the reader's ban");
    let joined = house.rooms.joined_members(&reader, &room).await;
    assert!(matches!(joined, Err(ReadError::NotInRoom)));
}

#[tokio::test]
async fn d06_strangers_see_neither_members_nor_state_unless_all_the_world_does() {
    let house = House::new();
    let (owner, stranger) = (user("owner"), user("stranger"));
    let room = house.room(&owner).await;
    let at = Some(Token(house.rooms.store.position()));
    for query in [
        MembersQuery::default(),
        MembersQuery {
            at,
            ..MembersQuery::default()
        },
    ] {
        let members = house.rooms.members(viewer(&stranger), &room, &query).await;
        assert!(matches!(members, Err(ReadError::NotInRoom)));
    }
    assert!(house.rooms.room_state(viewer(&stranger), &room).await.is_err());
    house.visibility(&room, &owner, "world_readable").await;
    assert!(house.rooms.room_state(viewer(&stranger), &room).await.is_ok());
    let members = house
        .rooms
        .members(viewer(&stranger), &room, &MembersQuery::default())
        .await;
    assert!(members.is_ok());
    let then = MembersQuery {
        at,
        ..MembersQuery::default()
    };
    let before = house.rooms.members(viewer(&stranger), &room, &then).await;
    assert!(matches!(before, Err(ReadError::NotVisibleThen)));
    assert!(house.rooms.joined_members(&stranger, &room).await.is_err());
}

#[tokio::test]
async fn members_are_those_of_the_point_asked_for() {
    let house = House::new();
    let (owner, early, late) = (user("owner"), user("early"), user("late"));
    let room = house.room(&owner).await;
    let joined = house.member(&room, &early, &early, "join").await;
    let at = Token::after(house.position(&joined).await);
    house.member(&room, &early, &early, "leave").await;
    house.member(&room, &late, &late, "join").await;
    let members = async |query: MembersQuery| {
        let events = house.rooms.members(viewer(&owner), &room, &query).await.unwrap();
        let mut members: Vec<_> = events
            .iter()
            .map(|event| event.event.state_key.clone().unwrap())
            .collect();
        members.sort();
        members
    };
    let then = members(MembersQuery {
        at: Some(at),
        ..MembersQuery::default()
    })
    .await;
    assert_eq!(then, [early.as_str(), owner.as_str()]);
    let now = members(MembersQuery::default()).await;
    assert_eq!(now, [early.as_str(), late.as_str(), owner.as_str()]);
    let left = members(MembersQuery {
        membership: Some(MembershipState::Leave),
        ..MembersQuery::default()
    })
    .await;
    assert_eq!(left, [early.as_str()]);
    let not_left = members(MembersQuery {
        not_membership: Some(MembershipState::Leave),
        ..MembersQuery::default()
    });
    assert_eq!(not_left.await, [late.as_str(), owner.as_str()]);
    let either = members(MembersQuery {
        membership: Some(MembershipState::Leave),
        not_membership: Some(MembershipState::Join),
        ..MembersQuery::default()
    });
    assert_eq!(either.await, [early.as_str()]);
}

#[tokio::test]
async fn joined_rooms_are_only_those_one_is_joined_to() {
    let house = House::new();
    let (owner, guest) = (user("owner"), user("guest"));
    let (joined, left, invited) = (
        house.room(&owner).await,
        house.room(&owner).await,
        house.room(&owner).await,
    );
    house.member(&joined, &guest, &guest, "join").await;
    house.member(&left, &guest, &guest, "join").await;
    house.member(&left, &guest, &guest, "leave").await;
    house.member(&invited, &owner, &guest, "invite").await;
    assert_eq!(house.rooms.joined_rooms(&guest).await.unwrap(), [joined]);
}

#[tokio::test]
async fn a_summary_is_for_those_who_could_come_in() {
    let house = House::new();
    let (owner, stranger) = (user("owner"), user("stranger"));
    let room = house.room(&owner).await;
    house
        .state(&room, &owner, "m.room.name", "", json!({ "name": "Public" }))
        .await;
    // Content of the wrong type is as good as absent (D08).
    house
        .state(
            &room,
            &owner,
            "m.room.topic",
            "",
            json!({ "topic": ["not", "text"] }),
        )
        .await;
    let summary = house.rooms.room_summary(None, &room).await.unwrap();
    assert_eq!(summary.room.name.as_deref(), Some("Public"));
    assert_eq!((summary.room.topic, summary.membership), (None, None));
    assert_eq!(summary.room.num_joined_members, 1);

    house
        .state(
            &room,
            &owner,
            "m.room.join_rules",
            "",
            json!({ "join_rule": "invite" }),
        )
        .await;
    let hidden = house
        .rooms
        .room_summary(Some(&stranger), &room)
        .await
        .unwrap_err();
    let missing = house
        .rooms
        .room_summary(Some(&stranger), room_id!("!no:s"))
        .await
        .unwrap_err();
    assert_eq!(hidden.to_string(), missing.to_string());
    house.member(&room, &owner, &stranger, "invite").await;
    let summary = house.rooms.room_summary(Some(&stranger), &room).await.unwrap();
    assert_eq!(summary.membership, Some(MembershipState::Invite));
    assert!(house.rooms.room_summary(Some(&owner), &room).await.is_ok());
}

#[tokio::test]
async fn a_restricted_room_is_known_to_members_of_the_rooms_it_allows() {
    let house = House::new();
    let (owner, member, stranger) = (user("owner"), user("member"), user("stranger"));
    let (allowed, room) = (house.room(&owner).await, house.room(&owner).await);
    house.member(&allowed, &member, &member, "join").await;
    let rule = json!({
        "join_rule": "restricted",
        "allow": [{ "type": "m.room_membership", "room_id": allowed }, "nonsense"],
    });
    house.state(&room, &owner, "m.room.join_rules", "", rule).await;
    let summary = house.rooms.room_summary(Some(&member), &room).await.unwrap();
    assert_eq!(summary.room.allowed_room_ids, [allowed]);
    assert!(house.rooms.room_summary(Some(&stranger), &room).await.is_err());
    assert!(house.rooms.room_summary(None, &room).await.is_err());
}

#[tokio::test]
async fn rooms_made_alike_in_one_moment_are_two() {
    let house = House::new();
    let owner = user("owner");
    let version = "12".parse().unwrap();
    let mut made = std::collections::BTreeSet::new();
    for _ in 0..3 {
        let create = gatehouse_events::json::parse_content(br#"{"room_version":"12"}"#).unwrap();
        let transaction = house
            .rooms
            .begin_new(version, None, &owner, create)
            .await
            .unwrap();
        made.insert(transaction.head().room_id.clone());
        transaction.commit().await.unwrap();
    }
    assert_eq!(made.len(), 3);
}
