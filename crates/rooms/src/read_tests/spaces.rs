//! Spaces.

use ruma::{OwnedRoomId, RoomId, UserId};
use serde_json::json;

use super::fixture::{House, user};
use crate::{
    ReadError,
    hierarchy::{HierarchyPage, HierarchyQuery},
};

async fn space(house: &House, owner: &UserId) -> OwnedRoomId {
    let create = json!({ "room_version": "11", "type": "m.space" });
    house.room_of_type(owner, create).await
}

async fn child(house: &House, owner: &UserId, space: &RoomId, child: &RoomId, order: Option<&str>) {
    let mut content = json!({ "via": ["s"] });
    if let Some(order) = order {
        content["order"] = json!(order);
        content["suggested"] = json!(true);
    }
    house
        .state(space, owner, "m.space.child", child.as_str(), content)
        .await;
}

fn rooms(page: &HierarchyPage) -> Vec<OwnedRoomId> {
    page.rooms.iter().map(|room| room.room.room_id.clone()).collect()
}

/// A space with a room, a space with a room in it, and a way back to the first.
async fn tree(house: &House, owner: &UserId) -> [OwnedRoomId; 4] {
    let (top, first) = (space(house, owner).await, house.room(owner).await);
    let (inner, deep) = (space(house, owner).await, house.room(owner).await);
    child(house, owner, &top, &inner, None).await;
    child(house, owner, &top, &first, Some("a")).await;
    child(house, owner, &inner, &deep, None).await;
    child(house, owner, &inner, &top, None).await;
    [top, first, inner, deep]
}

#[tokio::test]
async fn a_space_is_walked_depth_first_and_each_room_once() {
    let house = House::new();
    let owner = user("owner");
    let tree = tree(&house, &owner).await;
    let page = async |query: HierarchyQuery| {
        house
            .rooms
            .space_hierarchy(&owner, &tree[0], &query)
            .await
            .unwrap()
    };
    let all = page(HierarchyQuery::default()).await;
    assert_eq!(rooms(&all), tree);
    assert_eq!(all.next_batch, None);
    assert_eq!(all.rooms[0].children_state.len(), 2);
    assert_eq!(all.rooms[1].children_state.len(), 0);
    let near = page(HierarchyQuery {
        max_depth: Some(1),
        ..HierarchyQuery::default()
    })
    .await;
    assert_eq!(rooms(&near), tree[..3]);
    let suggested = page(HierarchyQuery {
        suggested_only: true,
        ..HierarchyQuery::default()
    })
    .await;
    assert_eq!(rooms(&suggested), tree[..2]);
}

#[tokio::test]
async fn pages_of_a_space_show_every_room_once() {
    let house = House::new();
    let owner = user("owner");
    let tree = tree(&house, &owner).await;
    let mut query = HierarchyQuery {
        limit: Some(1),
        ..HierarchyQuery::default()
    };
    let mut seen = Vec::new();
    loop {
        let page = house
            .rooms
            .space_hierarchy(&owner, &tree[0], &query)
            .await
            .unwrap();
        seen.extend(rooms(&page));
        query.from = page.next_batch;
        if query.from.is_none() {
            break;
        }
    }
    assert_eq!(seen, tree);
}

#[tokio::test]
async fn what_is_asked_may_not_change_between_pages() {
    let house = House::new();
    let owner = user("owner");
    let tree = tree(&house, &owner).await;
    let query = HierarchyQuery {
        limit: Some(1),
        ..HierarchyQuery::default()
    };
    let from = house
        .rooms
        .space_hierarchy(&owner, &tree[0], &query)
        .await
        .unwrap()
        .next_batch;
    for changed in [
        HierarchyQuery {
            suggested_only: true,
            from: from.clone(),
            ..HierarchyQuery::default()
        },
        HierarchyQuery {
            max_depth: Some(1),
            from,
            ..HierarchyQuery::default()
        },
    ] {
        let page = house.rooms.space_hierarchy(&owner, &tree[0], &changed).await;
        assert!(matches!(page, Err(ReadError::ChangedWhilePaging)));
    }
    for from in ["", "h", "t5", "h1_2", "h1_2_3", "h1_2_0_0", "h99999999_5_0"] {
        let query = HierarchyQuery {
            from: Some(from.to_owned()),
            ..HierarchyQuery::default()
        };
        let page = house.rooms.space_hierarchy(&owner, &tree[0], &query).await;
        assert!(matches!(page, Err(ReadError::Token(_))), "{from}");
    }
}

#[tokio::test]
async fn closed_rooms_of_a_space_are_hidden_from_strangers() {
    let house = House::new();
    let (owner, stranger) = (user("owner"), user("stranger"));
    let tree = tree(&house, &owner).await;
    let close = async |room: &RoomId| {
        house
            .state(
                room,
                &owner,
                "m.room.join_rules",
                "",
                json!({ "join_rule": "invite" }),
            )
            .await;
    };
    close(&tree[1]).await;
    let page = house
        .rooms
        .space_hierarchy(&stranger, &tree[0], &HierarchyQuery::default())
        .await
        .unwrap();
    assert_eq!(rooms(&page), [tree[0].clone(), tree[2].clone(), tree[3].clone()]);
    close(&tree[0]).await;
    let page = house
        .rooms
        .space_hierarchy(&stranger, &tree[0], &HierarchyQuery::default())
        .await;
    assert!(matches!(page, Err(ReadError::NotInRoom)));
}
