//! Rooms that are joined without their members: what works at once, what waits, and that in the end nothing is left of it.

mod crashes;
mod large;

use std::time::Duration;

use gatehouse_events::{NewEvent, Parents};
use gatehouse_store::{Direction, Position};
use ruma::{
    OwnedEventId, OwnedRoomId, OwnedUserId, RoomId,
    events::{TimelineEventType, room::member::MembershipState},
};
use serde_json::json;

use super::town::{Lies, Town, content, lie, name, plain, raw, update, user};
use crate::{
    Join, Rooms, WriteError,
    create::Preset,
    members::MembersQuery,
    present::Viewer,
    read_error::ReadError,
    receive::Received,
    remote_servers::{FetchedStateIds, RawPdu},
    send::Message,
    tables::{DOUBTS, FILLED, PARTIAL, PARTIAL_SERVERS},
};

/// A room of `a` in which `other:a`, `guest:a` and `c` are, and which `b` has joined without knowing them.
struct Partial {
    town: Town,
    room: OwnedRoomId,
}

fn someone(id: &str) -> OwnedUserId {
    id.try_into().unwrap()
}

fn other() -> OwnedUserId {
    someone("@other:a")
}

impl Partial {
    async fn new(version: &str) -> Self {
        let town = Town::new().await;
        // A room without a name is handed over with the members that it is named after.
        let named = [("m.room.name", json!({ "name": "Tea" }))];
        let room = town.room_with(version, Preset::PublicChat, &named).await;
        for member in ["@other:a", "@guest:a"] {
            town.rooms("a")
                .join(&someone(member), &room, &Join::default())
                .await
                .unwrap();
        }
        town.join("c", &room).await.unwrap();
        let partial = Self { town, room };
        partial.withhold();
        partial.town.join_partly("b", &partial.room).await.unwrap();
        partial
    }

    /// Nobody gives the members.
    fn withhold(&self) {
        self.town.wire.unanswered.lock().insert("state_ids");
    }

    /// The members are given, and come.
    async fn fill(&self) {
        self.town.wire.unanswered.lock().remove("state_ids");
        self.whole("b").await;
    }

    async fn whole(&self, server: &str) {
        let rooms = self.town.rooms(server);
        for _ in 0..100 {
            if rooms.wait_until_whole(&self.room).await.is_ok() {
                return;
            }
        }
        panic!("the members never came");
    }

    fn b(&self) -> Rooms {
        self.town.rooms("b")
    }

    async fn is_whole(&self) -> bool {
        let head = self.b().head(&self.room).await.unwrap().unwrap();
        head.is_whole()
    }

    async fn says(&self, sender: &str, text: &str) -> OwnedEventId {
        self.town.clock.advance(Duration::from_millis(1));
        let sender = someone(sender);
        let message = Message {
            kind: "m.room.message".into(),
            content: content(&json!({ "body": text, "msgtype": "m.text" })),
            transaction: None,
        };
        let rooms = self.town.rooms(sender.server_name().as_str());
        rooms.send(&sender, &self.room, &message).await.unwrap()
    }

    /// What a user of `b` is shown of the room's timeline.
    async fn shown(&self) -> Vec<OwnedEventId> {
        let all = (Position::ZERO, Position::MAX);
        let b = self.b();
        let rows = b.timeline(&self.room, all, Direction::Forward, 1_000);
        let events = rows.await.unwrap().events;
        events.iter().map(|event| event.event_id().to_owned()).collect()
    }

    /// Both have the same state before each event that both have, and now.
    async fn agree_on_all(&self) {
        let (a, b) = (self.town.rooms("a"), self.b());
        let mut compared = 0;
        for event in self.shown().await {
            let (theirs, ours) = (
                a.state_before_event(&self.room, &event).await.unwrap(),
                b.state_before_event(&self.room, &event).await.unwrap(),
            );
            if let (Some(theirs), Some(ours)) = (theirs, ours) {
                assert_eq!(theirs.to_map(), ours.to_map(), "before {event}");
                compared += 1;
            }
        }
        assert!(compared > 0);
        self.town.agree(&self.room, &["a", "b"]).await;
        let (theirs, ours) = (
            a.head(&self.room).await.unwrap(),
            b.head(&self.room).await.unwrap(),
        );
        let (theirs, ours) = (theirs.unwrap(), ours.unwrap());
        assert_eq!((theirs.counts, &theirs.servers), (ours.counts, &ours.servers));
        self.nothing_is_left().await;
    }

    async fn nothing_is_left(&self) {
        let (store, key) = (self.b().store, (self.room.clone(),));
        assert_eq!(store.get(&PARTIAL, &key).await.unwrap(), None);
        assert_eq!(store.get(&PARTIAL_SERVERS, &key).await.unwrap(), None);
        let all = gatehouse_store::Range::all();
        let doubts = store.scan(&DOUBTS, &all, Direction::Forward, 1).await.unwrap();
        assert_eq!(doubts, []);
        assert!(store.get(&FILLED, &key).await.unwrap().is_some());
    }

    /// `b` has got a user's membership from a server.
    async fn keep_at_b(&self, from: &str, user: &str) {
        let (from, b) = (self.town.rooms(from), self.b());
        let head = from.head(&self.room).await.unwrap().unwrap();
        let id = head.state_event_id("m.room.member", user).unwrap().clone();
        let raws = from.raw_pdus(&self.room, &[id]).await.unwrap();
        let checked = b.check_pdus(head.version, &self.room, &raws).await;
        let pdus = checked.into_iter().map(Result::unwrap).collect();
        let own = b.head(&self.room).await.unwrap().unwrap();
        let create = own.hot_event("m.room.create");
        b.keep_outliers(&self.room, head.version, create, pdus)
            .await
            .unwrap();
    }

    /// An event of a user of `c`, as a server makes one that knows what it likes.
    async fn craft(&self, sender: &str, new: NewEvent, parents: &[OwnedEventId], auth: &[&str]) -> RawPdu {
        self.town.clock.advance(Duration::from_millis(1));
        let c = self.town.rooms("c");
        let head = c.head(&self.room).await.unwrap().unwrap();
        let mut auth_events: Vec<OwnedEventId> = auth
            .iter()
            .filter_map(|kind| head.state_event_id(kind, "").cloned())
            .collect();
        auth_events.extend(head.state_event_id("m.room.member", sender).cloned());
        let parents = Parents {
            prev_events: parents.to_vec(),
            auth_events,
            depth: 50,
            hashes: Vec::new(),
        };
        let sender = someone(sender);
        let now_ms = c.now_ms();
        let built = c
            .builder(head.version)
            .build(&self.room, &sender, new, parents, now_ms);
        raw(&built.unwrap().pdu)
    }
}

fn message(text: &str) -> NewEvent {
    NewEvent {
        kind: TimelineEventType::RoomMessage,
        state_key: None,
        content: content(&json!({ "body": text, "msgtype": "m.text" })),
        redacts: None,
    }
}

fn topic(text: &str) -> NewEvent {
    NewEvent {
        kind: TimelineEventType::RoomTopic,
        state_key: Some(String::new()),
        content: content(&json!({ "topic": text })),
        redacts: None,
    }
}

async fn ends(rooms: &Rooms, room: &RoomId) -> Vec<OwnedEventId> {
    rooms.head(room).await.unwrap().unwrap().extremities.clone()
}

#[tokio::test(start_paused = true)]
async fn who_has_just_joined_sends_and_sees_while_members_are_missing() {
    for version in ["1", "6", "11", "12"] {
        let partial = Partial::new(version).await;
        let (town, room) = (&partial.town, &partial.room);
        assert!(!partial.is_whole().await);
        let head = partial.b().head(room).await.unwrap().unwrap();
        assert!(head.is_joined(&user("b")) && !head.members.contains_key(&other()));
        let receiving = partial.b().receiving_servers(room).await.unwrap();
        assert!(receiving.contains(&name("a")) && receiving.contains(&name("c")));
        let said = town.say("b", room, "hello").await;
        let received = town.deliver("b", "a", room).await;
        assert!(received.contains(&Received::Accepted), "{received:?}");
        let answer = partial.says("@other:a", "welcome").await;
        town.deliver("a", "b", room).await;
        assert!(!partial.is_whole().await);
        let shown = partial.shown().await;
        assert_eq!(shown[shown.len() - 2..], [said, answer]);
        // So that clients are told who speaks.
        let head = partial.b().head(room).await.unwrap().unwrap();
        assert!(head.is_joined(&other()));
        partial.fill().await;
        partial.agree_on_all().await;
    }
}

#[tokio::test(start_paused = true)]
async fn who_needs_all_members_waits_for_them() {
    let partial = Partial::new("12").await;
    let (b, room) = (partial.b(), &partial.room);
    let viewer = Viewer {
        user: &user("b"),
        device: None,
    };
    let began = tokio::time::Instant::now();
    let refused = b.kick(&user("b"), &other(), room, &plain()).await.unwrap_err();
    assert!(matches!(refused, WriteError::MembersMissing), "{refused:?}");
    assert_eq!(began.elapsed().as_secs(), 20);
    for refused in [
        b.ban(&user("b"), &other(), room, &plain()).await.unwrap_err(),
        b.invite(&user("b"), &user("c"), room, &plain())
            .await
            .unwrap_err(),
        b.join(&someone("@other:b"), room, &Join::default())
            .await
            .unwrap_err(),
    ] {
        assert!(matches!(refused, WriteError::MembersMissing), "{refused:?}");
    }
    let query = MembersQuery::default();
    let refused = b.members(viewer, room, &query).await.unwrap_err();
    assert!(matches!(refused, ReadError::MembersMissing), "{refused:?}");
    partial.fill().await;
    assert_eq!(b.members(viewer, room, &query).await.unwrap().len(), 5);
    let refused = b.kick(&user("b"), &other(), room, &plain()).await.unwrap_err();
    assert!(matches!(refused, WriteError::Refused(_)), "{refused:?}");
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_the_members_is_told_when_they_are_here() {
    let partial = Partial::new("11").await;
    let (b, room) = (partial.b(), partial.room.clone());
    let members = tokio::spawn(async move { b.joined_members(&user("b"), &room).await });
    partial.fill().await;
    assert_eq!(members.await.unwrap().unwrap().len(), 5);
}

#[tokio::test(start_paused = true)]
async fn what_happens_while_members_are_missing_has_the_state_that_it_has_elsewhere() {
    for version in ["1", "2", "3", "6", "10", "11", "12"] {
        let partial = Partial::new(version).await;
        let (town, room) = (&partial.town, &partial.room);
        let a = town.rooms("a");
        town.say("b", room, "hello").await;
        town.deliver("b", "a", room).await;
        partial.says("@other:a", "one").await;
        a.leave(&other(), room, &plain()).await.unwrap();
        let guest = someone("@guest:a");
        a.kick(&user("a"), &guest, room, &plain()).await.unwrap();
        town.set("a", room, "m.room.topic", json!({ "topic": "Tea" }))
            .await;
        a.ban(&user("a"), &user("c"), room, &plain()).await.unwrap();
        town.deliver("a", "b", room).await;
        a.join(&other(), room, &Join::default()).await.unwrap();
        partial.says("@other:a", "two").await;
        town.deliver("a", "b", room).await;
        assert_eq!(town.membership("b", room, &user("c")).await, MembershipState::Ban);
        town.say("b", room, "bye").await;
        partial.fill().await;
        town.deliver("b", "a", room).await;
        partial.agree_on_all().await;
    }
}

#[tokio::test(start_paused = true)]
async fn branches_are_resolved_while_members_are_missing() {
    for version in ["2", "11", "12"] {
        let partial = Partial::new(version).await;
        let (town, room) = (&partial.town, &partial.room);
        let a = town.rooms("a");
        // Both go on without the other.
        a.leave(&other(), room, &plain()).await.unwrap();
        town.set("a", room, "m.room.topic", json!({ "topic": "Tea" }))
            .await;
        town.say("b", room, "anybody?").await;
        town.deliver("a", "b", room).await;
        town.deliver("b", "a", room).await;
        a.join(&other(), room, &Join::default()).await.unwrap();
        town.deliver("a", "b", room).await;
        partial.fill().await;
        partial.agree_on_all().await;
    }
}

#[tokio::test(start_paused = true)]
async fn of_the_banned_who_spoke_while_members_were_missing_nothing_is_left() {
    for version in ["6", "11", "12"] {
        let town = Town::new().await;
        let room = town.room(version, Preset::PublicChat).await;
        town.join("c", &room).await.unwrap();
        town.set("a", &room, "m.room.topic", json!({ "topic": "Tea" }))
            .await;
        // Who made a room of version 12 has all power.
        let users = if version == "12" {
            json!({})
        } else {
            json!({ "@a:a": 100 })
        };
        let levels = json!({ "users": users, "state_default": 0, "events_default": 0 });
        town.set("a", &room, "m.room.power_levels", levels).await;
        town.deliver("a", "c", &room).await;
        // `c` never hears of it.
        let a = town.rooms("a");
        a.ban(&user("a"), &user("c"), &room, &plain()).await.unwrap();
        let partial = Partial { town, room };
        partial.withhold();
        let (town, room) = (&partial.town, &partial.room);
        town.join_partly("b", room).await.unwrap();
        let b = partial.b();
        partial.keep_at_b("c", "@c:c").await;
        let before = ends(&b, room).await;
        let auth = ["m.room.create", "m.room.power_levels"];
        let auth = if version == "12" { &auth[1..] } else { &auth[..] };
        let spoken = partial.craft("@c:c", message("still here"), &before, auth).await;
        let received = b.receive(&name("c"), room, &[spoken]).await.unwrap();
        assert_eq!(received[0].1, Received::Accepted, "{version}");
        let set = partial
            .craft("@c:c", topic("Coffee"), &ends(&b, room).await, auth)
            .await;
        let received = b.receive(&name("c"), room, &[set]).await.unwrap();
        assert_eq!(received[0].1, Received::Accepted, "{version}");
        assert_eq!(partial.shown().await.len(), 3);
        let said = town.say("b", room, "who is that?").await;
        assert_eq!(
            town.membership("b", room, &user("c")).await,
            MembershipState::Join
        );
        partial.fill().await;
        assert_eq!(partial.shown().await.len(), 2, "{version}");
        assert_eq!(partial.shown().await[1], said);
        assert_eq!(town.membership("b", room, &user("c")).await, MembershipState::Ban);
        partial.nothing_is_left().await;
        let head = b.head(room).await.unwrap().unwrap();
        let topic = head.state_event_id("m.room.topic", "").cloned();
        let theirs = a.head(room).await.unwrap().unwrap();
        assert_eq!(topic.as_ref(), theirs.state_event_id("m.room.topic", ""));
        assert_eq!(
            head.room_state().to_map().len(),
            theirs.room_state().to_map().len()
        );
        let state = b.state_before_event(room, &said).await.unwrap().unwrap();
        assert_eq!(state.event_id("m.room.topic", ""), topic.as_ref());
        // And they are not heard any more.
        let again = partial
            .craft("@c:c", message("?"), &ends(&b, room).await, auth)
            .await;
        let received = b.receive(&name("c"), room, &[again]).await.unwrap();
        assert!(matches!(received[0].1, Received::Rejected(_)), "{received:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn where_the_server_that_let_us_in_is_gone_others_are_asked() {
    let partial = Partial::new("11").await;
    let (town, room) = (&partial.town, &partial.room);
    town.deliver("a", "c", room).await;
    town.wire.down.lock().insert(name("a"));
    partial.fill().await;
    partial.agree_on_all().await;
    let asked = town.wire.asked.lock();
    let states = asked.iter().filter(|(_, what)| *what == "state_ids");
    assert!(states.clone().any(|(server, _)| *server == name("c")));
}

#[tokio::test(start_paused = true)]
async fn a_state_of_another_room_does_not_fill_ours() {
    let partial = Partial::new("11").await;
    let lied = Lies {
        ids: lie(|ids: &mut FetchedStateIds| {
            ids.state.clear();
        }),
        ..Lies::default()
    };
    partial.town.lie(lied);
    partial.town.wire.unanswered.lock().remove("state_ids");
    let waited = partial.b().wait_until_whole(&partial.room).await;
    assert!(matches!(waited, Err(WriteError::MembersMissing)));
    partial.town.lie(Lies::default());
    partial.fill().await;
    partial.agree_on_all().await;
}

#[tokio::test(start_paused = true)]
async fn other_servers_are_told_to_ask_others_while_members_are_missing() {
    let partial = Partial::new("11").await;
    let (town, room) = (&partial.town, &partial.room);
    town.deliver("a", "c", room).await;
    let said = town.say("b", room, "hello").await;
    let (b, c) = (partial.b(), name("c"));
    let refused = b.state_ids_for_server(&c, room, &said).await.unwrap_err();
    assert!(matches!(refused, crate::PeerError::MembersMissing), "{refused:?}");
    let versions = ["11".to_owned()];
    let refused = b
        .make_join(&c, room, &someone("@other:c"), &versions)
        .await
        .unwrap_err();
    assert!(matches!(refused, crate::PeerError::MembersMissing), "{refused:?}");
    // It was in the room when we came.
    let history = b.backfill_for_server(&c, room, &[said], 10).await.unwrap();
    assert_eq!(history.len(), 2);
    partial.fill().await;
}

#[tokio::test(start_paused = true)]
async fn who_leaves_before_the_members_are_here_is_out_and_comes_back() {
    let partial = Partial::new("12").await;
    let (town, room) = (&partial.town, &partial.room);
    let b = partial.b();
    b.leave(&user("b"), room, &plain()).await.unwrap();
    town.deliver("b", "a", room).await;
    assert_eq!(
        town.membership("a", room, &user("b")).await,
        MembershipState::Leave
    );
    assert!(!b.is_here(room).await.unwrap());
    // Those who read what they may see of it do not wait for what nobody fetches.
    b.wait_until_whole(room).await.unwrap();
    town.wire.unanswered.lock().clear();
    town.join_partly("b", room).await.unwrap();
    partial.fill().await;
    partial.agree_on_all().await;
    let update = update("m.room.name", "", &json!({ "name": "x" }));
    assert!(b.set_state(&user("b"), room, &update).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn what_others_said_while_we_joined_is_heard_at_once() {
    for version in ["2", "11", "12"] {
        let partial = Partial::new(version).await;
        let (town, room) = (&partial.town, &partial.room);
        // `c` does not know yet that we are here, so it gives us nothing.
        partial.keep_at_b("c", "@c:c").await;
        let said = town.say("c", room, "as I said").await;
        let received = town.deliver("c", "b", room).await;
        assert!(!partial.is_whole().await);
        assert!(received.contains(&Received::Accepted), "{received:?}");
        assert!(partial.shown().await.contains(&said));
        town.deliver("c", "a", room).await;
        town.deliver("a", "c", room).await;
        let answer = town.say("b", room, "what?").await;
        town.deliver("b", "a", room).await;
        partial.fill().await;
        partial.agree_on_all().await;
        let theirs = town.rooms("a").state_before_event(room, &said).await.unwrap();
        let ours = partial.b().state_before_event(room, &said).await.unwrap();
        assert_eq!(theirs.unwrap().to_map(), ours.unwrap().to_map());
        assert!(partial.shown().await.contains(&answer));
    }
}
