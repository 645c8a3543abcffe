//! Rooms whose graph has branches: what a client makes of the responses is the room's state, though events came late and
//! state resolution chose between them.

use std::collections::BTreeMap;

use gatehouse_events::{EventBuilder, NewEvent, Parents, SigningKey, authorise::auth_types};
use gatehouse_rooms::{Received, RoomHead};
use gatehouse_store::{Position, Store};
use ruma::{OwnedEventId, RoomId, owned_server_name, server_name};
use serde_json::{Value, json};

use crate::{
    Request, Response, StateForm,
    response::RawEvent,
    tests::world::{User, World},
};

/// The state as a client has it: by type and state key, the event.
type ClientState = BTreeMap<(String, String), String>;

fn apply(state: &mut ClientState, events: &[RawEvent]) {
    for event in events {
        let event: Value = serde_json::from_str(event.get()).unwrap();
        if let Some(state_key) = event["state_key"].as_str() {
            let key = (event["type"].as_str().unwrap().to_owned(), state_key.to_owned());
            state.insert(key, event["event_id"].as_str().unwrap().to_owned());
        }
    }
}

/// A client that takes the state in one of the two forms.
struct Client {
    request: Request,
    state: ClientState,
    seen: Vec<String>,
}

impl Client {
    fn new(user: &User, state_form: StateForm) -> Self {
        Self {
            request: Request {
                state_form,
                ..user.request()
            },
            state: ClientState::new(),
            seen: Vec::new(),
        }
    }

    async fn sync(&mut self, world: &World, room: &RoomId) -> Response {
        let response = world.sync().sync(&self.request).await.unwrap();
        self.request.since = Some(response.next_batch);
        if let Some(joined) = response.rooms.join.get(room) {
            apply(&mut self.state, joined.state.events());
            if self.request.state_form == StateForm::Before {
                apply(&mut self.state, &joined.timeline.events);
            }
            for event in &joined.timeline.events {
                let event: Value = serde_json::from_str(event.get()).unwrap();
                self.seen.push(event["event_id"].as_str().unwrap().to_owned());
            }
        }
        response
    }
}

async fn state_of(world: &World, room: &RoomId) -> ClientState {
    let events = world.rooms().state_at(room, Position::MAX).await.unwrap();
    events
        .iter()
        .map(|event| {
            let key = (event.kind().to_owned(), event.state_key().unwrap().to_owned());
            (key, event.event_id().to_string())
        })
        .collect()
}

/// An event of a user that follows what a room was, handed in by another server. Its users are ours, so that there is a key
/// to check it with.
async fn late(
    world: &World,
    was: &RoomHead,
    user: &User,
    (kind, state_key): (&str, Option<&str>),
    content: Value,
    origin_server_ts: u64,
) -> (OwnedEventId, Received) {
    let content = gatehouse_events::json::parse_content(content.to_string().as_bytes()).unwrap();
    let new = NewEvent {
        kind: kind.into(),
        state_key: state_key.map(str::to_owned),
        content,
        redacts: None,
    };
    let types = auth_types(was.version, &new.kind, &user.id, state_key, &new.content).unwrap();
    let parents = Parents {
        prev_events: was.extremities.clone(),
        auth_events: types
            .iter()
            .filter_map(|(kind, key)| was.state_event_id(&kind.to_string(), key).cloned())
            .collect(),
        depth: was.depth + 1,
        hashes: Vec::new(),
    };
    let key = SigningKey::from_seed([7; 32], "a_test").unwrap();
    let builder = EventBuilder {
        version: was.version,
        server_name: &owned_server_name!("s"),
        key: &key,
    };
    let built = builder
        .build(&was.room_id, &user.id, new, parents, origin_server_ts)
        .unwrap();
    let pdu = serde_json::value::RawValue::from_string(built.pdu).unwrap();
    let received = world
        .rooms()
        .receive(server_name!("elsewhere"), &was.room_id, &[pdu])
        .await
        .unwrap();
    (built.event.event_id, received.into_iter().next().unwrap().1)
}

#[tokio::test(start_paused = true)]
async fn a_client_has_the_state_that_resolution_chose() {
    // Whether the late topic is older or younger than the other decides which one holds.
    for (ts, wins) in [(1, false), (u64::from(u32::MAX) * 1_000, true)] {
        let world = World::new(Store::in_memory());
        let [alice, bob] = world.two_users().await;
        let room = world.public_room(&alice).await;
        world.join(&bob, &room).await.unwrap();
        let levels = json!({"users": {alice.id.as_str(): 100, bob.id.as_str(): 50}});
        world
            .set(&alice, &room, ("m.room.power_levels", ""), levels)
            .await
            .unwrap();
        let was = world.rooms().head(&room).await.unwrap().unwrap();
        let mut clients = [StateForm::Before, StateForm::After].map(|form| Client::new(&alice, form));
        for client in &mut clients {
            client.sync(&world, &room).await;
        }
        let here = json!({"topic": "here"});
        let here = world
            .set(&alice, &room, ("m.room.topic", ""), here)
            .await
            .unwrap();
        // One client hears of it before the branch comes, and one after.
        clients[0].sync(&world, &room).await;
        let there = json!({"topic": "there"});
        let topic = ("m.room.topic", Some(""));
        let (there, received) = late(&world, &was, &bob, topic, there, ts).await;
        assert_eq!(received, Received::Accepted);
        let name = ("m.room.name", Some(""));
        let (name, received) = late(&world, &was, &bob, name, json!({"name": "n"}), 1).await;
        assert_eq!(received, Received::Accepted);
        world.send(&alice, &room, "tie").await.unwrap();
        let state = state_of(&world, &room).await;
        let chosen = if wins { &there } else { &here };
        assert_eq!(
            state[&("m.room.topic".to_owned(), String::new())],
            chosen.as_str()
        );
        assert_eq!(state[&("m.room.name".to_owned(), String::new())], name.as_str());
        for client in &mut clients {
            client.sync(&world, &room).await;
            assert_eq!(client.state, state, "{:?}, {ts}", client.request.state_form);
            let mut seen = client.seen.clone();
            seen.sort();
            seen.dedup();
            assert_eq!(seen.len(), client.seen.len(), "nothing comes twice");
        }
        for form in [StateForm::Before, StateForm::After] {
            let mut anew = Client::new(&bob, form);
            anew.request.filter.room.timeline.limit = Some(2);
            anew.sync(&world, &room).await;
            assert_eq!(anew.state, state, "{form:?}, {ts}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn t28_no_client_is_shown_what_was_soft_failed() {
    let world = World::new(Store::in_memory());
    let [alice, bob] = world.two_users().await;
    let room = world.public_room(&alice).await;
    world.join(&bob, &room).await.unwrap();
    let was = world.rooms().head(&room).await.unwrap().unwrap();
    world.ban(&alice, &room, &bob).await.unwrap();
    let mut client = Client::new(&alice, StateForm::Before);
    client.sync(&world, &room).await;
    let text = json!({"body": "backdated"});
    let (said, received) = late(&world, &was, &bob, ("m.room.message", None), text, 1).await;
    assert_eq!(received, Received::SoftFailed);
    world.send(&alice, &room, "on").await.unwrap();
    client.sync(&world, &room).await;
    let mut anew = Client::new(&alice, StateForm::Before);
    anew.sync(&world, &room).await;
    for client in [&client, &anew] {
        assert!(!client.seen.contains(&said.to_string()));
        assert_eq!(client.state, state_of(&world, &room).await);
    }
}
