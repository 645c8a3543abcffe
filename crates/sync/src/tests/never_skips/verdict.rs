//! What a client should have in the end, compared with what it has.

use std::collections::{BTreeMap, BTreeSet};

use gatehouse_rooms::{StoredEvent, history_visibility::VisibilityTimeline};
use gatehouse_store::{Direction, Position};
use ruma::{OwnedRoomId, RoomId, events::room::member::MembershipState};

use super::client::Client;
use crate::tests::world::World;

/// A room as it really is, for one user.
struct Truth {
    events: Vec<StoredEvent>,
    sight: VisibilityTimeline,
}

impl Truth {
    async fn of(world: &World, room: &RoomId, client: &Client) -> Self {
        let rooms = world.rooms();
        let all = (Position::ZERO, Position::MAX);
        Self {
            events: rooms
                .timeline(room, all, Direction::Forward, usize::MAX)
                .await
                .unwrap()
                .events,
            sight: rooms.visibility_timeline(room, &client.user).await.unwrap(),
        }
    }

    /// Where the user's last stay ended; `None`: there was none that reached beyond `began`.
    fn last_stay(&self, began: Position) -> Option<Position> {
        let mut end = None;
        let mut joined = false;
        for (at, membership) in self.sight.memberships() {
            let joins = *membership == MembershipState::Join;
            if joined && !joins && *at > began {
                end = Some(*at);
            }
            joined = joins;
        }
        if joined { Some(Position::MAX) } else { end }
    }
}

/// Fails unless the client has exactly what it should.
pub(crate) async fn judge(world: &World, client: &Client, began: Position, rooms: &[OwnedRoomId]) {
    for room in rooms {
        let truth = Truth::of(world, room, client).await;
        check_seen(client, room, &truth);
        check_order(client, room, &truth);
        check_complete(client, room, &truth, began);
        let known = client.rooms.get(room).is_some_and(|known| known.joined);
        let joined = truth.sight.membership() == Some(&MembershipState::Join);
        assert_eq!(known, joined, "{}: {room}: joined", client.name);
        if joined {
            client
                .check_state(&world.rooms(), room, world.store.position())
                .await;
        }
        let invited = truth.sight.membership() == Some(&MembershipState::Invite);
        assert_eq!(
            client.invited.contains(room),
            invited,
            "{}: {room}: invited",
            client.name
        );
    }
}

/// Nothing came that the user may not see, and nothing of after the last stay (D05, D07).
fn check_seen(client: &Client, room: &RoomId, truth: &Truth) {
    let Some(known) = client.rooms.get(room) else {
        return;
    };
    let end = truth.last_stay(Position::ZERO).unwrap_or(Position::ZERO);
    let events: BTreeMap<_, _> = truth
        .events
        .iter()
        .map(|event| (event.event_id().to_owned(), event))
        .collect();
    for id in known.synced.iter().chain(&known.filled) {
        let event = events[id];
        let own = event.state_key() == Some(client.user.as_str());
        // Who left a room that everybody may read may go on paging; a sync tells no more of it.
        let paged = known.filled.contains(id) && !known.synced.contains(id);
        assert!(
            own || paged || event.position <= end,
            "{}: {room}: {id} at {} came after the user left at {end}",
            client.name,
            event.position
        );
        // A state event of a time away may come once the user is back and it is the room's state.
        assert!(
            truth.sight.sees(event.sight()) || event.state_key().is_some(),
            "{}: {room}: {id} is hidden",
            client.name
        );
    }
}

/// Within the stays, events came in the order of the room.
fn check_order(client: &Client, room: &RoomId, truth: &Truth) {
    let Some(known) = client.rooms.get(room) else {
        return;
    };
    let places: BTreeMap<_, _> = truth
        .events
        .iter()
        .map(|event| (event.event_id(), event))
        .collect();
    let mut last = Position::ZERO;
    for id in &known.synced {
        let event = places[&**id];
        // What was done to the user while away is told at once, before what happened around it can be seen.
        if event.state_key() == Some(client.user.as_str()) {
            continue;
        }
        assert!(
            event.position > last,
            "{}: {room}: {id} is out of order",
            client.name
        );
        last = event.position;
    }
}

/// Everything came that the user may see and the filter wants.
fn check_complete(client: &Client, room: &RoomId, truth: &Truth, began: Position) {
    let pending = matches!(
        truth.sight.membership(),
        Some(MembershipState::Invite | MembershipState::Knock)
    );
    let Some(end) = truth.last_stay(began).filter(|_| !pending) else {
        return;
    };
    let wanted = &client.filter.room.timeline;
    if wanted.admits_nothing() {
        return;
    }
    let known = client
        .rooms
        .get(room)
        .unwrap_or_else(|| panic!("{}: {room} never came", client.name));
    let had: BTreeSet<_> = known.synced.iter().chain(&known.filled).collect();
    let missing: Vec<_> = truth
        .events
        .iter()
        .filter(|event| event.position <= end && truth.sight.sees(event.sight()))
        .filter(|event| wanted.admits(event.candidate()))
        // A client that knows nothing is not told how the user was turned away before.
        .filter(|event| event.position > began || event.state_key() != Some(client.user.as_str()))
        .filter(|event| !had.contains(&event.event_id().to_owned()))
        .map(|event| {
            (
                event.position,
                event.kind().to_owned(),
                event.event_id().to_owned(),
            )
        })
        .collect();
    assert!(
        missing.is_empty(),
        "{}: {room}: began at {began}, last stay until {end}, memberships {:?}, never got {missing:?}",
        client.name,
        truth.sight.memberships()
    );
}
