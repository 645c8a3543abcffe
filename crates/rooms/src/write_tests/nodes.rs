//! Two servers over one store, taking turns: each acts on what the other has written.

use gatehouse_events::RoomVersion;
use gatehouse_store::{Batch, Store};
use ruma::{OwnedRoomId, OwnedUserId, UserId};

use super::house::{content, room, rooms, user};
use crate::{
    Join, MembershipRequest, RoomHead, Rooms,
    create::Preset,
    head::HOT,
    redact::Redaction,
    send::{Message, StateUpdate},
    tables::{CURRENT_STATE, HEADS, MEMBERSHIPS},
};

struct Cluster {
    store: Store,
    here: Rooms,
    there: Rooms,
    alice: OwnedUserId,
    bob: OwnedUserId,
    room: OwnedRoomId,
}

impl Cluster {
    /// Alice's private room, which both nodes have in memory.
    async fn new(version: &str) -> Self {
        let store = Store::in_memory();
        let (here, there) = (rooms(&store), rooms(&store));
        let alice = user("alice");
        let version: RoomVersion = version.parse().unwrap();
        let room = room(&here, &alice, version, Preset::PrivateChat).await;
        let cluster = Self {
            store,
            here,
            there,
            alice,
            bob: user("bob"),
            room,
        };
        cluster.warm(&cluster.there).await;
        cluster.warm(&cluster.here).await;
        cluster
    }

    async fn warm(&self, node: &Rooms) {
        let message = Message {
            kind: "m.room.message".into(),
            content: content(r#"{"body":"hi"}"#),
            transaction: None,
        };
        node.send(&self.alice, &self.room, &message).await.unwrap();
        node.head(&self.room).await.unwrap().unwrap();
    }

    async fn invite(&self, node: &Rooms) {
        let request = MembershipRequest::default();
        node.invite(&self.alice, &self.bob, &self.room, &request)
            .await
            .unwrap();
    }

    async fn is_joined(&self, user: &UserId) -> bool {
        let key = (user.to_owned(), self.room.clone());
        let row = self.store.get(&MEMBERSHIPS, &key).await.unwrap();
        row.is_some_and(|row| row.membership.as_str() == "join")
    }
}

#[tokio::test]
async fn somebody_invited_at_one_node_is_let_in_by_the_other() {
    let cluster = Cluster::new("12").await;
    cluster.invite(&cluster.here).await;
    let joined = cluster
        .there
        .join(&cluster.bob, &cluster.room, &Join::default())
        .await;
    joined.unwrap();
    assert!(cluster.is_joined(&cluster.bob).await);
}

#[tokio::test]
async fn somebody_kicked_at_one_node_can_come_back_at_the_other() {
    let cluster = Cluster::new("12").await;
    cluster.invite(&cluster.there).await;
    let (bob, room, join) = (&cluster.bob, &cluster.room, Join::default());
    cluster.there.join(bob, room, &join).await.unwrap();
    let request = MembershipRequest::default();
    cluster
        .here
        .kick(&cluster.alice, bob, room, &request)
        .await
        .unwrap();
    cluster.invite(&cluster.here).await;
    cluster.there.join(bob, room, &join).await.unwrap();
    assert!(cluster.is_joined(bob).await, "it was said, so it is so");
}

#[tokio::test]
async fn a_node_shows_the_room_as_another_left_it() {
    let cluster = Cluster::new("12").await;
    cluster.invite(&cluster.here).await;
    let head = cluster.there.head(&cluster.room).await.unwrap().unwrap();
    assert_eq!(head.membership(&cluster.bob).as_str(), "invite");
}

#[tokio::test]
async fn what_one_node_redacts_the_other_shows_to_nobody() {
    let cluster = Cluster::new("11").await;
    let topic = StateUpdate {
        kind: "m.room.topic".into(),
        state_key: String::new(),
        content: content(r#"{"topic":"a secret"}"#),
        is_guest: false,
    };
    let said = cluster
        .there
        .set_state(&cluster.alice, &cluster.room, &topic)
        .await
        .unwrap();
    cluster
        .here
        .redact(
            &cluster.alice,
            &cluster.room,
            &Redaction::because(said, None, None),
        )
        .await
        .unwrap();
    cluster.invite(&cluster.there).await;
    let key = (cluster.bob.clone(), cluster.room.clone());
    let row = cluster.store.get(&MEMBERSHIPS, &key).await.unwrap().unwrap();
    assert!(!row.stripped_state.contains("a secret"), "{}", row.stripped_state);
}

#[tokio::test]
async fn what_one_node_redacts_the_other_does_not_take_along_in_an_upgrade() {
    let cluster = Cluster::new("11").await;
    let name = StateUpdate {
        kind: "m.room.name".into(),
        state_key: String::new(),
        content: content(r#"{"name":"a secret"}"#),
        is_guest: false,
    };
    let (alice, room) = (&cluster.alice, &cluster.room);
    let said = cluster.there.set_state(alice, room, &name).await.unwrap();
    let redaction = Redaction::because(said, None, None);
    cluster.here.redact(alice, room, &redaction).await.unwrap();
    let version = "12".parse().unwrap();
    let replacement = cluster
        .there
        .upgrade(alice, room, version, &[], None)
        .await
        .unwrap();
    let head = cluster.there.head(&replacement).await.unwrap().unwrap();
    let name = head.state_event_id("m.room.name", "").cloned();
    let events = cluster.there.stored(&name.into_iter().collect::<Vec<_>>()).await;
    let name = events.unwrap().into_iter().flatten().next();
    assert!(
        name.is_none_or(|name| !name.event.content.get().contains("a secret")),
        "the new room has it again"
    );
}

/// Reading all members again after each event of another node would make large rooms stand still.
#[tokio::test]
async fn a_node_reads_only_what_another_has_changed() {
    let cluster = Cluster::new("12").await;
    let (alice, room) = (&cluster.alice, &cluster.room);
    let request = MembershipRequest::default();
    let carol = user("carol");
    cluster.there.invite(alice, &carol, room, &request).await.unwrap();
    // Whoever read everything would find her gone.
    let key = (room.clone(), "m.room.member".to_owned(), carol.to_string());
    let mut batch = Batch::new();
    batch.delete(&CURRENT_STATE, &key);
    cluster.store.commit(batch).await.unwrap();
    cluster.invite(&cluster.here).await;
    cluster.warm(&cluster.here).await;
    let head = cluster.there.head(room).await.unwrap().unwrap();
    assert_eq!(head.membership(&cluster.bob).as_str(), "invite");
    assert_eq!(head.membership(&carol).as_str(), "invite");
    cluster.warm(&cluster.there).await;
}

#[tokio::test]
async fn what_a_node_has_caught_up_with_is_what_a_new_one_reads() {
    let cluster = Cluster::new("12").await;
    let (alice, room) = (&cluster.alice, &cluster.room);
    let request = MembershipRequest::default();
    let nodes = [&cluster.here, &cluster.there];
    for round in 0..40_usize {
        let node = nodes[round * round % 3 % 2];
        let somebody = user(&format!("u{}", round % 7));
        let topic = StateUpdate {
            kind: [
                "m.room.topic",
                "m.room.history_visibility",
                "m.room.canonical_alias",
            ][round % 3]
                .into(),
            state_key: String::new(),
            content: content(&format!(r#"{{"history_visibility":"joined","n":{round}}}"#)),
            is_guest: false,
        };
        match round % 5 {
            0 | 1 => drop(node.invite(alice, &somebody, room, &request).await),
            2 => drop(node.join(&somebody, room, &Join::default()).await),
            3 => drop(node.kick(alice, &somebody, room, &request).await),
            _ => drop(node.set_state(alice, room, &topic).await.unwrap()),
        }
        for node in nodes {
            let caught_up = node.head(room).await.unwrap().unwrap();
            let fresh = rooms(&cluster.store).head(room).await.unwrap().unwrap();
            assert_eq!(caught_up.row(), fresh.row(), "round {round}");
            assert_eq!(caught_up.members, fresh.members, "round {round}");
            assert_eq!(caught_up.state, fresh.state, "round {round}");
            assert_eq!(caught_up.power_levels, fresh.power_levels, "round {round}");
            for kind in HOT {
                let id = |head: &RoomHead| head.hot_event(kind).map(|event| event.event_id.clone());
                assert_eq!(id(&caught_up), id(&fresh), "round {round}: {kind}");
            }
        }
    }
}

/// As when a standby takes over that had not got the last commits.
#[tokio::test]
async fn a_node_believes_a_store_that_has_gone_back() {
    let cluster = Cluster::new("12").await;
    let key = (cluster.room.clone(),);
    let before = cluster.store.get(&HEADS, &key).await.unwrap().unwrap();
    cluster.warm(&cluster.here).await;
    let mut batch = Batch::new();
    batch.put(&HEADS, &key, &before);
    cluster.store.commit(batch).await.unwrap();
    let head = cluster.here.head(&cluster.room).await.unwrap().unwrap();
    assert_eq!(head.row(), before);
    cluster.warm(&cluster.here).await;
    let head = cluster.here.head(&cluster.room).await.unwrap().unwrap();
    assert_eq!(head.sequence, before.sequence + 1);
}
